//! One part is killed with SIGKILL: a typed end follows soon, whoever it was and in whatever phase. `cargo xtask faults` does
//! the same over and over, and in every phase.

use monkeyci_tests::dockerd::children;
use monkeyci_tests::engine::Engine;
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Ended, Host, Running};
use monkeyci_tests::s3::S3;
use rustix::process::{Signal, kill_process};

use crate::{assert_nothing_left, wait_until_begun};

/// Kills the process of a part (`job` is the launcher) of a case's job at a moment; the job has to end, and leave nothing. Its phase
/// would last far longer than anybody waits here. (`cargo xtask faults` tells how long an end takes.)
fn killed(engine: &Engine, case: &str, part: &str, at: impl Fn(&mut Running, &Host)) -> Ended {
    let host = Host::on(engine);
    let mut build = host.start(case, &[]);
    at(&mut build, &host);
    let pid = engine.wait_for_pid(&host.owner_soon(), "victim", part);
    kill_process(pid, Signal::KILL).expect("killed");
    let ended = build.end();
    assert_nothing_left(engine, &host);
    ended
}

/// Kills the process of a part while the job's artifact is on its way to a store that holds it up, and lets the store go on.
fn killed_while_it_saves(engine: &Engine, part: &str) -> Ended {
    let store = S3::start();
    store.hold_artifacts();
    let host = Host::on(engine).storing_in(&store);
    let build = host.start("saving", &["--param", "size=1M"]);
    store.wait_until_held();
    let pid = engine.wait_for_pid(&host.owner(), "victim", part);
    kill_process(pid, Signal::KILL).expect("killed");
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    hang_guard::until("its death", || !std::path::Path::new(&process).exists());
    store.go_on();
    let ended = build.end();
    assert_nothing_left(engine, &host);
    ended
}

fn each_engine(promise: impl Fn(&Engine)) {
    [Engine::docker(), Engine::podman()].iter().for_each(promise);
}

#[test]
fn a_sidecar_killed_before_its_job_could_start_ends_it() {
    each_engine(|engine| {
        let ended = killed(engine, "starting", "sidecar", |_, _| {});
        assert_eq!((ended.code, ended.cause("victim")), (Some(4), "sidecar-failed"), "{ended:#?}");
    });
}

#[test]
fn a_launcher_killed_while_its_job_is_prepared_ends_it() {
    each_engine(|engine| {
        let ended = killed(engine, "restoring", "job", |_, _| {});
        assert_eq!((ended.code, ended.cause("victim")), (Some(1), "killed"), "{ended:#?}");
    });
}

#[test]
fn a_service_killed_while_its_job_is_prepared_ends_it() {
    let ended = killed(&Engine::docker(), "restoring", "svc-web", |_, _| {});
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "service-not-ready"), "{ended:#?}");
}

#[test]
fn a_service_killed_while_its_job_runs_is_the_jobs_affair() {
    let ended = killed(&Engine::docker(), "serving", "svc-web", |build, _| build.wait_until_running("victim"));
    assert_eq!((ended.code, ended.ending("victim")["code"].as_i64()), (Some(1), Some(7)), "{ended:#?}");
}

#[test]
fn a_killed_process_of_the_job_is_a_signal() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let mut build = host.start("running", &[]);
    wait_until_begun(&mut build);
    let launcher = engine.wait_for_pid(&host.owner(), "victim", "job");
    let shell = children(launcher).into_iter().next().expect("the job runs");
    kill_process(shell, Signal::KILL).expect("killed");
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "signalled"), "{ended:#?}");
    assert_eq!(ended.ending("victim")["signal"], 9);
}

#[test]
fn a_launcher_killed_after_its_job_was_done_changes_nothing() {
    each_engine(|engine| {
        let ended = killed_while_it_saves(engine, "job");
        assert_eq!((ended.code, ended.cause("victim")), (Some(0), "succeeded"), "{ended:#?}");
        assert_eq!(ended.of_type("artifact/saved").count(), 1);
    });
}

#[test]
fn a_sidecar_killed_while_it_saves_is_told_from_a_failed_job() {
    each_engine(|engine| {
        let ended = killed_while_it_saves(engine, "sidecar");
        assert_eq!((ended.code, ended.cause("victim")), (Some(4), "sidecar-failed"), "{ended:#?}");
        assert_eq!(ended.of_type("artifact/saved").count(), 0);
    });
}
