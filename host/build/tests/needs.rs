//! Who needs whom: removed jobs, artifacts, outputs, and jobs that come later.

mod declared;

use declared::{action, artifact, container, faults, jobs, needs, owned, removed, restore, restore_if_there, short};
use monkeyci_build::{Call, Graph, JobDraft, LateValue, MAX_JOBS, check, check_refined, check_submitted};

fn saves(id: &str, job: JobDraft) -> JobDraft {
    JobDraft { save_artifacts: vec![artifact(id, ".")], ..job }
}

fn restores(id: &str, job: JobDraft) -> JobDraft {
    JobDraft { restore_artifacts: vec![restore(id, ".")], ..job }
}

fn reads(producer: &str, job: JobDraft) -> JobDraft {
    let value = LateValue::Output { job: producer.into(), output: "version".into() };
    JobDraft { late_env: vec![("VERSION".into(), value)], ..job }
}

fn needing(ids: &[&str], job: JobDraft) -> JobDraft {
    JobDraft { needs: owned(ids), ..job }
}

fn shard(id: &str) -> JobDraft {
    JobDraft { calls: Some(Call { handler: "shard".into(), argument: "1".into() }), ..action(id, &[]) }
}

fn graph(drafts: &[JobDraft]) -> Graph {
    check(drafts, &[]).expect("the graph has no fault").graph
}

#[test]
fn a_job_needs_what_it_says_and_whose_artifacts_it_restores_and_whose_outputs_it_reads() {
    let job = JobDraft {
        requires: owned(&["c", "a"]),
        ..needing(&["b", "a"], reads("e", restores("dist", container("job"))))
    };
    let drafts =
        [job, action("a", &[]), action("b", &[]), action("c", &[]), saves("dist", container("d")), action("e", &[])];
    assert_eq!(needs(&drafts)[0], "job: b a c d e");
    let said = JobDraft { needs: owned(&["e", "d"]), ..drafts[0].clone() };
    assert_eq!(needs(&[&[said], &drafts[1..]].concat())[0], "job: e d c a", "each once");
}

#[test]
fn an_artifact_that_an_action_creates_can_be_restored() {
    let make = JobDraft { creates_artifacts: owned(&["sbom"]), ..action("make", &[]) };
    assert_eq!(needs(&[restores("sbom", container("use")), make]), ["use: make", "make: "]);
}

#[test]
fn a_job_does_not_need_the_saver_of_an_artifact_it_takes_if_it_is_there() {
    let job = JobDraft { restore_artifacts: vec![restore_if_there("dist")], ..container("job") };
    let drafts = [saves("dist", needing(&["job"], container("build"))), job.clone()];
    assert_eq!(needs(&drafts), ["build: job", "job: "]);
    assert_eq!(faults(&[job]), ["job restore-artifact(dist) unknown-artifact"]);
}

#[test]
fn a_circle_tells_which_need_is_due_to_what() {
    let drafts =
        [reads("c", saves("out", container("a"))), restores("out", container("b")), needing(&["b"], container("c"))];
    assert_eq!(
        check(&drafts, &[]).expect_err("there is a circle").to_string(),
        "the graph has 1 fault:\njob \"a\", needs: the needs go in a circle: \"a\" reads an output of \"c\" needs \"b\" \
         restores an artifact of \"a\"; take one of these needs away"
    );
}

#[test]
fn who_needs_a_removed_job_needs_what_that_one_needed_instead() {
    let drafts = [
        needing(&["x", "gone", "last"], container("job")),
        removed(needing(&["far", "last", "y"], restores("dist", container("gone")))),
        removed(needing(&["x", "z"], action("far", &[]))),
        removed(action("last", &[])),
        action("x", &[]),
        action("y", &[]),
        saves("dist", container("z")),
    ];
    assert_eq!(needs(&drafts)[0], "job: x z y");
    let checked = check(&drafts, &[]).expect("the graph has no fault");
    assert_eq!(checked.graph.jobs()[0].removed_needs, owned(&["gone", "last"]));
    assert_eq!(checked.removed.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["gone", "far", "last"]);
    assert_eq!(checked.removed[0].1, "not now");
    assert!(checked.graph.get("gone").is_none());
}

#[test]
fn a_job_that_stays_can_t_do_without_what_it_requires_restores_or_reads() {
    let gone = removed(saves("dist", container("gone")));
    let job = JobDraft { requires: owned(&["gone"]), ..reads("gone", restores("dist", container("job"))) };
    assert_eq!(
        faults(&[job.clone(), gone.clone()]),
        [
            "job requires requires-removed",
            "job restore-artifact(dist) artifact-of-removed",
            "job output-env(VERSION) output-of-removed",
        ]
    );
    assert_eq!(needs(&[removed(job), gone]), [] as [&str; 0]);
}

#[test]
fn an_artifact_of_a_removed_job_is_never_there() {
    let job = JobDraft { restore_artifacts: vec![restore_if_there("dist"), restore("doc", ".")], ..container("job") };
    let jobs = jobs(&[job, removed(saves("dist", container("gone"))), saves("doc", container("doc"))]);
    let left = jobs[0].container().map(|job| job.restore_artifacts.clone());
    assert_eq!(left, Some(vec![restore("doc", ".")]));
}

#[test]
fn of_two_jobs_that_save_one_artifact_a_condition_may_remove_one() {
    let drafts = [
        restores("dist", container("job")),
        removed(saves("dist", container("slow"))),
        saves("dist", container("fast")),
    ];
    assert_eq!(needs(&drafts), ["job: fast", "fast: "]);
}

fn on_failure(job: JobDraft) -> JobDraft {
    JobDraft { run_when: Some("failure".into()), ..job }
}

#[test]
fn a_job_that_runs_on_a_failure_inherits_no_needs() {
    let drafts = [
        action("test", &[]),
        removed(action("deploy", &["test"])),
        action("smoke", &["test"]),
        on_failure(action("undo", &["deploy", "smoke"])),
    ];
    assert_eq!(needs(&drafts)[2], "undo: smoke");
    let always = JobDraft { run_when: Some("always".into()), ..drafts[3].clone() };
    assert_eq!(needs(&[&drafts[..3], &[always]].concat())[2], "undo: test smoke", "a summary waits for what ran");
}

#[test]
fn a_job_that_runs_on_a_failure_of_removed_jobs_only_is_removed_too() {
    let drafts = [
        // Declared first, so that nothing hangs on the order.
        on_failure(action("tell", &["undo"])),
        on_failure(action("undo", &["deploy", "deploy", "notes"])),
        removed(action("deploy", &["test"])),
        removed(action("notes", &[])),
        action("test", &[]),
        action("last", &["undo"]),
    ];
    let checked = check(&drafts, &[]).expect("the graph has no fault");
    let reason = |job: &str| checked.removed.iter().find(|(id, _)| id == job).map(|(_, reason)| reason.as_str());
    assert_eq!(reason("undo"), Some(r#"it runs on a failure of "deploy" or 1 more, which are all removed"#));
    assert_eq!(reason("tell"), Some(r#"it runs on a failure of "undo", which is removed"#));
    assert_eq!(needs(&drafts), ["test: ", "last: test"]);
    let requiring = JobDraft { requires: owned(&["undo"]), ..action("strict", &[]) };
    assert_eq!(faults(&[&drafts[..], &[requiring]].concat()), ["strict requires requires-removed"]);
}

#[test]
fn a_job_that_runs_on_a_failure_stays_with_what_it_needs_otherwise() {
    let drafts = [
        removed(action("deploy", &[])),
        saves("log", container("test")),
        on_failure(needing(&["deploy"], restores("log", container("undo")))),
        on_failure(action("alone", &[])),
    ];
    assert_eq!(needs(&drafts), ["test: ", "undo: test", "alone: "]);
    let late =
        [removed(action("deploy", &[])), on_failure(action("a", &["deploy", "b"])), on_failure(action("b", &["a"]))];
    assert_eq!(faults(&late), ["a needs cycle"]);
}

#[test]
fn a_long_chain_of_jobs_that_run_on_failures_is_removed_in_one_go() {
    let id = |at: usize| format!("undo-{at}");
    let mut drafts: Vec<JobDraft> =
        (0..20_000).map(|at| on_failure(JobDraft { needs: vec![id(at + 1)], ..JobDraft::action(id(at)) })).collect();
    drafts.push(removed(JobDraft::action(id(20_000))));
    assert_eq!(check(&drafts, &[]).expect("the graph has no fault").removed.len(), 20_001);
}

#[test]
fn a_build_without_a_job_to_run_says_why() {
    let said = |drafts: &[JobDraft]| check(drafts, &[]).expect("the graph has no fault").nothing_to_run();
    assert_eq!(said(&[]).as_deref(), Some("the build has no job to run: the script declares none"));
    assert_eq!(said(&[action("a", &[]), removed(action("b", &[]))]), None);
    let all: Vec<JobDraft> = (0..12).map(|at| removed(JobDraft::action(format!("j{at}")))).collect();
    let told = "the build has no job to run: a condition of the script removes each: ";
    assert_eq!(said(&all[..2]).as_deref(), Some(format!(r#"{told}"j0" (not now), "j1" (not now)"#).as_str()));
    assert!(said(&all).is_some_and(|text| text.ends_with(r#""j9" (not now) and 2 more"#)));
}

#[test]
fn a_circle_through_a_removed_job_is_one() {
    let drafts = [needing(&["gone"], container("a")), removed(needing(&["a"], container("gone")))];
    assert_eq!(faults(&drafts), ["a needs cycle"]);
}

#[test]
fn removed_jobs_can_t_make_more_needs_than_anybody_could_keep() {
    let id = |kind: &str, at: usize| format!("{kind}{at}");
    let mut drafts: Vec<JobDraft> = (0..2_000).map(|at| JobDraft::action(id("real", at))).collect();
    drafts.push(removed(JobDraft { needs: (0..2_000).map(|at| id("real", at)).collect(), ..JobDraft::action("gone") }));
    drafts.extend((0..2_000).map(|at| JobDraft { needs: owned(&["gone"]), ..JobDraft::action(id("user", at)) }));
    let faults = faults(&drafts);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].ends_with(" needs too-many-needs"), "{faults:?}");
}

#[test]
fn submitted_jobs_may_need_jobs_of_the_build_and_each_other() {
    let graph = graph(&[saves("dist", container("build")), action("plan", &[])]);
    let shards = [
        needing(&["plan", "shard-2"], reads("build", container("shard-1"))),
        restores("dist", saves("log", container("shard-2"))),
        restores("log", container("last")),
    ];
    let jobs = check_submitted(&graph, &shards).expect("the jobs have no fault");
    let needs: Vec<_> = jobs.iter().map(|job| job.needs.join(" ")).collect();
    assert_eq!(needs, ["plan shard-2 build", "build", "shard-2"]);
}

#[test]
fn submitted_jobs_are_told_apart_from_those_of_the_build() {
    let graph = graph(&[saves("dist", container("build"))]);
    let jobs = [
        container("build"),
        container("Build"),
        saves("dist", container("a")),
        restores("dits", needing(&["biuld"], container("b"))),
    ];
    let faults = check_submitted(&graph, &jobs).expect_err("the jobs have faults");
    assert_eq!(
        short(&faults),
        [
            "build id duplicate-id",
            "Build id similar-id",
            "a save-artifact(dist) duplicate-artifact",
            "b needs unknown-need",
            "b restore-artifact(dits) unknown-artifact",
        ]
    );
    let text = faults.to_string();
    assert!(text.contains("did you mean \"build\"?") && text.contains("did you mean \"dist\"?"), "{text}");
}

#[test]
fn a_submitted_job_is_complete_and_an_action_among_them_has_a_function() {
    let jobs = [
        JobDraft { late: true, ..container("late") },
        removed(container("gone")),
        action("lost", &[]),
        JobDraft { approval: Some("Deploy?".into()), ..shard("fine") },
    ];
    let faults = check_submitted(&Graph::default(), &jobs).expect_err("the jobs have faults");
    assert_eq!(short(&faults), ["late late only-in-define", "gone remove only-in-define", "lost calls missing-call"]);
    assert!(check_submitted(&Graph::default(), &jobs[3..]).is_ok());
}

#[test]
fn a_build_never_has_too_many_jobs() {
    let most: Vec<_> = (0..MAX_JOBS).map(|job| JobDraft::action(job.to_string())).collect();
    let faults = check_submitted(&graph(&most), &[shard("one")]).expect_err("it is one too many");
    assert_eq!(short(&faults), ["one id too-many-jobs"]);
}

#[test]
fn a_completed_job_has_all_that_a_job_must_have() {
    let late = JobDraft { late: true, ..JobDraft::container("job") };
    let spec = jobs(std::slice::from_ref(&late)).remove(0);
    let faults = check_refined(&spec, &late).expect_err("nothing was completed");
    assert_eq!(short(&faults), ["job image missing-image", "job argv missing-command"]);
    let complete = JobDraft { image: Some("debian:12".into()), argv: Some(owned(&["true"])), ..late };
    let refined = check_refined(&spec, &complete).expect("it is complete");
    assert_eq!(refined.container().map(|job| job.image.as_str()), Some("debian:12"));
    assert!(refined.late);
}

#[test]
fn a_completed_job_needs_what_it_needed_also_where_that_was_removed() {
    let late = JobDraft { late: true, requires: owned(&["b"]), ..needing(&["gone", "a"], container("job")) };
    let drafts = [late.clone(), removed(action("gone", &["c"])), action("a", &[]), action("b", &[]), action("c", &[])];
    let spec = jobs(&drafts).remove(0);
    let refined = check_refined(&spec, &JobDraft { priority: 3, ..late.clone() }).expect("nothing has changed");
    assert_eq!((refined.needs, refined.priority), (owned(&["c", "a", "b"]), 3));
    let more = JobDraft { needs: owned(&["gone", "a", "d"]), requires: owned(&["b", "e"]), ..late };
    assert_eq!(
        short(&check_refined(&spec, &more).expect_err("more is needed")),
        ["job needs changed", "job requires changed"]
    );
}

#[test]
fn what_the_build_counts_on_can_t_change_late() {
    let late = JobDraft { late: true, ..restores("doc", saves("dist", needing(&["a"], container("job")))) };
    let drafts = [late.clone(), action("a", &[]), saves("doc", container("doc"))];
    let spec = jobs(&drafts).remove(0);
    let reading = |producer: &str| reads(producer, late.clone());
    assert!(check_refined(&spec, &reading("a")).is_ok(), "it waits for that job anyway");
    let always = JobDraft { run_when: Some("always".into()), ..late.clone() };
    let refined = check_refined(&spec, &always).expect("that has been decided, so it changes nothing");
    assert_eq!(refined.run_when, spec.run_when);
    for (draft, fault) in [
        (JobDraft { id: "other".into(), ..late.clone() }, "other id changed"),
        (JobDraft { approval: Some("Deploy?".into()), ..late.clone() }, "job approval changed"),
        (removed(late.clone()), "job remove changed"),
        (reading("b"), "job output-env(VERSION) changed"),
        (saves("more", late.clone()), "job save-artifact(more) changed"),
        (restores("more", late.clone()), "job restore-artifact(more) changed"),
    ] {
        assert_eq!(short(&check_refined(&spec, &draft).expect_err("it has changed")), [fault]);
    }
    let late = JobDraft { late: true, ..action("job", &[]) };
    let spec = jobs(std::slice::from_ref(&late)).remove(0);
    let creates = JobDraft { creates_artifacts: owned(&["more"]), ..late };
    assert_eq!(short(&check_refined(&spec, &creates).expect_err("it has changed")), ["job creates-artifact changed"]);
    assert_eq!(short(&check_refined(&spec, &container("job")).expect_err("it has changed")), ["job kind changed"]);
}
