use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::Host;

use crate::says;

/// Starts the case and waits until the job is blocked and all that it could do without is done.
fn blocked(host: &Host) -> (monkeyci_tests::host::Running, String) {
    let mut running = host.start("approval", &[]);
    let build =
        running.wait_for(|event| event["type"] == "build/triggered")["build"].as_str().expect("an id").to_owned();
    let mut open = vec![("job/blocked", "deploy"), ("job/ended", "meanwhile")];
    while !open.is_empty() {
        let all = open.clone();
        let is = |event: &serde_json::Value, (kind, job): &(&str, &str)| event["type"] == *kind && event["job"] == *job;
        let event = running.wait_for(|event| all.iter().any(|wanted| is(event, wanted))).clone();
        open.retain(|wanted| !is(&event, wanted));
    }
    (running, build)
}

#[test]
fn a_job_waits_for_a_person_with_no_container_and_goes_on_when_they_approve() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let (running, build) = blocked(&host);
    // The containers of the jobs before are removed beside.
    hang_guard::until("a build that waits to have nothing", || engine.leftovers(&host.owner()).is_empty());
    let decide = |arguments: &[&str]| host.command(&["approve"]).args(arguments).output().expect("the host runs");
    let wrong = decide(&[&build, "meanwhile"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("does not wait for approval"), "{wrong:?}");
    let last = build.rsplit('/').next().expect("a part");
    let approved = decide(&[last, "deploy", "--by", "ann", "--comment", "ship it"]);
    assert!(approved.status.success(), "{approved:?}");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "deploy", &["deployed"]);
    says(&ended, "after", &["after the deployment"]);
    let approval = ended.of_type("job/approved").next().expect("an approval");
    assert_eq!((&approval["by"], &approval["comment"]), (&"ann".into(), &"ship it".into()));
}

#[test]
fn a_rejected_job_fails_and_names_who_rejected_it() {
    let host = Host::on(&Engine::docker());
    let (running, build) = blocked(&host);
    let rejected =
        host.command(&["approve", &build, "deploy", "--reject", "--by", "bob"]).output().expect("the host runs");
    assert!(rejected.status.success(), "{rejected:?}");
    let ended = running.end();
    assert_eq!((ended.code, ended.cause("deploy"), ended.cause("after")), (Some(1), "rejected", "skipped"));
    assert_eq!(ended.ending("deploy")["by"], "bob");
    let late = host.command(&["approve", &build, "deploy"]).output().expect("the host runs");
    let why = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(late.status.code() == Some(2) && why.contains(&format!("{build} does not run any more")), "{why}");
}

#[test]
fn a_build_that_waits_for_approval_can_be_interrupted() {
    let host = Host::on(&Engine::docker());
    let (running, _) = blocked(&host);
    rustix::process::kill_process(running.pid(), rustix::process::Signal::INT).expect("signalled");
    let ended = running.end();
    assert_eq!((ended.code, ended.cause("deploy")), (Some(130), "cancelled"));
}
