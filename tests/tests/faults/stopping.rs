//! Cancelling and time limits, in every phase of a job.

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host, Running, run_limited};
use monkeyci_tests::registry::Registry;
use monkeyci_tests::repository::Repository;
use monkeyci_tests::s3::S3;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::{assert_nothing_left, run, wait_until_begun};

/// Cancels a case at a moment; it has to end, and leave nothing. What the job does then would take far longer than anybody waits
/// here. (`cargo xtask faults --victim cancel` tells how long it takes.)
fn cancelled(engine: &Engine, case: &str, arguments: &[&str], at: impl Fn(&mut Running, &Host)) -> Ended {
    cancelled_on(engine, Host::on(engine), case, arguments, at)
}

fn cancelled_on(
    engine: &Engine,
    host: Host,
    case: &str,
    arguments: &[&str],
    at: impl Fn(&mut Running, &Host),
) -> Ended {
    let mut build = host.start(case, arguments);
    at(&mut build, &host);
    kill_process(build.pid(), Signal::INT).expect("signalled");
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(130), "cancelled"), "{ended:#?}");
    assert_nothing_left(engine, &host);
    ended
}

/// Whether the command of the job ran when something stopped it.
fn has_begun(ended: &Ended) -> bool {
    ended.log(Some("victim")).contains("begun\n")
}

fn saved(ended: &Ended) -> Vec<&str> {
    ended.of_type("artifact/saved").filter_map(|event| event["id"].as_str()).collect()
}

/// What the host's own lines in a job's log say.
fn said(ended: &Ended) -> String {
    let lines = ended.of_type("log").filter(|line| line["stream"] == "host");
    lines.filter_map(|line| line["text"].as_str()).collect()
}

fn assert_only_what_is_always_saved(ended: &Ended) {
    assert_eq!(saved(ended), ["logs"], "{ended:#?}");
    let said = said(ended);
    assert!(said.contains("saved cache kept") && !said.contains("saved cache half"), "{said}");
}

#[test]
fn a_cancelled_job_saves_what_it_always_saves() {
    let begun = |build: &mut Running, _: &Host| wait_until_begun(build);
    for engine in [Engine::docker(), Engine::podman()] {
        let ended = cancelled(&engine, "stopped", &[], begun);
        assert_only_what_is_always_saved(&ended);
        assert!(ended.log(Some("victim")).contains("stopped by TERM"), "its grace was not used up: {ended:#?}");
    }
}

#[test]
fn a_build_is_cancelled_from_another_process() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let mut build = host.start("running", &[]);
    let id = build.wait_for(|event| event["type"] == "build/triggered")["build"].as_str().expect("an id").to_owned();
    build.wait_until_running("victim");
    let asked = host.command(&["cancel", &id]).output().expect("the host runs");
    assert!(asked.status.success(), "{asked:?}");
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(130), "cancelled"), "{ended:#?}");
    assert_nothing_left(&engine, &host);
}

#[test]
fn a_job_that_reaches_its_time_limit_saves_what_it_always_saves() {
    let limited = |limit| run(&Engine::docker(), "stopped", &["--param", &format!("limit-ms={limit}")]);
    let ended = run_limited(limited, has_begun);
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "timed-out"), "{ended:#?}");
    assert_only_what_is_always_saved(&ended);
}

#[test]
fn a_build_that_reaches_its_time_limit_stops_its_jobs_and_says_so() {
    let limited = |limit| run(&Engine::docker(), "stopped", &["--timeout", &format!("{limit}ms")]);
    let ended = run_limited(limited, has_begun);
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "cancelled"), "{ended:#?}");
    assert_only_what_is_always_saved(&ended);
    assert_eq!(ended.of_type("build/timed-out").count(), 1, "{ended:#?}");
    assert_eq!(ended.of_type("build/ended").next().expect("an end")["status"], "timed-out");
}

#[test]
fn a_job_killed_after_its_grace_still_saves_for_as_long_as_that_takes() {
    let begun = |build: &mut Running, _: &Host| wait_until_begun(build);
    let ended = cancelled(&Engine::docker(), "stubborn", &[], begun);
    assert_eq!(saved(&ended), ["big"], "{ended:#?}");
}

#[test]
fn a_job_is_cancelled_while_its_image_is_pulled() {
    for engine in [Engine::docker(), Engine::podman()] {
        let registry = Registry::silent();
        let image = format!("to-pull={}", registry.image());
        let pulling = |_: &mut Running, _: &Host| registry.wait_until_asked();
        let ended = cancelled(&engine, "pulling", &["--param", &image], pulling);
        assert_eq!(ended.of_type("job/running").count(), 0);
    }
}

#[test]
fn a_job_is_cancelled_while_its_service_gets_ready() {
    let engine = Engine::docker();
    let waiting = |_: &mut Running, host: &Host| {
        engine.wait_for_pid(&host.owner_soon(), "victim", "svc-web");
    };
    let ended = cancelled(&engine, "starting", &[], waiting);
    assert_eq!(ended.of_type("job/running").count(), 0);
}

#[test]
fn a_job_is_cancelled_while_its_workspace_is_restored() {
    let repository = Repository::default();
    let noise: Vec<u8> = (0_u32..75_000_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    std::fs::write(repository.path().join("noise"), noise).expect("written");
    let engine = Engine::docker();
    let restoring = |_: &mut Running, host: &Host| {
        engine.wait_for_pid(&host.owner_soon(), "victim", "job");
    };
    let dir = repository.path().to_str().expect("text");
    cancelled(&engine, "restoring", &["--dir", dir], restoring);
}

#[test]
fn a_job_is_cancelled_while_it_saves_and_what_it_saves_is_not() {
    let saving = |build: &mut Running, _: &Host| {
        build.wait_for(|event: &Value| event["type"] == "artifact/saved");
    };
    let ended = cancelled(&Engine::docker(), "saving-for-long", &[], saving);
    assert_eq!(saved(&ended), ["small"]);
}

#[test]
fn a_job_is_cancelled_while_a_store_that_takes_nothing_holds_its_artifact_up() {
    let engine = Engine::docker();
    let store = S3::start();
    store.hold_artifacts();
    let host = Host::on(&engine).storing_in(&store);
    let held = |_: &mut Running, _: &Host| store.wait_until_held();
    let ended = cancelled_on(&engine, host, "saving", &["--param", "size=1M"], held);
    assert_eq!(saved(&ended), [""; 0]);
}
