//! Each cause of a job's end has a type of its own. (The most common ones are in `containers.rs`, on each engine.)

use monkeyci_testbed::daemons::SmallDisk;
use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;
use monkeyci_tests::registry::Registry;

use crate::{assert_nothing_left, run};

#[test]
fn an_image_that_its_registry_denies_is_not_one_that_is_missing() {
    let engine = Engine::docker();
    for head in ["401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"team\"", "403 Forbidden"] {
        let registry = Registry::answering(head);
        let ended = run(&engine, "pulling", &["--param", &format!("to-pull={}", registry.image())]);
        assert_eq!((ended.code, ended.cause("victim")), (Some(1), "pull-denied"), "{head}: {ended:#?}");
        assert_eq!(ended.ending("victim")["image"], registry.image());
    }
}

#[test]
fn a_file_that_is_no_program_is_not_executable() {
    for engine in [Engine::docker(), Engine::podman()] {
        let ended = run(&engine, "not-executable", &[]);
        assert_eq!((ended.code, ended.cause("victim")), (Some(1), "not-executable"), "{ended:#?}");
        assert_eq!(ended.ending("victim")["command"], "/etc/passwd");
    }
}

#[test]
fn a_user_that_the_image_does_not_know_is_a_failed_start() {
    for engine in [Engine::docker(), Engine::podman()] {
        let ended = run(&engine, "unknown-user", &[]);
        assert_eq!((ended.code, ended.cause("victim")), (Some(1), "start-failed"), "{ended:#?}");
        let reason = ended.ending("victim")["reason"].as_str().expect("a reason");
        assert!(reason.contains("unable to find user \"nosuchuser\""), "{reason}");
    }
}

#[test]
fn a_signal_is_told_apart_from_an_exit_code() {
    for engine in [Engine::docker(), Engine::podman()] {
        let ended = run(&engine, "ends-by-signal", &[]);
        assert_eq!((ended.code, ended.cause("victim")), (Some(1), "signalled"), "{ended:#?}");
        assert_eq!(ended.ending("victim")["signal"], 11);
    }
}

#[test]
fn memory_that_ran_out_for_a_child_alone_is_the_cause_when_the_job_fails_later() {
    let ended = run(&Engine::docker(), "child-out-of-memory", &[]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(1), "out-of-memory"), "{ended:#?}");
    // Two streams that are written at about the same time have no order.
    assert_eq!(ended.log_of("victim", "stdout"), "went on\n");
    assert_eq!(ended.log_of("victim", "stderr"), "Killed\n");
}

#[test]
fn an_artifact_that_nobody_saved_is_named_by_the_job_that_wants_it() {
    let ended = run(&Engine::docker(), "waits-for-nobody", &[]);
    assert_eq!(ended.cause("victim"), "artifact-not-there", "{ended:#?}");
    assert_eq!(ended.ending("victim")["id"], "thing");
}

#[test]
fn a_store_without_room_is_named_and_nothing_of_the_artifact_stays_in_it() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let blobs = host.home().join("blobs");
    let _disk = SmallDisk::at(&blobs, 4 << 20);
    let ended = host.run("big-artifact", &["--param", "mebibytes=16"]);
    assert_eq!((ended.code, ended.cause("make")), (Some(4), "disk-full"), "{ended:#?}");
    let ending = ended.ending("make");
    assert_eq!((&ending["place"], &ending["step"]), (&"the host's store".into(), &"saving artifact big".into()));
    let files = std::process::Command::new("find").arg(blobs.join("artifacts")).args(["-type", "f"]).output();
    assert_eq!(String::from_utf8_lossy(&files.expect("a list").stdout), "", "the upload is cleared away");
}

#[test]
fn a_sidecar_that_fails_says_at_which_step() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    std::fs::create_dir_all(host.home().join("blobs")).expect("a directory");
    // The store can't make a directory where a file is.
    std::fs::write(host.home().join("blobs/artifacts"), "").expect("written");
    let ended = host.run("one-artifact", &[]);
    assert_eq!((ended.code, ended.cause("victim")), (Some(4), "sidecar-failed"), "{ended:#?}");
    assert_eq!(ended.ending("victim")["step"], "saving artifact thing");
    assert_nothing_left(&engine, &host);
}
