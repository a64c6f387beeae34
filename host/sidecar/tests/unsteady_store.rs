//! A build API whose store fails for a while, or gives back what was not saved; and a job that says more than anybody keeps.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_build::{CacheSpec, Ending, RestoreArtifact, SaveArtifact};
use rig::{Rig, plan, shell};

/// An archive of the file `made`, with something in it that no compression takes away.
fn archive() -> Vec<u8> {
    let from = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(from.path().join("made"), noise).unwrap();
    let (dir, mut archive) = (Dir::open_ambient_dir(from.path(), ambient_authority()).unwrap(), Vec::new());
    monkeyci_archive::pack(&dir, Path::new("made"), &mut archive).unwrap();
    archive
}

fn saving() -> monkeyci_api::SidecarPlan {
    let mut plan = plan(shell(&["echo made >made"]));
    plan.save_artifacts = vec![SaveArtifact { id: "a".to_owned(), path: "made".to_owned(), ..SaveArtifact::default() }];
    plan.caches = vec![CacheSpec { id: "c".to_owned(), path: "made".to_owned(), ..CacheSpec::default() }];
    plan
}

fn count(rig: &Rig, request: &str) -> usize {
    rig.api.state().requests.iter().filter(|known| *known == request).count()
}

#[test]
fn an_upload_that_fails_twice_is_made_again_and_the_job_succeeds() {
    let rig = Rig::new();
    for request in ["PUT /artifacts/a", "PUT /caches/c"] {
        rig.api.state().failing.insert(request.to_owned(), 2);
    }
    assert_eq!(rig.run(saving()).ending(), &Ending::Succeeded);
    assert_eq!((count(&rig, "PUT /artifacts/a"), count(&rig, "PUT /caches/c")), (3, 3));
    let state = rig.api.state();
    assert!(state.artifacts["a"] == state.caches["c"] && !state.artifacts["a"].is_empty());
}

#[test]
fn an_upload_that_keeps_failing_is_given_up_and_said() {
    let rig = Rig::new();
    rig.api.state().failing.insert("PUT /artifacts/a".to_owned(), 100);
    let done = rig.run(saving());
    assert!(
        matches!(done.ending(), Ending::SidecarFailed { step, .. } if step == "saving artifact a"),
        "{:?}",
        done.ending()
    );
    assert_eq!(count(&rig, "PUT /artifacts/a"), 4);
}

#[test]
fn an_upload_that_is_refused_is_not_made_again() {
    let rig = Rig::new();
    rig.api.state().refused.push("PUT /artifacts/a".to_owned());
    assert!(matches!(rig.run(saving()).ending(), Ending::SidecarFailed { .. }));
    assert_eq!(count(&rig, "PUT /artifacts/a"), 1);
}

#[test]
fn an_archive_that_was_changed_ends_the_job_before_its_command() {
    let digest = "0".repeat(64);
    for (path, step) in [
        ("/workspace", "restoring the workspace"),
        ("/artifacts/a", "restoring artifact a"),
        ("/caches/c", "restoring cache c"),
    ] {
        let mut whole = archive();
        // Once with bytes that unpack, and once with some that don't.
        for broken in [false, true] {
            if broken {
                let middle = whole.len() / 2;
                whole[middle] ^= 1;
            }
            let rig = Rig::new();
            let mut state = rig.api.state();
            state.digests.insert(path.to_owned(), digest.clone());
            match path {
                "/workspace" => state.workspace = Some(whole.clone()),
                "/artifacts/a" => drop(state.artifacts.insert("a".to_owned(), whole.clone())),
                _ => drop(state.caches.insert("c".to_owned(), whole.clone())),
            }
            drop(state);
            let mut plan = plan(shell(&["echo ran"]));
            plan.restore_artifacts = vec![RestoreArtifact {
                id: "a".to_owned(),
                path: String::new(),
                if_there: true,
                ..RestoreArtifact::default()
            }];
            plan.caches = vec![CacheSpec { id: "c".to_owned(), path: "made".to_owned(), ..CacheSpec::default() }];
            let done = rig.run(plan);
            let Ending::SidecarFailed { step: failed, reason } = done.ending() else { panic!("{:?}", done.ending()) };
            assert_eq!(failed, step);
            assert!(reason.contains("the store has changed it"), "{reason}");
            assert_eq!(rig.stdout(), "");
        }
    }
}

/// Four times what it may take of memory; the benchmark `large` sends forty times as much.
const LONG_LOG: u64 = 256 << 20;

#[test]
fn a_long_log_takes_little_memory_of_sidecar_and_launcher() {
    let rig = Rig::new();
    rig.api.state().log_counted = Some(0);
    rig.api.state().plan = Some(plan(shell(&[&format!("head -c {LONG_LOG} /dev/zero")])));
    let (mut launcher, mut sidecar) = (rig.launcher(), rig.sidecar());
    let mut peaks = [0; 2];
    while sidecar.try_wait().unwrap().is_none() {
        for (peak, process) in peaks.iter_mut().zip([&sidecar, &launcher]) {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
            let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
            *peak = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(*peak);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    launcher.wait().unwrap();
    assert!(rig.api.state().log_counted.unwrap() > LONG_LOG);
    assert!(peaks.iter().all(|peak| (1..64 << 10).contains(peak)), "{peaks:?}");
}
