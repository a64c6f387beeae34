//! The launcher as a container has it: PID 1 of a namespace. Needs root.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::process::Command as Process;

use monkeyci_build::Ending;
use rig::{Rig, plan, shell};
use rustix::process::Signal;

/// A rig whose launcher is PID 1.
fn rig() -> Rig {
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let allowed = Process::new(wrapper[0]).args(&wrapper[1..]).arg("true").status();
    assert!(allowed.is_ok_and(|status| status.success()), "a PID namespace is not possible here: it takes root");
    let mut rig = Rig::new();
    rig.wrapper = wrapper.map(str::to_owned).to_vec();
    rig
}

#[test]
fn as_pid_1_the_launcher_reaps_orphans() {
    let rig = rig();
    let done = rig.shell(&[
        "test $PPID = 1",
        "for i in 1 2 3 4 5; do sh -c 'sleep 0.05 & echo $! >>orphans; exit 0'; done",
        // One that has ended and that nobody has reaped is still there.
        "for orphan in $(cat orphans); do while test -e /proc/$orphan; do sleep 0.01; done; done",
    ]);
    assert_eq!(done.ending(), &Ending::Succeeded, "{}{}", rig.stdout(), rig.stderr_of_job());
    assert_eq!(done.launcher_code, Some(0));
}

#[test]
fn as_pid_1_the_launcher_kills_what_is_left_however_much_it_forks() {
    let rig = rig();
    let done = rig.shell(&[
        "trap '' TERM HUP",
        "for i in 1 2 3; do setsid sh -c 'while true; do sleep 0.001 & >forks; sleep 0.01; done' & done",
        "while ! test -e forks; do sleep 0.01; done",
        "exit 6",
    ]);
    assert!(matches!(done.ending(), Ending::Exited { code: 6, .. }), "{done:?}");
    assert_eq!(done.launcher_code, Some(6));
}

#[test]
fn as_pid_1_the_launcher_ends_with_its_sidecar() {
    let rig = rig();
    let mut running = rig.start(plan(shell(&["trap '' TERM", "setsid sleep 1000 &", "echo ready; sleep 1000; true"])));
    running.until_logged("ready");
    running.sidecar.signal(Signal::KILL);
    assert_eq!(running.launcher.wait(), Some(125));
}
