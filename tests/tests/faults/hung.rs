//! What a daemon that hangs comes to: it takes requests, and answers none. The daemon is one of the tests' own.

use std::time::Duration;

use monkeyci_tests::dockerd::Dockerd;
use monkeyci_tests::host::{Host, Running};
use rustix::process::{Signal, kill_process};

use crate::{assert_nothing_left, wait_until_begun};

#[test]
fn a_daemon_that_hangs_while_a_job_runs_is_gone_when_its_lease_is_over() {
    let dockerd = Dockerd::start();
    let host = Host::on(&dockerd.engine());
    let mut build = host.start("running", &[]);
    wait_until_begun(&mut build);
    dockerd.hang();
    build.wait_for(|event| event["type"] == "job/ended");
    dockerd.go_on();
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "engine-gone"), "{ended:#?}");
    assert_nothing_left(&dockerd.engine(), &host);
}

#[test]
fn a_daemon_that_hangs_while_a_job_starts_is_gone_when_its_lease_is_over() {
    let dockerd = Dockerd::start();
    let engine = dockerd.engine();
    let host = Host::on(&engine);
    let mut build = host.start("starting", &[]);
    engine.wait_for_pid(&host.owner_soon(), "victim", "svc-web");
    dockerd.hang();
    build.wait_for(|event| event["type"] == "job/ended");
    dockerd.go_on();
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "engine-gone"), "{ended:#?}");
    assert_nothing_left(&engine, &host);
}

#[test]
fn a_daemon_that_hangs_from_the_start_is_named() {
    let dockerd = Dockerd::start();
    let engine = dockerd.engine();
    dockerd.hang();
    let ended = Host::on(&engine).run("sleeps-shortly", &[]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "engine-failed"), "{ended:#?}");
    let reason = ended.ending("victim")["reason"].as_str().expect("a reason");
    assert!(reason.contains(&engine.address) && reason.contains("no answer"), "{reason}");
}

#[test]
fn a_job_succeeds_whose_daemon_hung_for_a_while() {
    let dockerd = Dockerd::start();
    let engine = dockerd.engine();
    // In turn: when the job starts, and when it runs and ends.
    for at_start in [true, false] {
        let host = Host::on(&engine);
        let mut build = host.start("sleeps-shortly", &[]);
        if at_start {
            build.wait_for(|event| event["type"] == "job/started");
        } else {
            wait_until_begun(&mut build);
        }
        dockerd.hang();
        std::thread::sleep(Duration::from_secs(6));
        dockerd.go_on();
        let ended = build.end();
        assert_eq!((ended.code, ended.cause("victim")), (Some(0), "succeeded"), "{ended:#?}");
        assert_nothing_left(&engine, &host);
    }
}

/// Interrupts a build whose daemon hangs, so often; it has to end, to say what it has left behind, and `gc` to remove that.
fn interrupted(mut build: Running, dockerd: &Dockerd, host: &Host, times: u32) {
    dockerd.hang();
    for _ in 0..times {
        kill_process(build.pid(), Signal::INT).expect("signalled");
        build.wait_for(|event| event["type"] == "note");
    }
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(130), "cancelled"), "{ended:#?}");
    let said = |line: &serde_json::Value| {
        line["stream"] == "host" && line["text"].as_str().is_some_and(|text| text.contains("`monkeyci-host gc`"))
    };
    assert!(ended.of_type("log").any(|line| line["job"] == "victim" && said(line)), "{ended:#?}");
    dockerd.go_on();
    let engine = dockerd.engine();
    assert_ne!(engine.leftovers(&host.owner()), [] as [String; 0]);
    let gc = host.command(&["gc", "--engine", &engine.address]).output().expect("gc runs");
    assert!(gc.status.success(), "{gc:?}");
    assert_nothing_left(&engine, host);
}

#[test]
fn a_build_is_interrupted_in_spite_of_a_daemon_that_hangs_and_says_what_it_leaves() {
    let dockerd = Dockerd::start();
    // One interrupt, and a second one that forces the end.
    for times in [1, 2] {
        let host = Host::on(&dockerd.engine());
        let mut build = host.start("running", &[]);
        wait_until_begun(&mut build);
        interrupted(build, &dockerd, &host, times);
    }
}

#[test]
fn a_build_is_interrupted_while_a_daemon_that_hangs_starts_its_job() {
    let dockerd = Dockerd::start();
    let engine = dockerd.engine();
    let host = Host::on(&engine);
    let build = host.start("starting", &[]);
    engine.wait_for_pid(&host.owner_soon(), "victim", "svc-web");
    interrupted(build, &dockerd, &host, 1);
}
