//! Jobs that are held for a person to look into them.

mod told_build;

use monkeyci_build::{BuildCommand, CommandError, Ending, EventBody, Held, Input, ShellLine, StopReason};
use told_build::{Build, spec, stop};

fn held() -> Box<Held> {
    Box::new(Held::Before { line: ShellLine { number: 2, text: "make".into() } })
}

fn hold(number: u32) -> BuildCommand {
    BuildCommand::Hold { job: "a".into(), attempt: 1, number, held: held() }
}

fn go_on() -> BuildCommand {
    BuildCommand::Continue { job: "a".into(), by: "ada".into() }
}

/// Tells what a command comes to.
fn told(build: &mut Build, command: BuildCommand) -> EventBody {
    let body = build.state.accept(command).expect("accepted").expect("something new");
    build.tell(body.clone());
    body
}

#[test]
fn a_job_is_held_once_however_often_its_sidecar_says_so_and_goes_on_once() {
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[]), spec("b", &["a"])]);
    build.started("a");
    let too_early = BuildCommand::Hold { job: "b".into(), attempt: 1, number: 1, held: held() };
    assert!(matches!(build.state.accept(too_early), Err(CommandError::AttemptOver { .. })), "it has not begun");
    assert_eq!(build.state.accept(go_on()), Err(CommandError::NotHeld { job: "a".into() }));
    for number in [1, 2] {
        let EventBody::JobHeld { limit_ms, .. } = told(&mut build, hold(number)) else { panic!("another event") };
        assert_eq!(Some(limit_ms), build.state.graph().get("a").map(|job| job.timeout_ms));
        assert_eq!(build.state.accept(hold(number)), Ok(None), "the answer was lost");
        let known = build.state.job("a").expect("a job");
        assert_eq!((&known.held, known.has_continued(number)), (&Some(held()), false));
        let continued = told(&mut build, go_on());
        assert_eq!(continued, EventBody::JobContinued { job: "a".into(), attempt: 1, by: "ada".into() });
        assert_eq!(build.state.accept(hold(number)), Ok(None));
        assert!(build.state.job("a").is_some_and(|known| known.held.is_none() && known.has_continued(number)));
    }
    assert_eq!(build.state.accept(go_on()), Err(CommandError::NotHeld { job: "a".into() }));
    let nobody = BuildCommand::Continue { job: "nobody".into(), by: "ada".into() };
    assert_eq!(build.state.accept(nobody), Err(CommandError::NoJob { job: "nobody".into() }));
}

#[test]
fn the_time_limit_of_a_job_goes_on_while_it_is_held() {
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[])]);
    build.started("a");
    told(&mut build, hold(1));
    let due = build.state.next_deadline_ms().expect("a limit");
    assert_eq!(build.state.step(Input::Tick { now_ms: due - 1 }), []);
    assert_eq!(build.state.step(Input::Tick { now_ms: due }), [stop("a", StopReason::TimedOut)]);
}

#[test]
fn a_job_that_ends_is_held_no_more_and_its_next_attempt_is_held_anew() {
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[])]);
    build.started("a");
    told(&mut build, hold(1));
    build.tell(EventBody::JobRetried { job: "a".into(), attempt: 1, ending: Ending::HostDied, delay_ms: 0 });
    build.started("a");
    let known = build.state.job("a").expect("a job");
    assert_eq!((known.attempt, &known.held, known.holds), (2, &None, 0));
    told(&mut build, BuildCommand::Hold { job: "a".into(), attempt: 2, number: 1, held: held() });
    build.ended("a", Ending::Succeeded);
    assert_eq!(build.state.job("a").expect("a job").held, None);
}
