//! What a killed daemon and a full disk come to. The daemon is one of the tests' own.

use std::time::Duration;

use monkeyci_tests::dockerd::Dockerd;
use monkeyci_tests::host::Host;
use monkeyci_tests::repository::Repository;
use monkeyci_tests::s3::S3;
use rustix::process::{Signal, kill_process, test_kill_process};

use crate::assert_nothing_left;

#[test]
fn a_daemon_that_is_killed_and_comes_back_ends_the_job_and_leaves_nothing() {
    let mut dockerd = Dockerd::start();
    let host = Host::on(&dockerd.engine());
    let mut build = host.start("running", &[]);
    build.wait_until_running("victim");
    let job = dockerd.engine().wait_for_pid(&host.owner(), "victim", "job");
    // One that comes back ends its containers, unless it can't reach them in time, as on a busy machine: then they run on.
    let ends = (0..10).any(|_| {
        dockerd.kill();
        dockerd.run();
        test_kill_process(job).is_err()
    });
    assert!(ends, "a daemon that comes back ends no container");
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "engine-gone"), "{ended:#?}");
    let reason = ended.ending("victim")["reason"].as_str().expect("a reason");
    assert!(reason.contains("started again"), "nobody waited for its lease: {reason}");
    assert_nothing_left(&dockerd.engine(), &host);
}

#[test]
fn a_job_whose_daemon_was_away_for_a_while_may_still_succeed() {
    let mut dockerd = Dockerd::start();
    let store = S3::start();
    store.hold_artifacts();
    let host = Host::on(&dockerd.engine()).storing_in(&store);
    let mut build = host.start("saving", &["--param", "size=1M"]);
    store.wait_until_held();
    dockerd.kill();
    store.go_on();
    build.wait_for(|event| event["type"] == "job/ended");
    dockerd.run();
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(0), "succeeded"), "{ended:#?}");
    assert_nothing_left(&dockerd.engine(), &host);
}

#[test]
fn a_job_whose_death_a_daemon_that_is_away_can_not_explain_went_with_it() {
    let mut dockerd = Dockerd::start();
    let engine = dockerd.engine();
    let host = Host::on(&engine);
    let mut build = host.start("running", &[]);
    build.wait_until_running("victim");
    let job = engine.wait_for_pid(&host.owner(), "victim", "job");
    dockerd.kill();
    // As a containerd that comes back does with containers that it can't reach in time.
    kill_process(job, Signal::KILL).expect("killed");
    std::thread::sleep(Duration::from_secs(8));
    dockerd.run();
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "engine-gone"), "{ended:#?}");
    assert_nothing_left(&engine, &host);
}

#[test]
fn a_daemon_that_does_not_come_back_is_gone_when_its_lease_is_over() {
    let mut dockerd = Dockerd::start();
    let host = Host::on(&dockerd.engine());
    let mut build = host.start("running", &[]);
    build.wait_until_running("victim");
    dockerd.kill();
    build.wait_for(|event| event["type"] == "job/ended");
    dockerd.run();
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "engine-gone"), "{ended:#?}");
    let reason = ended.ending("victim")["reason"].as_str().expect("a reason");
    assert!(reason.contains("it was not back after 30 s"), "{reason}");
}

#[test]
fn a_full_disk_is_named_by_the_step_that_found_it() {
    let dockerd = Dockerd::with_disk(64 << 20);
    let host = Host::on(&dockerd.engine());
    let repository = Repository::default();
    let noise: Vec<u8> = (0_u32..20_000_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    std::fs::write(repository.path().join("noise"), noise).expect("written");
    let ended = host.run("one-artifact", &["--dir", repository.path().to_str().expect("text")]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "disk-full"), "{ended:#?}");
    let ending = ended.ending("victim");
    assert_eq!(ending["place"], "the disk with the job's workspace");
    assert_eq!(ending["step"], "restoring the workspace");
    assert!(ending["reason"].as_str().expect("a reason").contains("No space left"), "{ending}");
    // What the job itself fills is its own failure, and told from other exit codes.
    let ended = host.run("fills-the-disk", &[]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "disk-full"), "{ended:#?}");
    assert_eq!(
        (&ended.ending("victim")["step"], &ended.ending("victim")["code"]),
        (&"running the command".into(), &1.into())
    );
    assert!(ended.log(Some("victim")).contains("No space left"), "{ended:#?}");
    assert_nothing_left(&dockerd.engine(), &host);
    // Without room for a container nothing starts.
    let filled = dockerd.fill_disk();
    let ended = host.run("one-artifact", &[]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "disk-full"), "{ended:#?}");
    assert_eq!(ended.ending("victim")["place"], "the container engine's disk", "{ended:#?}");
    std::fs::remove_file(filled).expect("removed");
    assert_eq!(host.run("one-artifact", &[]).code, Some(0));
    assert_nothing_left(&dockerd.engine(), &host);
}
