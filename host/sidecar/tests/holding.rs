//! Jobs that are held for a person to look into them.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;

use monkeyci_api::SidecarPlan;
use monkeyci_build::{Ending, Held, JobBreaks, ShellLine};
use rig::{Rig, Running, each, plan, shell};
use rustix::process::Signal;

fn line(number: u32, text: &str) -> ShellLine {
    ShellLine { number, text: text.to_owned() }
}

/// The lines, in one shell and in one each, held there.
fn held_at(breaks: &JobBreaks, lines: &[&str]) -> [SidecarPlan; 2] {
    [shell(lines), each(lines)].map(|command| SidecarPlan { breaks: breaks.clone(), ..plan(command) })
}

fn on_failure() -> JobBreaks {
    JobBreaks { on_failure: true, ..JobBreaks::default() }
}

/// Where the job is held when it is so for this time.
fn until_held(rig: &Rig, times: usize) -> Held {
    rig::until("the job to be held", || rig.api.state().held.len() == times);
    let last = rig.api.state().held.last().unwrap().clone();
    assert_eq!(last.number as usize, times);
    last.held
}

/// A line that leaves a process behind, which says something as soon as a file is there.
const BEHIND: &str = "{ until [ -e word ]; do sleep 0.01; done; echo from behind; exec sleep 1000; } & echo $! >behind";

fn is_alive_behind(rig: &Rig, running: &Running<'_>) {
    fs::write(rig.work("word"), "").unwrap();
    running.until_logged("from behind");
    assert!(rig::runs(&rig.work("behind")));
}

#[test]
fn a_job_that_fails_is_held_as_it_is_and_ends_as_it_would_have_when_it_goes_on() {
    for plan in held_at(&on_failure(), &[BEHIND, "exit 7", "echo never"]) {
        let rig = Rig::new();
        let running = rig.start(plan);
        let exited = Ending::Exited { code: 7, line: Some(line(2, "exit 7")) };
        assert_eq!(until_held(&rig, 1), Held::Failure { ending: exited.clone() });
        is_alive_behind(&rig, &running);
        assert_eq!(rig.api.state().result, None);
        rig.api.state().continued = 1;
        let done = running.finish();
        assert_eq!((done.ending(), done.launcher_code, rig.api.state().held.len()), (&exited, Some(7), 1));
        assert!(!rig::runs(&rig.work("behind")));
        assert_eq!(rig.stdout(), "from behind\n");
    }
}

#[test]
fn a_command_without_a_shell_is_held_where_it_fails_and_nothing_is_that_succeeds() {
    let rig = Rig::new();
    let running = rig.start(SidecarPlan { breaks: on_failure(), ..plan(rig::argv(&["false"])) });
    assert_eq!(until_held(&rig, 1), Held::Failure { ending: Ending::Exited { code: 1, line: None } });
    rig.api.state().continued = 1;
    assert_eq!(running.finish().ending(), &Ending::Exited { code: 1, line: None });
    for plan in held_at(&on_failure(), &["true", "! false"]) {
        let rig = Rig::new();
        assert_eq!(rig.run(plan).ending(), &Ending::Succeeded);
        assert!(rig.api.state().held.is_empty());
    }
}

#[test]
fn a_job_is_held_before_its_lines_and_after_the_last_one() {
    let lines = ["echo one", "echo two", "echo ${go-unset}"];
    let breaks = JobBreaks { before: [1, 2, 4, 9].into(), ..JobBreaks::default() };
    for plan in held_at(&breaks, &lines) {
        let rig = Rig::new();
        let running = rig.start(plan);
        let stations = [
            (Held::Before { line: line(1, lines[0]) }, ""),
            (Held::Before { line: line(2, lines[1]) }, "one\n"),
            (Held::After { line: line(3, lines[2]) }, "one\ntwo\nunset\n"),
        ];
        for ((held, said), number) in stations.into_iter().zip(1..) {
            assert_eq!(until_held(&rig, number), held);
            rig::until("what was said", || rig.stdout().len() >= said.len());
            assert_eq!(rig.stdout(), said);
            rig.api.state().continued = number as u32;
        }
        let done = running.finish();
        assert_eq!((done.ending(), done.launcher_code), (&Ending::Succeeded, Some(0)), "{}", rig.stderr_of_job());
        assert_eq!(rig.stderr_of_job(), "");
    }
}

#[test]
fn a_job_that_fails_after_it_was_held_is_held_there_too() {
    let breaks = JobBreaks { on_failure: true, before: [2].into() };
    for plan in held_at(&breaks, &["true", "exit 3"]) {
        let rig = Rig::new();
        let running = rig.start(plan);
        assert_eq!(until_held(&rig, 1), Held::Before { line: line(2, "exit 3") });
        rig.api.state().continued = 1;
        let exited = Ending::Exited { code: 3, line: Some(line(2, "exit 3")) };
        assert_eq!(until_held(&rig, 2), Held::Failure { ending: exited.clone() });
        rig.api.state().continued = 2;
        assert_eq!(running.finish().ending(), &exited);
    }
}

#[test]
fn a_job_that_is_stopped_while_it_is_held_ends_and_what_it_left_behind_may_clean_up() {
    let behind = "{ trap 'echo cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done; } &";
    for plan in held_at(&on_failure(), &[behind, "exit 7"]) {
        let rig = Rig::new();
        let running = rig.start(plan);
        until_held(&rig, 1);
        running.until_logged("ready");
        running.launcher.signal(Signal::TERM);
        let done = running.finish();
        assert_eq!(done.ending(), &Ending::Exited { code: 7, line: Some(line(2, "exit 7")) });
        assert_eq!(rig.stdout(), "ready\ncleaned\n");
    }
    let breaks = JobBreaks { before: [2].into(), ..JobBreaks::default() };
    for plan in held_at(&breaks, &["true", "echo never"]) {
        let rig = Rig::new();
        let running = rig.start(plan);
        until_held(&rig, 1);
        running.launcher.signal(Signal::TERM);
        let done = running.finish();
        assert!(matches!(done.ending(), Ending::Signalled { signal: 15, .. }), "{done:?}");
        assert_eq!(rig.stdout(), "");
    }
}

#[test]
fn a_job_that_is_told_to_stop_is_held_nowhere_after_that() {
    let trap = "trap 'echo stopped' TERM; echo ready; until [ -e go ]; do sleep 0.01 || :; done";
    let breaks = JobBreaks { on_failure: true, before: [2].into() };
    let [plan, _] = held_at(&breaks, &[trap, "echo clean; exit 3"]);
    let rig = Rig::new();
    let running = rig.start(plan);
    running.until_logged("ready");
    running.launcher.signal(Signal::TERM);
    running.until_logged("stopped");
    fs::write(rig.work("go"), "").unwrap();
    let done = running.finish();
    assert!(matches!(done.ending(), Ending::Exited { code: 3, .. }), "{done:?}");
    assert_eq!((rig.stdout().as_str(), rig.api.state().held.len()), ("ready\nstopped\nclean\n", 0));
}

#[test]
fn a_job_that_says_itself_that_it_waits_is_held_no_more_often_than_it_is_told_to_go_on() {
    // The launcher's descriptors are the job's too.
    let says = "echo '9!' >>/proc/self/fd/100";
    let many =
        format!("until [ -e more ]; do sleep 0.01; done; for n in 1 2 3 4 5 6 7 8 9; do {says}; sleep 0.01; done");
    let waits = "read -r go </proc/self/fd/101";
    let breaks = JobBreaks { before: [9].into(), ..JobBreaks::default() };
    let [plan, _] = held_at(&breaks, &[says, &many, "echo said", waits, says, waits]);
    let rig = Rig::new();
    let running = rig.start(plan);
    until_held(&rig, 1);
    fs::write(rig.work("more"), "").unwrap();
    running.until_logged("said");
    rig.api.state().continued = 1;
    until_held(&rig, 2);
    rig.api.state().continued = 2;
    assert_eq!(running.finish().ending(), &Ending::Succeeded);
    assert_eq!(rig.api.state().held.len(), 2);
}

#[test]
fn a_sidecar_that_dies_takes_the_job_that_it_holds_along() {
    let [plan, _] = held_at(&on_failure(), &[BEHIND, "exit 7"]);
    let rig = Rig::new();
    let mut running = rig.start(plan);
    until_held(&rig, 1);
    running.sidecar.signal(Signal::KILL);
    assert_eq!(running.launcher.wait(), Some(125));
    assert!(!rig::runs(&rig.work("behind")));
}
