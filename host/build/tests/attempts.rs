//! Jobs that fail: those that run again, those that may fail, and those that take others along. And jobs that actions add.

mod told_build;

use monkeyci_build::{
    BuildStatus, Effect, Ending, EventBody, Input, JobSpec, Results, Retry, RetryOn, RunWhen, Status, StopReason,
};
use told_build::{Build, end, end_of, failure, skip, spec, start, start_again, stop, verdict};

fn again(count: u32, on: &[RetryOn], delay_ms: u64, job: JobSpec) -> JobSpec {
    JobSpec { retry: Some(Retry { count, on: on.to_vec(), delay_ms }), ..job }
}

fn group(id: &str, needs: &[&str]) -> JobSpec {
    JobSpec { fail_fast: Some("shards".into()), ..spec(id, needs) }
}

fn failed_fast(because: &str) -> Ending {
    Ending::FailedFast { group: "shards".into(), because: because.into() }
}

fn stopped_fast(because: &str) -> StopReason {
    StopReason::FailedFast { group: "shards".into(), because: because.into() }
}

fn rejected() -> Ending {
    Ending::Rejected { by: "ada".into(), comment: None }
}

fn broken() -> Ending {
    Ending::EngineFailed { reason: "away".into() }
}

fn is_retried(build: &Build, ending: Ending) -> bool {
    matches!(build.state.conclude("a", ending), EventBody::JobRetried { .. })
}

#[test]
fn a_job_runs_again_as_often_as_it_may() {
    let (mut build, _) = Build::of_specs(1, vec![again(2, &[], 0, spec("a", &[])), spec("b", &["a"])]);
    assert_eq!(build.state.job("a").map(|job| job.attempt), Some(1));
    for attempt in [2, 3] {
        build.started("a");
        let body = EventBody::JobRetried { job: "a".into(), attempt: attempt - 1, ending: failure(), delay_ms: 0 };
        assert_eq!(build.state.conclude("a", failure()), body);
        assert_eq!(build.concluded("a", failure()), [start_again("a", attempt)]);
        assert_eq!(build.state.outstanding(), [start_again("a", attempt)]);
    }
    build.started("a");
    assert_eq!(build.concluded("a", failure()), [skip("b", "a")]);
    assert_eq!(build.state.job("a").map(|job| (job.attempt, job.status)), Some((3, Status::Failure)));
}

#[test]
fn a_job_that_succeeds_at_its_second_attempt_has_succeeded() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 0, spec("a", &[])), spec("b", &["a"])]);
    build.started("a");
    build.concluded("a", failure());
    build.started("a");
    assert_eq!(build.concluded("a", Ending::Succeeded), [start("b")]);
    assert_eq!(verdict(&build.succeeded("b")), Some(BuildStatus::Success));
}

#[test]
fn a_job_rests_before_it_runs_again_twice_as_long_each_time_and_holds_no_slot_meanwhile() {
    let (mut build, _) = Build::of_specs(1, vec![again(9, &[], 1000, spec("a", &[])), spec("b", &[])]);
    build.started("a");
    assert_eq!(build.concluded("a", failure()), [start("b")]); // at 5 ms
    assert_eq!((build.status("a"), build.state.running()), (Status::Queued, 1));
    assert_eq!(build.state.next_deadline_ms(), Some(1005));
    assert_eq!(build.tick(1004), []);
    assert_eq!(build.tick(1005), [], "the slot is taken");
    assert_eq!(build.succeeded("b"), [start_again("a", 2)]);
    for (attempt, delay) in [(2, 2000), (3, 4000), (4, 8000)] {
        build.started("a");
        let EventBody::JobRetried { delay_ms, .. } = build.state.conclude("a", failure()) else { panic!("no retry") };
        assert_eq!(delay_ms, delay);
        build.concluded("a", failure());
        assert_eq!(build.tick(1_000_000), [start_again("a", attempt + 1)]);
    }
}

#[test]
fn no_rest_is_longer_than_an_hour() {
    let (mut build, _) = Build::of_specs(1, vec![again(9, &[], u64::MAX, spec("a", &[]))]);
    for _ in 0..3 {
        build.started("a");
        let EventBody::JobRetried { delay_ms, .. } = build.state.conclude("a", failure()) else { panic!("no retry") };
        assert_eq!(delay_ms, 3_600_000);
        build.concluded("a", failure());
        build.tick(u64::MAX);
    }
}

#[test]
fn a_rest_that_was_over_when_an_event_was_written_is_over_for_whoever_reads_it() {
    let jobs = vec![again(1, &[], 2, spec("a", &[])), spec("b", &[])];
    let (mut build, _) = Build::of_specs(2, jobs);
    build.started("a"); // at 4 ms
    build.concluded("a", failure()); // at 5 ms
    assert_eq!(build.started("b"), []); // at 6 ms
    assert_eq!(build.tell(EventBody::JobRunning { job: "b".into(), attempt: 1 }), [start_again("a", 2)]); // at 7 ms
    assert_eq!(build.taken_up(2).outstanding(), [start_again("a", 2), start("b")]);
}

#[test]
fn a_job_that_rests_when_the_controller_dies_rests_on() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 1000, spec("a", &[]))]);
    build.started("a");
    build.concluded("a", failure()); // at 5 ms
    let mut state = build.taken_up(1);
    assert_eq!((state.outstanding(), state.next_deadline_ms()), (vec![], Some(1005)));
    assert_eq!(state.step(Input::Tick { now_ms: 1005 }), [start_again("a", 2)]);
}

#[test]
fn a_job_runs_again_only_after_the_failures_it_names() {
    let timeout = || Ending::TimedOut { after_ms: 1, during: None };
    let memory = || Ending::OutOfMemory { limit_bytes: None };
    let exit = |code| Ending::Exited { code, line: None };
    for (on, yes, no) in [
        (RetryOn::Failure, vec![exit(1), timeout(), memory()], vec![broken()]),
        (RetryOn::Error, vec![broken()], vec![exit(1), timeout()]),
        (RetryOn::Timeout, vec![timeout()], vec![exit(1), memory(), broken()]),
        (RetryOn::OutOfMemory, vec![memory()], vec![exit(137), timeout(), broken()]),
        (RetryOn::ExitCode(7), vec![exit(7)], vec![exit(1), timeout(), memory(), broken()]),
    ] {
        let (mut build, _) = Build::of_specs(1, vec![again(1, &[on], 0, spec("a", &[]))]);
        build.started("a");
        assert!(yes.into_iter().all(|ending| is_retried(&build, ending)), "{on:?}");
        assert!(!no.into_iter().any(|ending| is_retried(&build, ending)), "{on:?}");
    }
}

#[test]
fn a_job_does_not_run_again_after_what_is_no_failure_of_its_own() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 0, spec("a", &[]))]);
    build.started("a");
    for ending in [
        Ending::Succeeded,
        Ending::Warned { message: "slow".into() },
        Ending::NotNeeded { reason: "nothing to do".into() },
        Ending::Rejected { by: "ada".into(), comment: None },
        Ending::Cancelled,
        failed_fast("b"),
        Ending::Skipped { because: "b".into() },
    ] {
        let body = EventBody::JobEnded { job: "a".into(), attempt: 1, ending: ending.clone() };
        assert_eq!(build.state.conclude("a", ending), body);
    }
}

#[test]
fn a_job_that_was_stopped_runs_again_only_if_its_time_was_up() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 0, spec("a", &[]))]);
    build.started("a");
    build.tick(u64::MAX);
    assert!(is_retried(&build, Ending::TimedOut { after_ms: 1000, during: None }));
    build.cancelled();
    assert!(!is_retried(&build, Ending::TimedOut { after_ms: 1000, during: None }), "the build is being cancelled");

    let (mut build, _) = Build::of_specs(2, vec![again(1, &[], 0, group("a", &[])), group("b", &[])]);
    build.started("a");
    build.failed("b");
    assert!(!is_retried(&build, failure()), "its group has failed");
}

#[test]
fn a_job_that_runs_again_has_a_time_limit_of_its_own_and_says_its_results_again() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 0, spec("a", &[]))]);
    build.started("a"); // at 4 ms
    build.tick(1004);
    let results = Results { message: Some("half".into()), ..Results::default() };
    build.tell(EventBody::JobResults { job: "a".into(), attempt: 1, results: Box::new(results) });
    build.concluded("a", Ending::TimedOut { after_ms: 1000, during: None });
    let job = build.state.job("a").expect("the job was declared");
    assert_eq!((job.stopping.clone(), job.results.clone()), (None, None));
    build.started("a"); // at 7 ms
    assert_eq!(build.state.next_deadline_ms(), Some(1007));
}

#[test]
fn a_cancel_ends_a_job_that_rests() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 1000, spec("a", &[]))]);
    build.started("a");
    build.concluded("a", failure());
    let effects = build.cancelled();
    assert_eq!(effects, [end_of(2, "a", Ending::Cancelled)], "the next attempt is not made");
    assert_eq!(build.state.next_deadline_ms(), None);
    assert_eq!(verdict(&build.record(effects)), Some(BuildStatus::Cancelled));
}

#[test]
fn a_job_whose_rest_is_over_at_the_moment_of_the_cancel_is_not_started_in_order_to_be_stopped() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 1, spec("a", &[]))]);
    build.started("a");
    build.concluded("a", failure()); // at 5 ms
    assert_eq!(build.cancelled(), [stop("a", StopReason::Cancelled)]); // at 6 ms
    assert_eq!(build.state.outstanding(), [stop("a", StopReason::Cancelled)]);
}

#[test]
fn a_retry_that_was_on_its_way_when_the_cancel_came_does_not_happen() {
    let (mut build, _) = Build::of_specs(1, vec![again(1, &[], 0, spec("a", &[]))]);
    build.started("a");
    let retried = build.state.conclude("a", failure());
    build.cancelled();
    assert_eq!(build.tell(retried), [end_of(2, "a", Ending::Cancelled)]);
}

#[test]
fn an_attempt_is_retried_once() {
    let (mut build, _) = Build::of_specs(1, vec![again(9, &[], 0, spec("a", &[]))]);
    build.started("a");
    let retried = build.state.conclude("a", failure());
    assert_eq!(build.tell(retried.clone()), [start_again("a", 2)]);
    assert_eq!(build.tell(retried), []);
    assert_eq!(build.state.outstanding(), [start_again("a", 2)]);
}

#[test]
fn a_job_that_may_fail_does_so_as_a_warning_when_it_may_not_run_again() {
    let job = JobSpec { allow_failure: true, ..again(1, &[], 0, spec("a", &[])) };
    let (mut build, _) = Build::of_specs(1, vec![job, spec("b", &["a"])]);
    build.started("a");
    assert_eq!(build.concluded("a", failure()), [start_again("a", 2)]);
    build.started("a");
    assert_eq!(build.concluded("a", broken()), [start("b")]);
    assert_eq!(build.status("a"), Status::Warning);
    assert_eq!(verdict(&build.succeeded("b")), Some(BuildStatus::Success));
}

#[test]
fn a_job_that_may_fail_may_still_be_cancelled() {
    let job = JobSpec { allow_failure: true, ..spec("a", &[]) };
    let (build, _) = Build::of_specs(1, vec![job]);
    for ending in [Ending::Cancelled, Ending::Succeeded] {
        let body = EventBody::JobEnded { job: "a".into(), attempt: 1, ending: ending.clone() };
        assert_eq!(build.state.conclude("a", ending), body);
    }
}

#[test]
fn a_job_that_may_fail_may_be_rejected_and_the_build_goes_on() {
    let job = JobSpec { allow_failure: true, approval: Some("Deploy?".into()), ..spec("a", &[]) };
    let (mut build, effects) = Build::of_specs(1, vec![job, spec("b", &["a"])]);
    build.record(effects);
    assert_eq!(build.concluded("a", rejected()), [start("b")]);
    assert_eq!(build.status("a"), Status::Warning);
    assert_eq!(verdict(&build.succeeded("b")), Some(BuildStatus::Success));
}

#[test]
fn a_person_who_rejects_a_job_stops_no_other_of_its_group() {
    let job = JobSpec { approval: Some("Deploy?".into()), ..group("a", &[]) };
    let (mut build, effects) = Build::of_specs(2, vec![job, group("runs", &[]), group("waits", &["runs"])]);
    build.record(effects);
    build.started("runs");
    assert_eq!(build.concluded("a", rejected()), []);
    assert_eq!(build.succeeded("runs"), [start("waits")]);
    assert_eq!(verdict(&build.succeeded("waits")), Some(BuildStatus::Failure), "it was rejected all the same");
}

#[test]
fn when_a_job_of_a_group_fails_the_others_stop_or_never_start() {
    let jobs = vec![
        group("a", &[]),
        group("runs", &[]),
        group("queued", &[]),
        group("waits", &["other"]),
        spec("other", &[]),
        spec("after", &["queued"]),
    ];
    let (mut build, _) = Build::of_specs(2, jobs);
    build.started("runs");
    let effects = build.failed("a");
    assert_eq!(
        effects,
        [
            stop("runs", stopped_fast("a")),
            end("queued", failed_fast("a")),
            end("waits", failed_fast("a")),
            start("other"),
        ]
    );
    assert_eq!(
        build.state.outstanding(),
        [
            stop("runs", stopped_fast("a")),
            end("queued", failed_fast("a")),
            end("waits", failed_fast("a")),
            start("other")
        ]
    );
    assert_eq!(build.status("a"), Status::Failure);
    let skipped = build.record(effects);
    assert_eq!(skipped, [skip("after", "queued")]);
    build.record(skipped);
    assert_eq!(build.ended("runs", failed_fast("a")), []);
    assert_eq!(verdict(&build.succeeded("other")), Some(BuildStatus::Failure));
}

#[test]
fn a_group_goes_on_after_a_failure_that_is_tolerated_or_retried() {
    let jobs = vec![JobSpec { allow_failure: true, ..again(1, &[], 0, group("a", &[])) }, group("b", &[])];
    let (mut build, _) = Build::of_specs(2, jobs);
    build.started("a");
    assert_eq!(build.concluded("a", failure()), [start_again("a", 2)]);
    assert_eq!(build.concluded("a", failure()), []);
    assert_eq!(build.state.outstanding(), [start("b")]);
}

#[test]
fn a_job_that_rests_or_is_blocked_or_joins_late_does_not_outlive_its_group() {
    let jobs = vec![
        group("a", &[]),
        again(1, &[], 1000, group("rests", &[])),
        JobSpec { approval: Some("Deploy?".into()), ..group("asks", &[]) },
        JobSpec { late: true, ..spec("late", &[]) },
        spec("action", &[]),
    ];
    let (mut build, _) = Build::of_specs(9, jobs);
    build.started("rests");
    build.concluded("rests", failure());
    assert_eq!(build.failed("a"), [end_of(2, "rests", failed_fast("a")), end("asks", failed_fast("a"))]);
    let refined = EventBody::JobRefined { job: Box::new(group("late", &[])), attempt: 1 };
    assert_eq!(build.tell(refined), [end("late", failed_fast("a"))]);
    assert_eq!(build.submitted("action", vec![group("new", &[])]), [end("new", failed_fast("a"))]);
}

#[test]
fn an_action_that_waits_gives_its_slot_to_another_job_for_good() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &[]), ("c", &[])]);
    let waiting = |build: &mut Build| {
        build.tell(EventBody::JobWaiting { job: "a".into(), attempt: 1, jobs: vec![], rest: false })
    };
    assert_eq!(waiting(&mut build), [], "it does not run yet");
    build.started("a");
    assert_eq!(waiting(&mut build), [start("b")]);
    assert_eq!((waiting(&mut build), build.state.running()), (vec![], 1));
    assert_eq!(build.state.outstanding(), [start("a"), start("b")]);
    assert_eq!(build.status("a"), Status::Running);
    assert_eq!(build.succeeded("b"), [start("c")]);
    assert_eq!(build.succeeded("a"), [], "there was no slot to give back");
    assert_eq!(verdict(&build.succeeded("c")), Some(BuildStatus::Success));
}

#[test]
fn submitted_jobs_see_how_those_ended_that_they_need() {
    let (mut build, _) = Build::of(9, &[("act", &[]), ("good", &[]), ("bad", &[]), ("open", &[])]);
    build.succeeded("good");
    build.failed("bad");
    let jobs = vec![
        spec("goes", &["good"]),
        spec("skipped", &["good", "bad"]),
        spec("too", &["skipped"]),
        spec("waits", &["open", "goes"]),
        JobSpec { run_when: RunWhen::Failure, ..spec("alarm", &["bad"]) },
    ];
    let effects = build.submitted("act", jobs.clone());
    assert_eq!(effects, [skip("skipped", "bad"), skip("too", "skipped"), start("goes"), start("alarm")]);
    assert_eq!(build.submitted("act", jobs), [], "they are there already");
    build.record(effects);
    build.succeeded("goes");
    assert_eq!(build.succeeded("open"), [start("waits")]);
    build.succeeded("waits");
    build.succeeded("alarm");
    let effects = build.succeeded("act");
    let [Effect::Record(EventBody::BuildEnded { jobs, .. })] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(
        jobs.iter().map(|job| job.job.as_str()).collect::<Vec<_>>()[4..],
        ["goes", "skipped", "too", "waits", "alarm"]
    );
}

#[test]
fn jobs_that_are_submitted_to_a_build_that_is_being_cancelled_are_cancelled() {
    let (mut build, _) = Build::of(9, &[("act", &[])]);
    build.started("act");
    build.cancelled();
    let effects = build.submitted("act", vec![spec("new", &[])]);
    assert_eq!(effects, [end("new", Ending::Cancelled)]);
    assert_eq!(build.ended("act", Ending::Cancelled), [], "one is not over yet");
    assert_eq!(verdict(&build.record(effects)), Some(BuildStatus::Cancelled));
}

#[test]
fn submitted_jobs_that_no_check_passed_run_nothing_without_their_needs() {
    let (mut build, _) = Build::of(9, &[("act", &[])]);
    let jobs = vec![spec("a", &["nobody"]), spec("b", &["c"]), spec("c", &["b"]), spec("act", &[]), spec("d", &["d"])];
    assert_eq!(build.submitted("act", jobs), [skip("a", "nobody"), skip("b", "c"), skip("c", "b"), skip("d", "d")]);
}

#[test]
fn the_last_results_of_a_job_stand_in_its_state_and_in_the_summary() {
    let (mut build, _) = Build::of(9, &[("a", &[]), ("b", &[])]);
    let results = |text: &str| Box::new(Results { message: Some(text.into()), ..Results::default() });
    for text in ["first", "last"] {
        build.tell(EventBody::JobResults { job: "a".into(), attempt: 1, results: results(text) });
    }
    assert_eq!(build.state.job("a").and_then(|job| job.results.clone()), Some(results("last")));
    build.succeeded("a");
    build.tell(EventBody::JobResults { job: "a".into(), attempt: 1, results: results("too late") });
    let effects = build.succeeded("b");
    let [Effect::Record(EventBody::BuildEnded { jobs, .. })] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((jobs[0].results.clone(), jobs[1].results.clone()), (Some(results("last")), None));
}

#[test]
fn the_end_of_a_job_that_there_is_not_is_concluded_as_it_is() {
    let (build, _) = Build::of(1, &[("a", &[])]);
    let body = EventBody::JobEnded { job: "nobody".into(), attempt: 0, ending: failure() };
    assert_eq!(build.state.conclude("nobody", failure()), body);
}
