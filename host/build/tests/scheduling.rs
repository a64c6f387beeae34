//! The rules of scheduling that every build meets, one by one.

mod told_build;

use monkeyci_build::{
    BuildStatus, Effect, Ending, EventBody, GraphFaults, JobSpec, JobSummary, Phase, Retry, RunWhen, Status, StopReason,
};
use told_build::{Build, build_ended, end, failure, skip, spec, start, start_again, stop, verdict};

#[test]
fn a_build_checks_out_then_defines_then_runs_its_jobs_then_ends() {
    let mut build = Build::new(2);
    assert_eq!(build.state.phase(), Phase::New);
    assert_eq!(build.triggered(), [Effect::CheckOut]);
    assert_eq!(build.state.phase(), Phase::CheckingOut);
    assert_eq!(build.checked_out(), [Effect::Define]);
    assert_eq!(build.state.phase(), Phase::Defining);
    assert_eq!(build.tell(EventBody::ScriptLoaded { digest: "0".into(), size: 1, cached: true }), []);
    assert_eq!(build.defined(&[("a", &[]), ("b", &["a"])]), [start("a")]);
    assert_eq!(build.state.phase(), Phase::Running);
    build.started("a");
    assert_eq!(build.succeeded("a"), [start("b")]);
    build.started("b");
    build.tell(EventBody::JobRunning { job: "b".into(), attempt: 1 });
    let summary =
        |job: &str, ms| JobSummary { job: job.into(), ending: Ending::Succeeded, duration_ms: Some(ms), results: None };
    let effects = build.succeeded("b");
    assert_eq!(effects, [build_ended(BuildStatus::Success, vec![summary("a", 1), summary("b", 2)])]);
    assert_eq!(build.state.phase(), Phase::Running);
    assert_eq!(build.record(effects), []);
    assert_eq!(build.state.phase(), Phase::Ended(BuildStatus::Success));
}

#[test]
fn ready_jobs_start_in_the_order_of_declaration_as_places_become_free() {
    let (mut build, effects) = Build::of(2, &[("d", &["b"]), ("a", &[]), ("b", &[]), ("c", &[])]);
    assert_eq!(effects, [start("a"), start("b")]);
    assert_eq!(build.state.running(), 2);
    assert_eq!(["a", "c", "d"].map(|job| build.status(job)), [Status::Queued, Status::Queued, Status::Pending]);
    build.started("a");
    assert_eq!(build.status("a"), Status::Running);
    assert_eq!(build.succeeded("b"), [start("d")], "d was declared before c");
    assert_eq!(build.succeeded("a"), [start("c")]);
}

#[test]
fn a_graph_without_jobs_succeeds_at_once() {
    let (build, effects) = Build::of(1, &[]);
    assert_eq!(effects, [build_ended(BuildStatus::Success, vec![])]);
    assert_eq!(build.state.outstanding(), effects);
}

#[test]
fn a_failed_job_skips_its_dependents() {
    let (mut build, _) = Build::of(9, &[("far", &["near"]), ("near", &["a"]), ("a", &[]), ("other", &[])]);
    let effects = build.failed("a");
    assert_eq!(effects, [skip("far", "near"), skip("near", "a")]);
    assert_eq!(build.record(effects), []);
    assert_eq!(
        ["far", "near", "other"].map(|job| build.status(job)),
        [Status::Skipped, Status::Skipped, Status::Queued]
    );
    assert_eq!(verdict(&build.succeeded("other")), Some(BuildStatus::Failure));
}

#[test]
fn a_job_is_skipped_because_of_the_first_need_in_its_own_order() {
    // Both needs of `last` are lost at the same moment: one failed, the other is skipped for that.
    let (mut build, _) = Build::of(9, &[("last", &["ok", "middle", "a"]), ("a", &[]), ("ok", &[]), ("middle", &["a"])]);
    assert_eq!(build.failed("a"), [skip("last", "middle"), skip("middle", "a")]);
}

#[test]
fn the_worst_job_decides_how_a_build_ends() {
    let broken = Ending::EngineFailed { reason: "away".into() };
    for (endings, status) in [
        ([Ending::Succeeded, Ending::Succeeded], BuildStatus::Success),
        ([Ending::Succeeded, failure()], BuildStatus::Failure),
        ([broken.clone(), failure()], BuildStatus::Error),
        // Nobody cancelled the build, so a host that did this all the same is at fault.
        ([Ending::Succeeded, Ending::Cancelled], BuildStatus::Error),
    ] {
        let (mut build, _) = Build::of(9, &[("a", &[]), ("b", &[])]);
        let [a, b] = endings;
        build.ended("a", a);
        assert_eq!(verdict(&build.ended("b", b)), Some(status));
    }
}

#[test]
fn a_build_that_fails_before_its_jobs_ends_by_whose_fault_it_is() {
    for (script, status) in [(true, BuildStatus::BadScript), (false, BuildStatus::Error)] {
        let mut build = Build::new(1);
        build.triggered();
        let body = EventBody::BuildFailed { script, message: "broken".into(), faults: GraphFaults::default() };
        let effects = build.tell(body);
        assert_eq!(effects, [build_ended(status, vec![])]);
        assert_eq!(build.checked_out(), [], "the end is decided");
        build.record(effects);
        assert_eq!(build.state.status(), Some(status));
    }
}

#[test]
fn a_build_that_is_cancelled_before_its_jobs_ends_at_once() {
    let mut build = Build::new(1);
    build.triggered();
    assert_eq!(build.cancelled(), [build_ended(BuildStatus::Cancelled, vec![])]);
    assert_eq!(build.checked_out(), []);
    assert_eq!(build.cancelled(), []);
    assert_eq!(build.state.outstanding(), [build_ended(BuildStatus::Cancelled, vec![])]);
}

#[test]
fn a_cancel_stops_what_runs_and_ends_what_waits() {
    let (mut build, _) = Build::of(2, &[("waits", &["a"]), ("a", &[]), ("b", &[]), ("queued", &[])]);
    build.started("a");
    let waiting = [end("waits", Ending::Cancelled), end("queued", Ending::Cancelled)];
    let mut effects = build.cancelled();
    let records = effects.split_off(2);
    assert_eq!(effects, [stop("a", StopReason::Cancelled), stop("b", StopReason::Cancelled)]);
    assert_eq!(records, waiting);
    assert!(build.state.stopping());
    assert_eq!(build.started("b"), [], "it started before it could be stopped");
    assert_eq!(build.state.next_deadline_ms(), None);
    assert_eq!(build.record(records), []);
    assert_eq!(build.succeeded("a"), [], "it succeeded before it could be stopped");
    assert_eq!(verdict(&build.ended("b", Ending::Cancelled)), Some(BuildStatus::Cancelled));
}

#[test]
fn a_build_whose_time_is_up_stops_what_runs_and_ends_as_timed_out() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &["a"])]);
    build.started("a");
    let mut effects = build.tell(EventBody::BuildTimedOut { after_ms: 9 });
    assert_eq!(effects.split_off(1), [end("b", Ending::Cancelled)]);
    assert_eq!(effects, [stop("a", StopReason::Cancelled)]);
    build.ended("b", Ending::Cancelled);
    assert_eq!(build.cancelled(), [], "it is being stopped already");
    assert_eq!(verdict(&build.ended("a", Ending::Cancelled)), Some(BuildStatus::TimedOut));
}

#[test]
fn jobs_that_always_run_do_so_also_when_the_time_of_the_build_is_up() {
    let always = |id: &str, needs: &[&str]| JobSpec { run_when: RunWhen::Always, ..spec(id, needs) };
    let asks = JobSpec { approval: Some("Clean?".into()), ..always("asks", &["a"]) };
    let jobs = vec![spec("a", &[]), always("runs", &[]), always("clean", &["a"]), asks, spec("b", &["clean"])];
    let (mut build, _) = Build::of_specs(2, jobs);
    build.started("a");
    build.started("runs");
    let effects = build.tell(EventBody::BuildTimedOut { after_ms: 9 });
    let stopped = [stop("a", StopReason::Cancelled), end("asks", Ending::Cancelled), end("b", Ending::Cancelled)];
    assert_eq!(effects, stopped, "nobody may be there to approve it");
    build.record(effects);
    assert_eq!(build.ended("a", Ending::Cancelled), [start("clean")]);
    assert_eq!(build.taken_up(2).outstanding(), [start("runs"), start("clean")]);
    build.started("clean");
    assert_eq!(build.succeeded("runs"), []);
    assert_eq!(verdict(&build.succeeded("clean")), Some(BuildStatus::TimedOut));
}

#[test]
fn a_cancel_stops_jobs_that_always_run_also_after_the_time_of_the_build_was_up() {
    let clean = JobSpec { run_when: RunWhen::Always, ..spec("clean", &["a"]) };
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[]), clean]);
    build.started("a");
    build.tell(EventBody::BuildTimedOut { after_ms: 9 });
    assert_eq!(build.ended("a", Ending::Cancelled), [start("clean")]);
    assert_eq!(build.cancelled(), [stop("clean", StopReason::Cancelled)]);
    assert_eq!(verdict(&build.ended("clean", Ending::Cancelled)), Some(BuildStatus::TimedOut));
}

#[test]
fn a_job_that_always_runs_and_whose_rest_is_over_when_the_time_of_the_build_is_up_runs_again() {
    let retry = Some(Retry { count: 1, on: vec![], delay_ms: 1 });
    let (mut build, _) = Build::of_specs(1, vec![JobSpec { run_when: RunWhen::Always, retry, ..spec("a", &[]) }]);
    build.started("a");
    build.concluded("a", failure()); // at 5 ms
    assert_eq!(build.tell(EventBody::BuildTimedOut { after_ms: 9 }), [start_again("a", 2)]); // at 6 ms
}

#[test]
fn a_build_whose_time_is_up_before_its_jobs_ends_at_once() {
    let mut build = Build::new(1);
    build.triggered();
    let ended = build.tell(EventBody::BuildTimedOut { after_ms: 9 });
    assert_eq!(ended, [build_ended(BuildStatus::TimedOut, vec![])]);
}

#[test]
fn a_job_is_stopped_once_when_its_time_is_up() {
    let (mut build, _) = Build::of(2, &[("a", &[]), ("b", &[])]);
    assert_eq!(build.state.next_deadline_ms(), None, "nothing has started yet");
    build.started("a"); // at 4 ms
    build.started("b"); // at 5 ms
    assert_eq!(build.state.next_deadline_ms(), Some(1004));
    assert_eq!(build.tick(1003), []);
    assert_eq!(build.tick(1004), [stop("a", StopReason::TimedOut)]);
    assert_eq!(build.tick(1004), []);
    assert_eq!(build.state.next_deadline_ms(), Some(1005));
    assert_eq!(build.cancelled(), [stop("b", StopReason::Cancelled)], "a is being stopped already");
    assert_eq!(build.state.next_deadline_ms(), None);
    assert_eq!(build.tick(u64::MAX), []);
    build.ended("a", Ending::TimedOut { after_ms: 1000, during: None });
    assert_eq!(build.state.job("a").and_then(|job| job.stopping.clone()), Some(StopReason::TimedOut));
}

#[test]
fn a_job_that_succeeds_while_it_is_stopped_has_succeeded() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &["a"])]);
    build.started("a");
    build.tick(u64::MAX);
    assert_eq!(build.succeeded("a"), [start("b")]);
}

#[test]
fn what_is_outstanding_is_issued_again() {
    let (mut build, _) = Build::of(3, &[("a", &[]), ("b", &[]), ("c", &[]), ("d", &["c"])]);
    build.started("a");
    let skipped = build.failed("c");
    assert_eq!(build.state.outstanding(), [start("a"), start("b"), skip("d", "c")]);
    build.record(skipped);
    assert_eq!(build.state.outstanding(), [start("a"), start("b")]);
    build.cancelled();
    assert_eq!(build.state.outstanding(), [stop("a", StopReason::Cancelled), stop("b", StopReason::Cancelled)]);
}

#[test]
fn a_job_that_runs_keeps_its_place_when_there_are_fewer_places_than_before() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &[]), ("c", &[])]);
    // The journal was written with two places.
    build.started("a");
    assert_eq!(build.started("b"), []);
    assert_eq!((build.status("b"), build.state.running()), (Status::Running, 2));
    assert_eq!(build.succeeded("a"), []);
    assert_eq!(build.succeeded("b"), [start("c")]);
}

#[test]
fn a_job_that_started_in_spite_of_a_cancel_is_stopped() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &[])]);
    // The journal was written with two places: "b" was on its way when the cancel came.
    build.cancelled();
    assert_eq!(build.started("b"), [stop("b", StopReason::Cancelled)]);
    assert_eq!(build.state.outstanding(), [stop("a", StopReason::Cancelled), stop("b", StopReason::Cancelled)]);
}

#[test]
fn a_graph_that_no_check_passed_runs_nothing_without_its_needs() {
    let (mut build, effects) = Build::of(
        9,
        &[("a", &["nobody"]), ("b", &["c"]), ("c", &["b"]), ("d", &["ok", "c"]), ("ok", &[]), ("ok", &["d"])],
    );
    assert_eq!(effects, [skip("a", "nobody"), skip("b", "c"), skip("c", "b"), skip("d", "c"), start("ok")]);
    build.record(effects);
    assert_eq!(verdict(&build.succeeded("ok")), Some(BuildStatus::Error));
}

#[test]
fn events_that_cannot_be_true_are_ignored() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &["a"])]);
    assert_eq!(build.started("nobody"), []);
    assert_eq!(build.succeeded("nobody"), []);
    assert_eq!(build.started("b"), []);
    assert_eq!(build.status("b"), Status::Pending);
    build.started("a"); // at 7 ms
    build.started("a");
    assert_eq!(build.state.next_deadline_ms(), Some(1007));
    build.failed("a");
    assert_eq!(build.state.next_deadline_ms(), None);
    assert_eq!(build.succeeded("a"), []);
    assert_eq!(build.status("a"), Status::Failure);
    assert_eq!(build.defined(&[]), []);
    let body = EventBody::BuildFailed { script: true, message: "late".into(), faults: GraphFaults::default() };
    assert_eq!(build.tell(body), []);
}

#[test]
fn a_job_that_ends_before_it_got_a_place_does_not_start() {
    let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &[]), ("c", &[])]);
    build.ended("b", Ending::EngineFailed { reason: "away".into() });
    assert_eq!(build.succeeded("a"), [start("c")]);
}

#[test]
fn the_first_end_of_a_build_is_its_end() {
    let (mut build, _) = Build::of(1, &[("a", &[])]);
    build.started("a");
    let end = |status| EventBody::BuildEnded { status, jobs: vec![] };
    assert_eq!(build.tell(end(BuildStatus::Error)), []);
    assert_eq!(build.state.next_deadline_ms(), None);
    assert_eq!(build.cancelled(), []);
    assert_eq!(build.succeeded("a"), []);
    assert_eq!(build.tell(end(BuildStatus::Success)), []);
    assert_eq!(build.state.status(), Some(BuildStatus::Error));
    assert_eq!(build.state.outstanding(), []);
}
