//! When a job runs, seen from those that it needs: conditions, intended skips, tolerated failures, approvals.

mod told_build;

use monkeyci_build::{
    BuildStatus, Effect, Ending, EventBody, JobKind, JobSpec, LateValue, RestoreArtifact, RunWhen, SaveArtifact, Status,
};
use told_build::{Build, end, failure, skip, spec, start, verdict};

fn when(run_when: RunWhen, job: JobSpec) -> JobSpec {
    JobSpec { run_when, ..job }
}

/// A container job that saves an artifact by its own name, and restores this one.
fn restoring(id: &str, needs: &[&str], artifact: Option<(&str, bool)>) -> JobSpec {
    let json = serde_json::json!({
        "image": "debian:12", "command": { "argv": ["true"] }, "env": {}, "work_dir": "", "memory_bytes": null,
        "cpu_millis": null, "save_artifacts": [], "restore_artifacts": [], "caches": [], "services": [],
    });
    let mut job = spec(id, needs);
    let mut container: Box<monkeyci_build::ContainerSpec> = serde_json::from_value(json).expect("it can be read");
    container.save_artifacts.push(SaveArtifact { id: id.into(), path: ".".into(), ..SaveArtifact::default() });
    if let Some((artifact, if_there)) = artifact {
        container.restore_artifacts.push(RestoreArtifact {
            id: artifact.into(),
            path: ".".into(),
            if_there,
            ..RestoreArtifact::default()
        });
    }
    job.kind = JobKind::Container(container);
    job
}

fn reading(id: &str, producer: &str) -> JobSpec {
    let mut job = restoring(id, &[producer], None);
    if let JobKind::Container(container) = &mut job.kind {
        let value = LateValue::Output { job: producer.into(), output: "version".into() };
        container.late_env.insert("VERSION".into(), value);
    }
    job
}

fn not_needed() -> Ending {
    Ending::NotNeeded { reason: "nothing has changed".into() }
}

fn tolerated() -> Ending {
    Ending::Tolerated { ending: Box::new(failure()) }
}

fn no_failure(job: &str) -> Effect {
    end(job, Ending::NotNeeded { reason: "it runs on a failure, and no job that it needs has failed".into() })
}

#[test]
fn a_job_goes_on_after_a_warning_a_tolerated_failure_and_an_intended_skip() {
    for ending in [Ending::Succeeded, Ending::Warned { message: "slow".into() }, tolerated(), not_needed()] {
        let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &["a"])]);
        assert_eq!(build.ended("a", ending.clone()), [start("b")], "{ending}");
        assert_eq!(verdict(&build.succeeded("b")), Some(BuildStatus::Success), "{ending}");
    }
}

#[test]
fn a_job_is_skipped_after_every_other_end() {
    let rejected = Ending::Rejected { by: "ada".into(), comment: None };
    let refine = Ending::RefineFailed { message: "broken".into() };
    let group = Ending::FailedFast { group: "g".into(), because: "x".into() };
    for ending in
        [failure(), rejected, refine, group, Ending::Cancelled, Ending::EngineFailed { reason: "away".into() }]
    {
        let (mut build, _) = Build::of(1, &[("a", &[]), ("b", &["a"])]);
        assert_eq!(build.ended("a", ending.clone()), [skip("b", "a")], "{ending}");
    }
}

#[test]
fn a_rejected_job_and_one_that_could_not_be_completed_fail_the_build() {
    let rejected = Ending::Rejected { by: "ada".into(), comment: Some("not today".into()) };
    for ending in [rejected, Ending::RefineFailed { message: "broken".into() }] {
        let (mut build, _) = Build::of(1, &[("a", &[])]);
        assert_eq!(verdict(&build.ended("a", ending)), Some(BuildStatus::Failure));
    }
}

#[test]
fn an_intended_skip_takes_those_along_that_would_use_what_it_would_have_made() {
    let (mut build, effects) = Build::of_specs(
        9,
        vec![
            restoring("a", &[], None),
            restoring("restores", &["a"], Some(("a", false))),
            restoring("if-there", &["a"], Some(("a", true))),
            reading("reads", "a"),
            spec("plain", &["a"]),
            spec("after", &["restores"]),
            when(RunWhen::Failure, spec("alarm", &["after"])),
        ],
    );
    assert_eq!(effects, [start("a")]);
    let effects = build.ended("a", not_needed());
    assert_eq!(
        effects,
        [skip("restores", "a"), skip("reads", "a"), skip("after", "restores"), start("if-there"), start("plain")]
    );
    // Nothing of this is a failure, neither to a job that waits for one nor to the build.
    let effects = build.record(effects);
    assert_eq!(effects, [no_failure("alarm")]);
    build.record(effects);
    build.succeeded("if-there");
    assert_eq!(verdict(&build.succeeded("plain")), Some(BuildStatus::Success));
}

#[test]
fn a_submitted_job_that_would_use_what_was_never_made_is_skipped_without_failure() {
    let (mut build, _) = Build::of_specs(9, vec![restoring("a", &[], None), spec("act", &[])]);
    build.ended("a", not_needed());
    let jobs = vec![restoring("b", &["a"], Some(("a", false))), spec("c", &["b"]), spec("d", &["a"])];
    let effects = build.submitted("act", jobs);
    assert_eq!(effects, [skip("b", "a"), skip("c", "b"), start("d")]);
    build.record(effects);
    build.succeeded("d");
    assert_eq!(verdict(&build.succeeded("act")), Some(BuildStatus::Success));
}

#[test]
fn a_job_that_always_runs_waits_for_all_it_needs_however_that_ends() {
    let jobs =
        vec![spec("a", &[]), spec("b", &[]), spec("c", &["b"]), when(RunWhen::Always, spec("report", &["a", "c"]))];
    let (mut build, _) = Build::of_specs(9, jobs);
    let skipped = build.failed("b");
    assert_eq!(skipped, [skip("c", "b")]);
    assert_eq!(build.record(skipped), []);
    assert_eq!(build.succeeded("a"), [start("report")]);
    assert_eq!(verdict(&build.succeeded("report")), Some(BuildStatus::Failure), "a failure stays one");
}

#[test]
fn jobs_behind_one_that_always_runs_are_not_skipped_by_what_it_tolerates() {
    let jobs = vec![spec("a", &[]), when(RunWhen::Always, spec("clean", &["a"])), spec("b", &["clean"])];
    let (mut build, _) = Build::of_specs(9, jobs);
    assert_eq!(build.failed("a"), [start("clean")]);
    assert_eq!(build.succeeded("clean"), [start("b")]);
}

#[test]
fn a_job_that_runs_on_a_failure_waits_until_all_it_needs_is_over() {
    let jobs = vec![spec("a", &[]), spec("b", &[]), when(RunWhen::Failure, spec("alarm", &["a", "b"]))];
    let (mut build, _) = Build::of_specs(9, jobs);
    assert_eq!(build.failed("a"), []);
    assert_eq!(build.succeeded("b"), [start("alarm")]);
}

#[test]
fn a_job_that_runs_on_a_failure_is_not_needed_without_one() {
    let jobs = vec![spec("a", &[]), when(RunWhen::Failure, spec("alarm", &["a"])), spec("b", &["alarm"])];
    for fine in [Ending::Succeeded, not_needed(), tolerated()] {
        let (mut build, _) = Build::of_specs(9, jobs.clone());
        let effects = build.ended("a", fine);
        assert_eq!(effects, [no_failure("alarm")]);
        assert_eq!(build.state.outstanding(), effects);
        assert_eq!(build.record(effects), [start("b")]);
        assert_eq!(verdict(&build.succeeded("b")), Some(BuildStatus::Success));
    }
}

#[test]
fn a_job_that_runs_on_a_failure_runs_on_a_skip_that_comes_of_one() {
    let jobs = vec![spec("a", &[]), spec("b", &["a"]), when(RunWhen::Failure, spec("alarm", &["b"]))];
    let (mut build, _) = Build::of_specs(9, jobs);
    let skipped = build.failed("a");
    assert_eq!(build.record(skipped), [start("alarm")]);
}

#[test]
fn a_job_that_needs_nothing_has_no_failure_to_run_on() {
    let (_, effects) = Build::of_specs(9, vec![when(RunWhen::Failure, spec("alarm", &[]))]);
    assert_eq!(effects, [no_failure("alarm")]);
}

#[test]
fn a_job_with_an_approval_is_blocked_when_its_turn_comes_and_holds_no_place() {
    let deploy = JobSpec { approval: Some("Deploy?".into()), ..spec("deploy", &["a"]) };
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[]), deploy, spec("b", &["a"])]);
    let ask = Effect::Record(EventBody::JobBlocked {
        job: "deploy".into(),
        attempt: 1,
        message: "Deploy?".into(),
        runs: None,
    });
    let effects = build.succeeded("a");
    assert_eq!(effects, [ask.clone(), start("b")]);
    assert_eq!(build.state.outstanding(), [ask, start("b")]);
    assert_eq!(build.approved("deploy"), [], "nobody can know yet what there is to approve");
    assert_eq!(build.record(effects), []);
    assert_eq!((build.status("deploy"), build.state.running()), (Status::Blocked, 1));
    assert_eq!(build.state.outstanding(), [start("b")]);
    assert_eq!(build.succeeded("b"), [], "the build waits");
    assert_eq!(build.approved("deploy"), [start("deploy")]);
    assert_eq!(build.approved("deploy"), []);
}

#[test]
fn a_rejected_job_ends_and_skips_those_that_need_it() {
    let deploy = JobSpec { approval: Some("Deploy?".into()), ..spec("deploy", &[]) };
    let (mut build, effects) = Build::of_specs(1, vec![deploy, spec("announce", &["deploy"])]);
    build.record(effects);
    let rejected = Ending::Rejected { by: "ada".into(), comment: None };
    assert_eq!(build.ended("deploy", rejected), [skip("announce", "deploy")]);
    assert_eq!(build.approved("deploy"), []);
}

#[test]
fn a_late_job_is_completed_when_its_turn_comes_then_approved_and_then_waits_for_a_slot() {
    let late = JobSpec { late: true, approval: Some("Deploy?".into()), ..spec("late", &["a"]) };
    let (mut build, _) = Build::of_specs(1, vec![spec("a", &[]), late.clone(), spec("b", &[])]);
    let refine = Effect::Refine { job: "late".into() };
    assert_eq!(build.succeeded("a"), [refine.clone(), start("b")]);
    assert_eq!((build.status("late"), build.state.outstanding()), (Status::Pending, vec![refine, start("b")]));
    assert_eq!(build.approved("late"), [], "nobody can know yet what there is to approve");
    assert_eq!(build.started("late"), [], "it is not complete");
    let refined = JobSpec { timeout_ms: 7, needs: vec!["nobody".into()], priority: 1, ..late };
    let ask = build.tell(EventBody::JobRefined { job: Box::new(refined.clone()), attempt: 1 });
    let blocked = EventBody::JobBlocked { job: "late".into(), attempt: 1, message: "Deploy?".into(), runs: None };
    assert_eq!(ask, [Effect::Record(blocked)]);
    build.record(ask);
    assert_eq!(build.status("late"), Status::Blocked);
    assert_eq!(build.approved("late"), []);
    assert_eq!((build.status("late"), build.state.running()), (Status::Queued, 1));
    assert_eq!(build.succeeded("b"), [start("late")]);
    let kept = build.state.graph().get("late").expect("the job was declared");
    assert_eq!((kept.timeout_ms, kept.needs.as_slice()), (7, ["a".to_owned()].as_slice()), "what it needed it has had");
    assert_eq!(build.tell(EventBody::JobRefined { job: Box::new(refined), attempt: 1 }), []);
}

#[test]
fn a_late_job_that_the_script_skips_or_cannot_complete_ends() {
    let jobs = || vec![JobSpec { late: true, ..spec("late", &[]) }, spec("b", &["late"])];
    let (mut build, _) = Build::of_specs(1, jobs());
    assert_eq!(build.ended("late", not_needed()), [start("b")]);
    let (mut build, _) = Build::of_specs(1, jobs());
    let broken = Ending::RefineFailed { message: "broken".into() };
    assert_eq!(build.concluded("late", broken), [skip("b", "late")]);
}

#[test]
fn of_several_jobs_that_may_start_the_one_of_the_highest_priority_does() {
    let job = |id, priority| JobSpec { priority, ..spec(id, &["a"]) };
    let (mut build, _) =
        Build::of_specs(1, vec![job("low", -1), job("b", 0), job("c", 0), job("high", 5), spec("a", &[])]);
    let mut last = "a";
    for next in ["high", "b", "c", "low"] {
        assert_eq!(build.succeeded(last), [start(next)]);
        last = next;
    }
}

#[test]
fn a_cancel_ends_jobs_that_are_blocked_or_being_completed() {
    let jobs = vec![
        JobSpec { approval: Some("Deploy?".into()), ..spec("asking", &[]) },
        JobSpec { late: true, ..spec("late", &[]) },
        JobSpec { approval: Some("Deploy?".into()), ..spec("blocked", &[]) },
    ];
    let (mut build, _) = Build::of_specs(1, jobs.clone());
    build.tell(EventBody::JobBlocked { job: "blocked".into(), attempt: 1, message: "Deploy?".into(), runs: None });
    let effects = build.cancelled();
    assert_eq!(effects, ["asking", "late", "blocked"].map(|job| end(job, Ending::Cancelled)));
    assert_eq!(build.state.outstanding(), effects);
    // What comes of effects that were under way counts no more.
    assert_eq!(build.approved("blocked"), []);
    assert_eq!(build.tell(EventBody::JobRefined { job: Box::new(jobs[1].clone()), attempt: 1 }), []);
    assert_eq!(
        build.tell(EventBody::JobBlocked { job: "asking".into(), attempt: 1, message: "Deploy?".into(), runs: None }),
        []
    );
    assert_eq!(verdict(&build.record(effects)), Some(BuildStatus::Cancelled));
}
