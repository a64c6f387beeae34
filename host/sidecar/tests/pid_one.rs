//! The launcher as a container has it: PID 1 of a namespace. Needs the right to make one.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::process::Command as Process;
use std::time::{Duration, Instant};

use monkeyci_build::Ending;
use rig::{Rig, plan, shell};
use rustix::process::Signal;

/// A rig whose launcher is PID 1; none where that is not allowed.
fn rig() -> Option<Rig> {
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let allowed = Process::new(wrapper[0]).args(&wrapper[1..]).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no PID namespaces here");
        return None;
    }
    let mut rig = Rig::new();
    rig.wrapper = wrapper.map(str::to_owned).to_vec();
    Some(rig)
}

#[test]
fn as_pid_1_the_launcher_reaps_orphans() {
    let Some(rig) = rig() else { return };
    let done = rig.shell(&[
        "test $PPID = 1",
        "for i in 1 2 3 4 5; do sh -c 'sleep 0.05 & exit 0'; done",
        "sleep 0.3",
        "! grep -l '^State:.Z' /proc/[0-9]*/status",
    ]);
    assert_eq!(done.ending(), &Ending::Succeeded, "{}{}", rig.stdout(), rig.stderr_of_job());
    assert_eq!(done.launcher_code, Some(0));
}

#[test]
fn as_pid_1_the_launcher_kills_what_is_left_however_much_it_forks() {
    let Some(rig) = rig() else { return };
    let start = Instant::now();
    let done = rig.shell(&[
        "trap '' TERM HUP",
        "for i in 1 2 3; do setsid sh -c 'while true; do sleep 0.001 & sleep 0.01; done' & done",
        "sleep 0.2",
        "exit 6",
    ]);
    assert!(matches!(done.ending(), Ending::Exited { code: 6, .. }), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(done.launcher_code, Some(6));
}

#[test]
fn as_pid_1_the_launcher_ends_with_its_sidecar() {
    let Some(rig) = rig() else { return };
    let mut running = rig.start(plan(shell(&["trap '' TERM", "setsid sleep 1000 &", "echo ready; sleep 1000; true"])));
    running.until_logged("ready");
    let start = Instant::now();
    running.sidecar.signal(Signal::KILL);
    assert_eq!(running.launcher.wait(), Some(125));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
