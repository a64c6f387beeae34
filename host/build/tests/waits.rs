//! Actions that wait for jobs, and the cycles that they may not make.

mod told_build;

use monkeyci_build::{BuildCommand, CommandError, EventBody, WaitFor};
use told_build::{Build, spec};

/// Asks to wait, and has that written down if it is accepted.
fn waits_for(build: &mut Build, job: &str, others: &[&str]) -> Result<Option<EventBody>, String> {
    let what = WaitFor::AnyOf(others.iter().map(|&other| other.to_owned()).collect());
    let (job, attempt) = (job.to_owned(), build.state.turn(job));
    let accepted = build.state.accept(BuildCommand::Wait { job, attempt, what });
    let accepted = accepted.map_err(|refused: CommandError| refused.to_string())?;
    if let Some(body) = &accepted {
        build.tell(body.clone());
    }
    Ok(accepted)
}

#[test]
fn actions_that_wait_for_each_other_are_found_by_the_one_that_closes_the_cycle() {
    let (mut build, _) = Build::of(9, &[("a", &[]), ("b", &[]), ("c", &[]), ("free", &[])]);
    for job in ["a", "b", "c", "free"] {
        build.started(job);
    }
    assert!(waits_for(&mut build, "a", &["b", "free"]).is_ok());
    assert!(waits_for(&mut build, "b", &["c"]).is_ok());
    // "a" can end by "free".
    assert!(waits_for(&mut build, "c", &["a"]).is_ok());
    build.succeeded("free");
    assert!(waits_for(&mut build, "a", &["b", "free"]).is_ok());
    let told = r#""a" would wait for "b", which waits for "c", which waits for "a": none of them could ever end"#;
    let found = waits_for(&mut build, "a", &["b"]).expect_err("a cycle");
    assert!(found.starts_with(told), "{found}");
}

#[test]
fn an_action_can_not_wait_for_a_job_that_needs_it() {
    let (mut build, _) = Build::of(3, &[("a", &[]), ("free", &[]), ("b", &["free", "a"]), ("c", &["b"])]);
    build.started("a");
    build.started("free");
    let found = waits_for(&mut build, "a", &["c"]).expect_err("a cycle");
    assert!(found.contains(r#"for "c", which needs "b", which needs "a":"#), "{found}");
    // Any will do, and one of them can end.
    assert!(waits_for(&mut build, "a", &["c", "free"]).is_ok());
}

#[test]
fn waiting_for_jobs_that_others_wait_for_is_no_cycle() {
    let (mut build, _) = Build::of(9, &[("a", &[]), ("b", &[]), ("c", &[]), ("d", &["c"])]);
    for job in ["a", "b", "c"] {
        build.started(job);
    }
    build.submitted("a", vec![spec("sub", &["c"])]);
    assert!(waits_for(&mut build, "a", &["sub", "d"]).is_ok());
    assert!(waits_for(&mut build, "b", &["a"]).is_ok());
    assert!(waits_for(&mut build, "b", &["x"]).expect_err("no such job").contains(r#"no job "x""#));
    assert!(waits_for(&mut build, "b", &["b"]).expect_err("itself").contains("would wait for itself"));
}

#[test]
fn what_is_left_of_a_wait_is_not_written_down_again_job_by_job() {
    let (mut build, _) = Build::of(9, &[("act", &[]), ("a", &[]), ("b", &[]), ("c", &[])]);
    for job in ["act", "a", "b", "c"] {
        build.started(job);
    }
    let written = waits_for(&mut build, "act", &["a", "b", "c"]).expect("it may wait");
    assert!(matches!(&written, Some(EventBody::JobWaiting { jobs, .. }) if jobs.len() == 3), "{written:?}");
    // The same question once more, as it is asked again and again until there is an answer.
    assert_eq!(waits_for(&mut build, "act", &["a", "b", "c"]), Ok(None));
    build.succeeded("b");
    let rest = EventBody::JobWaiting { job: "act".into(), attempt: 1, jobs: vec![], rest: true };
    assert_eq!(waits_for(&mut build, "act", &["a", "c"]), Ok(Some(rest)));
    assert_eq!(waits_for(&mut build, "act", &["a", "c"]), Ok(None));
    let other = waits_for(&mut build, "act", &["c"]).expect("it may wait");
    assert!(matches!(&other, Some(EventBody::JobWaiting { jobs, rest: false, .. }) if jobs == &["c"]), "{other:?}");
}

#[test]
fn a_new_attempt_waits_for_nothing_of_what_the_last_one_waited_for() {
    let again = monkeyci_build::Retry { count: 1, delay_ms: 0, on: vec![] };
    let jobs = vec![monkeyci_build::JobSpec { retry: Some(again), ..spec("a", &[]) }, spec("b", &[])];
    let (mut build, _) = Build::of_specs(9, jobs);
    build.started("a");
    build.started("b");
    assert!(waits_for(&mut build, "a", &["b"]).is_ok());
    build.concluded("a", told_build::failure());
    build.started("a");
    assert!(waits_for(&mut build, "b", &["a"]).is_ok(), "the first attempt is over");
}

#[test]
fn each_attempt_of_an_action_that_waits_gives_its_slot_up_once() {
    let again = monkeyci_build::Retry { count: 1, delay_ms: 0, on: vec![] };
    let jobs = vec![monkeyci_build::JobSpec { retry: Some(again), ..spec("a", &[]) }];
    let (mut build, _) = Build::of_specs(1, jobs);
    let wait = |build: &Build| {
        let attempt = build.state.turn("a");
        build.state.accept(BuildCommand::Wait { job: "a".into(), attempt, what: WaitFor::ForATime })
    };
    for attempt in [1, 2] {
        build.started("a");
        let waits = EventBody::JobWaiting { job: "a".into(), attempt, jobs: vec![], rest: false };
        assert_eq!(wait(&build), Ok(Some(waits.clone())));
        build.tell(waits);
        assert_eq!((build.state.running(), wait(&build)), (0, Ok(None)));
        build.concluded("a", told_build::failure());
    }
    assert_eq!(wait(&build), Err(CommandError::AttemptOver { job: "a".into(), attempt: build.state.turn("a") }));
}

#[test]
fn what_the_scripts_of_a_build_say_has_a_limit_that_a_crash_does_not_reset() {
    let (mut build, _) = Build::of(1, &[("a", &[])]);
    build.started("a");
    let message = "x".repeat(60 << 10);
    let by = monkeyci_build::Asker { job: Some("a".into()), attempt: 1 };
    let report = || BuildCommand::Report { by: by.clone(), message: message.clone() };
    while let Ok(Some(body)) = build.state.accept(report()) {
        build.tell(body);
    }
    assert_eq!(build.state.accept(report()), Err(CommandError::WordsUsedUp));
    assert_eq!(build.taken_up(1).accept(report()), Err(CommandError::WordsUsedUp));
}
