//! Plans: which jobs would run, why the others not, and what tells two plans apart.

mod declared;

use std::collections::{BTreeMap, BTreeSet};

use declared::{action, container, owned, removed, service};
use monkeyci_build::{
    Answer, Assumed, AssumedJob, Earlier, Ending, Event, EventBody, Fate, JobDraft, Known, LateValue, Plan, PlanDiff,
    Planner, Results, Source, Turn, check, select_only,
};

/// A job that exits with 1.
fn failed() -> Ending {
    Ending::Exited { code: 1, line: None }
}

fn planner(jobs: &[JobDraft], assumed: Assumed) -> Planner {
    Planner::new(check(jobs, &[]).expect("the graph has no fault"), None, assumed)
}

/// The plan where nothing that only the script knows can be known before.
fn plan(jobs: &[JobDraft], assumed: Assumed) -> Plan {
    let mut planner = planner(jobs, assumed);
    for _ in 0..100 {
        if planner.turn() == Turn::Done {
            return planner.into_plan();
        }
        planner.answer(Answer::Open("nobody knows".into()));
    }
    panic!("the plan comes to no end");
}

/// A line for each job.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |job: &monkeyci_build::PlannedJob| {
        let fate = match &job.fate {
            Fate::Runs { wave } => wave.to_string(),
            Fate::Never { reason, .. } => format!("never: {reason}"),
        };
        let open = job.open.as_ref().map_or_else(String::new, |open| format!(" ({open})"));
        let branches: String = job.branches.iter().map(|branch| format!("; {branch}")).collect();
        format!("{} {fate}{open}{branches}", job.spec.id)
    };
    plan.jobs.iter().map(line).collect()
}

fn needs(job: JobDraft, needs: &[&str]) -> JobDraft {
    JobDraft { needs: owned(needs), ..job }
}

fn when(job: JobDraft, run_when: &str) -> JobDraft {
    JobDraft { run_when: Some(run_when.into()), ..job }
}

fn failing(job: &str) -> Assumed {
    Assumed::of_jobs(BTreeMap::from([(job.to_owned(), AssumedJob::ends(failed()))]))
}

#[test]
fn a_plan_tells_waves_and_what_hangs_on_which_result() {
    let jobs = [
        container("test"),
        needs(container("deploy"), &["test"]),
        when(needs(container("roll-back"), &["deploy"]), "failure"),
        when(needs(container("sweep"), &["deploy"]), "always"),
        JobDraft { allow_failure: true, ..needs(container("lint"), &[]) },
        needs(container("publish"), &["lint"]),
    ];
    assert_eq!(
        lines(&plan(&jobs, Assumed::default())),
        [
            "test 1",
            "deploy 2; test success → runs, failure → skipped",
            "roll-back never: it runs on a failure, and no job that it needs has failed; deploy success → not needed, failure → runs",
            "sweep 3",
            "lint 1",
            "publish 2",
        ]
    );
    let all = lines(&plan(&jobs, failing("test")));
    assert_eq!(all[1], "deploy never: test does not succeed, as it is assumed; test success → runs, failure → skipped");
    assert_eq!(all[2..4], ["roll-back 2", "sweep 2"]);
    let all = lines(&plan(&jobs, failing("lint")));
    assert_eq!(all[5], "publish 2", "a failure that is allowed");
}

#[test]
fn what_does_not_run_says_why() {
    let grouped = |id: &str| JobDraft { fail_fast: Some("tests".into()), ..container(id) };
    let jobs = [
        removed(container("nightly")),
        JobDraft { manual: true, ..container("deploy") },
        needs(container("announce"), &["deploy"]),
        grouped("unit"),
        needs(grouped("slow"), &["build"]),
        container("build"),
    ];
    let told = plan(&jobs, failing("unit"));
    assert_eq!(told.removed, [("nightly".to_owned(), "not now".to_owned())]);
    assert_eq!(
        lines(&told),
        [
            "deploy never: it is started by hand",
            "announce never: deploy does not run",
            "unit 1",
            "slow never: unit of the group tests fails, as it is assumed; until then it may start",
            "build 1",
        ]
    );
}

#[test]
fn jobs_that_nobody_asks_for_are_left_out() {
    let jobs = [container("a"), needs(container("b"), &["a"]), container("c")];
    let checked = check(&jobs, &[]).expect("the graph has no fault");
    let only = select_only(checked.graph.jobs(), &[], &BTreeSet::from(["b".to_owned()]), false).expect("it is there");
    let mut planner = Planner::new(checked, Some(only), Assumed::default());
    assert_eq!(planner.turn(), Turn::Done);
    assert_eq!(
        lines(&planner.into_plan()),
        ["a 1", "b 2; a success → runs, failure → skipped", "c never: left out: only what is named runs: b",]
    );
}

#[test]
fn a_late_job_is_asked_about_when_its_turn_comes_and_is_open_where_nobody_knows() {
    let late = JobDraft { late: true, needs: owned(&["build"]), ..container("publish") };
    let jobs = [container("build"), late, needs(container("after"), &["publish"])];
    let asked = || {
        let mut planner = planner(&jobs, Assumed::success());
        assert_eq!(planner.turn(), Turn::Refine("publish".into()));
        assert_eq!(planner.turn(), Turn::Refine("publish".into()), "until it is answered");
        assert_eq!([planner.known("build"), planner.known("publish")], [Known::Ending, Known::All]);
        planner
    };
    let told = |mut planner: Planner, answer: Answer| {
        planner.answer(answer);
        assert_eq!(planner.turn(), Turn::Done);
        planner.into_plan()
    };
    let open = told(asked(), Answer::Open("when build has ended".into()));
    let needed = |need: &str| format!("{need} success → runs, failure → skipped");
    assert_eq!(
        lines(&open)[1..],
        [format!("publish 2 (when build has ended); {}", needed("build")), format!("after 3; {}", needed("publish")),]
    );
    let skipped = told(asked(), Answer::Over(Ending::NotNeeded { reason: "published already".into() }));
    assert_eq!(lines(&skipped)[1..], ["publish never: published already", "after 2"]);
    let mut spec = asked().state().graph().get("publish").cloned().expect("it is there");
    spec.labels.insert("channel".into(), "stable".into());
    let completed = told(asked(), Answer::Completed(Box::new(spec)));
    assert_eq!(completed.jobs[1].spec.labels["channel"], "stable");
    assert_eq!(completed.jobs[1].open, None);
}

#[test]
fn an_action_is_asked_where_its_result_is_not_known_and_something_is_assumed() {
    let jobs = [action("split", &[]), action("report", &["split"])];
    assert_eq!(planner(&jobs, Assumed::default()).turn(), Turn::Done, "nothing is assumed");
    let mut planner = planner(&jobs, failing("report"));
    assert_eq!(planner.turn(), Turn::Act("split".into()));
    let part = check(&[container("part")], &[]).expect("no fault").graph.into_jobs();
    planner.answer(Answer::Acted(Box::new(AssumedJob::ends(Ending::Succeeded)), part));
    assert_eq!(planner.turn(), Turn::Done, "what comes of the other is assumed");
    let plan = planner.into_plan();
    assert_eq!(lines(&plan), ["split 1", "report 2; split success → runs, failure → skipped", "part 2"]);
    assert_eq!(plan.jobs[2].submitted_by.as_deref(), Some("split"));
}

/// The events of a build of these jobs that has had these results.
fn ran(jobs: &[JobDraft], ended: &[(&str, Ending)]) -> Vec<Event> {
    let specs = check(jobs, &[]).expect("no fault").graph.into_jobs();
    let mut bodies = vec![
        EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "cli".into() },
        EventBody::BuildCheckedOut { source: Source::default() },
        EventBody::ScriptDefined { jobs: specs, removed: vec![], params: vec![] },
    ];
    for (job, ending) in ended {
        let (job, attempt) = ((*job).to_owned(), 1);
        bodies.push(EventBody::JobStarted { job: job.clone(), attempt });
        let results = Results { outputs: [("of".to_owned(), job.clone())].into(), ..Results::default() };
        bodies.push(EventBody::JobResults { job: job.clone(), attempt, results: Box::new(results) });
        if job == "split" {
            let jobs = check(&[container("part")], &[]).expect("no fault").graph.into_jobs();
            bodies.push(EventBody::JobsSubmitted { by: job.clone(), attempt, jobs });
        }
        bodies.push(EventBody::JobEnded { job, attempt, ending: ending.clone() });
    }
    let event = |(at, body)| Event { seq: at as u64 + 1, time_ms: at as u64 * 10, body };
    bodies.into_iter().enumerate().map(event).collect()
}

#[test]
fn of_an_earlier_build_counts_what_ran_there_with_what_it_said_and_submitted() {
    let jobs = [action("split", &[]), container("test"), needs(container("deploy"), &["test"])];
    let events = ran(&jobs, &[("split", Ending::Succeeded), ("test", failed())]);
    let assumed = Assumed::of_earlier(&Earlier::of("o/r/1", &events));
    assert_eq!(assumed.jobs().collect::<Vec<_>>(), ["split", "test"], "deploy did not run");
    let known = ["split", "deploy"].map(|job| assumed.known(job));
    assert_eq!(known, [Known::All, Known::Ending]);
    let new = [action("split", &[]), container("test"), needs(container("deploy"), &["test", "part"])];
    assert!(check(&new, &[]).is_err(), "nobody declares what an action submits");
    let late = JobDraft { late: true, ..when(needs(container("ask"), &["split", "test"]), "always") };
    let jobs = [&jobs[..], &[late]].concat();
    let mut planner = planner(&jobs, assumed);
    assert_eq!(planner.turn(), Turn::Refine("ask".into()));
    let told = planner.state().job("split").and_then(|job| job.results.clone()).expect("it has said something");
    assert_eq!(told.outputs["of"], "split");
    planner.answer(Answer::Open("later".into()));
    assert_eq!(planner.turn(), Turn::Done);
    let plan = planner.into_plan();
    let deploy = plan.job("deploy").expect("it is declared");
    assert!(matches!(&deploy.fate, Fate::Never { ending: Ending::Skipped { because }, .. } if because == "test"));
    assert_eq!(plan.job("part").and_then(|part| part.submitted_by.as_deref()), Some("split"));
}

#[test]
fn two_plans_are_told_apart_by_jobs_fields_parameters_and_permissions() {
    let old = [
        container("test"),
        container("nightly"),
        container("gone"),
        needs(container("deploy"), &["test"]),
        container("same"),
    ];
    let test = JobDraft {
        timeout_ms: Some(1_200_000),
        retry: Some(2),
        env: vec![("A".into(), "1".into())],
        late_env: vec![("T".into(), LateValue::Secret("token".into()))],
        network_allow: owned(&["10.0.0.0/8"]),
        services: vec![service("db")],
        ..container("test")
    };
    let new = [
        container("lint"),
        test,
        removed(container("nightly")),
        JobDraft { manual: true, ..needs(container("deploy"), &["test"]) },
        container("same"),
    ];
    let [old, new] = [&old[..], &new[..]].map(|jobs| plan(jobs, Assumed::default()));
    let diff = PlanDiff::of(&old, &new);
    assert_eq!(diff.added, ["lint"]);
    let gone: Vec<_> = diff.removed.iter().map(|gone| (gone.job.as_str(), gone.reason.as_deref())).collect();
    assert_eq!(gone, [("nightly", Some("not now")), ("gone", None)]);
    let fields = |job: usize| -> Vec<String> {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let fields = diff.changed[job].fields.iter();
        fields.map(|field| format!("{} {} → {}", field.field, shown(&field.old), shown(&field.new))).collect()
    };
    assert_eq!(
        fields(0),
        [
            "env(A) - → 1",
            "secret-env(T) - → token",
            "network-allow - → 10.0.0.0/8",
            "service(db) - → postgres:17",
            "timeout 1h → 20m",
            "retry - → 2",
        ]
    );
    assert_eq!(fields(1), ["manual - → yes", "plan runs → does not run: it is started by hand"]);
    assert_eq!(diff.same, 1);
    let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    assert_eq!(diff.permissions.added, [pair("secret", "token"), pair("network", "10.0.0.0/8")]);
    assert_eq!(diff.permissions.removed, []);
    assert!(PlanDiff::of(&new, &new).is_empty());
    assert_eq!(PlanDiff::of(&new, &old).permissions.removed, diff.permissions.added);
}

#[test]
fn a_job_that_comes_in_another_wave_only_is_the_same() {
    let old = plan(&[container("b"), container("c")], Assumed::default());
    let new = plan(&[container("a"), needs(container("b"), &["a"]), container("c")], Assumed::default());
    let diff = PlanDiff::of(&old, &new);
    assert_eq!(diff.changed.len(), 1);
    assert_eq!(diff.changed[0].fields.iter().map(|field| field.field.as_str()).collect::<Vec<_>>(), ["needs"]);
}
