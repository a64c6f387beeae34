//! Attempts that do not end in their own time: their host dies, or another one follows them.

mod told_build;

use std::collections::BTreeSet;

use monkeyci_build::{
    BuildCommand, Call, CommandError, Ending, EventBody, JobDraft, JobSpec, Results, Retry, RetryOn, SidecarReport,
    check,
};
use told_build::{Build, failure, spec};

fn again(count: u32, on: &[RetryOn], delay_ms: u64, job: JobSpec) -> JobSpec {
    JobSpec { retry: Some(Retry { count, on: on.to_vec(), delay_ms }), ..job }
}

#[test]
fn an_attempt_finds_the_jobs_that_one_before_it_submitted_and_no_others() {
    let (mut build, _) = Build::of_specs(2, vec![again(2, &[], 0, spec("a", &[])), spec("b", &[])]);
    build.started("a");
    build.started("b");
    let call = |argument: &str| Some(Call { handler: "h".into(), argument: argument.into() });
    let draft = |id: &str, argument: &str| JobDraft { calls: call(argument), ..JobDraft::action(id) };
    let submit = |build: &Build, job: &str, jobs: &[JobDraft]| {
        let (job, attempt) = (job.to_owned(), build.state.turn(job));
        build.state.accept(BuildCommand::Submit { job, attempt, jobs: jobs.to_vec() })
    };
    let jobs = [draft("x", "1"), JobDraft { needs: vec!["x".into()], ..draft("y", "2") }];
    let submitted = submit(&build, "a", &jobs).expect("no fault").expect("new jobs");
    build.tell(submitted);
    assert!(matches!(submit(&build, "a", &jobs), Err(CommandError::Faults(_))), "the same attempt");
    build.concluded("a", failure());
    build.started("a");
    assert_eq!(submit(&build, "a", &jobs), Ok(None));
    let refused =
        |by: &str, jobs: &[JobDraft]| assert!(matches!(submit(&build, by, jobs), Err(CommandError::Faults(_))));
    refused("a", &[draft("x", "another"), jobs[1].clone()]);
    refused("a", &[jobs[0].clone(), draft("z", "3"), draft("b", "4")]);
    refused("b", &jobs);
}

#[test]
fn an_attempt_that_ran_when_its_host_died_ended_as_its_sidecar_said_or_is_lost() {
    let jobs = vec![spec("a", &[]), spec("b", &[]), again(1, &[RetryOn::Error], 5, spec("c", &[])), spec("d", &[])];
    let (mut build, _) = Build::of_specs(3, jobs);
    for job in ["a", "b", "c"] {
        build.started(job);
    }
    let results = Box::new(Results { warning: Some("look".into()), ..Results::default() });
    build.tell(EventBody::JobResults { job: "a".into(), attempt: 1, results });
    let report = Box::new(SidecarReport::Ended(Ending::Succeeded));
    build.tell(EventBody::JobReported { job: "a".into(), attempt: 1, report });
    let ended = |job: &str, ending| EventBody::JobEnded { job: job.into(), attempt: 1, ending };
    let retried =
        |job: &str, delay_ms| EventBody::JobRetried { job: job.into(), attempt: 1, ending: Ending::HostDied, delay_ms };
    let warned = || ended("a", Ending::Warned { message: "look".into() });
    // `d` waits for a slot: it has not run.
    assert_eq!(
        build.state.lost_attempts(false, &BTreeSet::new()),
        [warned(), ended("b", Ending::HostDied), retried("c", 5)]
    );
    assert_eq!(build.state.lost_attempts(true, &BTreeSet::new()), [warned(), retried("b", 0), retried("c", 0)]);
    // Those that run on are none of them.
    assert_eq!(build.state.lost_attempts(false, &["a".into(), "c".into()].into()), [ended("b", Ending::HostDied)]);
    build.cancelled();
    let stopped = ["b", "c"].map(|job| ended(job, Ending::Cancelled));
    assert_eq!(build.state.lost_attempts(true, &BTreeSet::new())[1..], stopped);
}

#[test]
fn containers_that_ran_and_are_not_being_stopped_may_go_on() {
    let container = |id: &str| {
        let checked = check(
            &[JobDraft { image: Some("image".into()), argv: Some(vec!["true".into()]), ..JobDraft::container(id) }],
            &[],
        )
        .expect("no faults");
        checked.graph.jobs()[0].clone()
    };
    let (mut build, _) = Build::of_specs(3, vec![container("a"), spec("b", &[]), container("c"), container("d")]);
    for job in ["a", "b", "c"] {
        build.started(job);
    }
    let may_go_on = |build: &Build| build.state.may_go_on().map(|(spec, _)| spec.id.clone()).collect::<Vec<_>>();
    assert_eq!(may_go_on(&build), ["a", "c"]);
    let report = Box::new(SidecarReport::Ended(Ending::Succeeded));
    build.tell(EventBody::JobReported { job: "a".into(), attempt: 1, report });
    assert_eq!(may_go_on(&build), ["a", "c"], "the end of one that was reported is judged as it would have been");
    build.concluded("c", failure());
    assert_eq!(may_go_on(&build), ["a"]);
    build.cancelled();
    assert_eq!(may_go_on(&build), [""; 0]);
}

#[test]
fn what_a_job_says_again_of_its_result_is_taken_once() {
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[])]);
    build.started("a");
    let said = |name: &str, value: &str| {
        Box::new(Results { outputs: [(name.to_owned(), value.to_owned())].into(), ..Results::default() })
    };
    let say = |build: &Build, results| build.state.accept(BuildCommand::Say { job: "a".into(), attempt: 1, results });
    let first = say(&build, said("x", "1")).expect("taken").expect("new");
    build.tell(first);
    assert_eq!(say(&build, said("x", "1")), Ok(None), "its answer was lost");
    for other in [said("x", "2"), said("y", "1")] {
        assert!(matches!(say(&build, other), Ok(Some(_))));
    }
    let tests = Box::new(Results { tests: Some(Default::default()), ..Results::default() });
    assert!(matches!(say(&build, tests), Ok(Some(_))), "they add up");
}
