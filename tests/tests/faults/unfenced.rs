//! Jobs on a machine that can't fence their network in. The daemon is one of the tests' own: its containers can't set rules up.

use monkeyci_tests::dockerd::Dockerd;
use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host};
use monkeyci_tests::place;

use crate::assert_nothing_left;

/// What is said when jobs run without a fence.
const WARNING: &str = "warning: there is no fence (--network-fence off)";

fn assert_runs_without_a_fence(engine: &Engine) {
    let host = Host::on(engine);
    let ended = host.run("unfenced", &["--network-fence", "off"]);
    for job in ["served", "other-user", "cut-off"] {
        assert_eq!(ended.cause(job), "succeeded", "{ended:#?}");
    }
    for (job, what) in [("listed", "the list of what it is let reach"), ("alone", "leads to its services alone")] {
        assert_eq!(ended.cause(job), "start-failed", "{ended:#?}");
        let reason = reason(&ended, job);
        assert!(reason.contains(what) && reason.contains("--network-fence off"), "{reason}");
    }
    let warnings = ended.of_type("log").filter(|line| line["text"].as_str().is_some_and(|it| it.contains(WARNING)));
    let warnings: Vec<_> = warnings.map(|line| (line["job"].as_str(), line["stream"].as_str())).collect();
    assert_eq!(warnings, [(None, Some("host"))], "once in a build: {ended:#?}");
    assert_nothing_left(engine, &host);
}

fn reason<'a>(ended: &'a Ended, job: &str) -> &'a str {
    ended.ending(job)["reason"].as_str().expect("a reason")
}

#[test]
fn a_machine_without_nf_tables_starts_no_job_unless_the_fence_is_turned_off() {
    let dockerd = Dockerd::without_netfilter();
    let engine = dockerd.engine();
    let host = Host::on(&engine);
    // A service begins like a job. Both fail, and either may be the first to be seen.
    for (case, causes) in
        [("sleeps-shortly", &["start-failed"][..]), ("running", &["service-not-ready", "start-failed"][..])]
    {
        let ended = host.run(case, &[]);
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(causes.contains(&ended.cause("victim")), "{ended:#?}");
        let words = ended.ending("victim").to_string();
        assert!(words.contains("nf_tables") && words.contains("`--network-fence off`"), "{words}");
        assert_eq!(ended.of_type("job/running").count(), 0, "{ended:#?}");
    }
    assert_nothing_left(&engine, &host);

    assert_runs_without_a_fence(&engine);
}

#[test]
fn podman_runs_jobs_without_a_fence_where_it_is_turned_off() {
    assert_runs_without_a_fence(&Engine::podman());
}

#[test]
fn a_missing_fence_is_said_in_plain_words_too() {
    let (engine, host) = (Engine::docker(), Host::default());
    let mut command = host.command(&["run", "--progress", "plain", "--network-fence", "off"]);
    command.args(["--engine", &engine.address, "--param", "case=sleeps-shortly"]);
    command.args(["--param", &format!("image={}", place::image()), "--dir"]).arg(host.home());
    let output = command.arg(place::script("probe_script")).output().expect("the host runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches(WARNING).count(), 1, "{text}");
}
