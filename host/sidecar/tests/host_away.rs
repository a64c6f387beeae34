//! A host that goes away, and another one that takes its place: the job does not notice.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;

use monkeyci_api::SidecarReport;
use monkeyci_build::{Ending, SaveArtifact};
use rig::{Guard, Rig, plan, shell, until};

#[test]
fn a_job_runs_on_while_its_host_is_away_and_no_byte_of_its_log_is_lost_or_doubled() {
    for says_nothing in [false, true] {
        let mut rig = Rig::new();
        let mut plan = plan(shell(&[
            "seq 1 20000; touch one; while ! test -e go; do sleep 0.02; done",
            "seq 20001 40000; touch two; while ! test -e on; do sleep 0.02; done",
            "seq 40001 60000; mkdir out; echo done >out/file",
        ]));
        let path = "out".to_owned();
        plan.save_artifacts = vec![SaveArtifact { id: path.clone(), path, ..SaveArtifact::default() }];
        rig.api.state().plan = Some(plan);
        // What is kept may be known to nobody but who keeps it.
        rig.api.state().says_nothing_of_logs = says_nothing;
        let (mut launcher, mut sidecar) = (Guard(rig.launcher()), Guard(rig.sidecar()));
        until("the first lines", || rig.work("one").exists() && rig.stdout().ends_with("20000\n"));
        rig.api.stop();
        fs::write(rig.work("go"), "").unwrap();
        until("the job to go on", || rig.work("two").exists());
        rig.api.state().says_nothing_of_logs = false;
        rig.api.come_back();
        fs::write(rig.work("on"), "").unwrap();
        assert_eq!((sidecar.wait(), launcher.wait()), (Some(0), Some(0)), "{}", rig.stderr("sidecar"));
        assert_eq!(rig.api.state().result, Some(SidecarReport::Ended(Ending::Succeeded)));
        let expected: String = (1..=60_000).map(|number| format!("{number}\n")).collect();
        assert!(rig.stdout() == expected, "{} bytes in place of {}", rig.stdout().len(), expected.len());
        assert!(rig.api.state().artifacts.contains_key("out"));
    }
}

#[test]
fn a_job_that_ends_while_its_host_is_away_is_saved_and_reported_to_the_one_that_comes() {
    let mut rig = Rig::new();
    let mut plan =
        plan(shell(&["touch one; while ! test -e go; do sleep 0.02; done", "echo x=y >$MONKEYCI_OUTPUTS", "exit 3"]));
    let path = "one".to_owned();
    plan.save_artifacts = vec![SaveArtifact { id: path.clone(), path, always: true, ..SaveArtifact::default() }];
    rig.api.state().plan = Some(plan);
    let (mut launcher, mut sidecar) = (Guard(rig.launcher()), Guard(rig.sidecar()));
    until("the job to start", || rig.work("one").exists());
    rig.api.stop();
    fs::write(rig.work("go"), "").unwrap();
    until("the job to end", || fs::read_to_string(rig.path("outputs")).is_ok_and(|outputs| !outputs.is_empty()));
    rig.api.come_back();
    assert_eq!((sidecar.wait(), launcher.wait()), (Some(0), Some(3)), "{}", rig.stderr("sidecar"));
    let report = rig.api.state().result.take();
    assert!(matches!(report, Some(SidecarReport::Ended(Ending::Exited { code: 3, .. }))), "{report:?}");
    assert_eq!(rig.api.state().outputs.as_deref(), Some(&b"x=y\n"[..]));
    assert!(rig.api.state().artifacts.contains_key("one"));
}

#[test]
fn a_workspace_that_breaks_off_is_fetched_again() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let mut noise = Vec::new();
    for number in 0..200_000_u32 {
        noise.extend(number.wrapping_mul(2_654_435_761).to_be_bytes());
    }
    fs::write(dir.path().join("noise"), &noise).unwrap();
    let mut tar = Vec::new();
    monkeyci_archive::pack_workspace(dir.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut tar).unwrap();
    rig.api.state().workspace = Some(tar);
    rig.api.state().cut_off = vec!["GET /workspace".to_owned()];
    assert_eq!(rig.shell(&["true"]).ending(), &Ending::Succeeded);
    assert!(fs::read(rig.work("noise")).unwrap() == noise);
    assert_eq!(rig.api.state().requests.iter().filter(|request| *request == "GET /workspace").count(), 2);
}
