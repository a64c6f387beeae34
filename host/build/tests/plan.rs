//! Plans: which jobs would run, why the others not, and what tells two plans apart.

mod declared;

use std::collections::{BTreeMap, BTreeSet};

use declared::{action, container, owned, removed, service};
use monkeyci_build::{
    Answer, Assumed, AssumedJob, BuildState, Earlier, Ending, Event, EventBody, Fate, Input, JobDraft, JobSpec, Known,
    LateValue, Plan, PlanDiff, PlannedJob, Planner, Results, Source, Turn, check, select_only,
};
use serde_json::Value;

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
fn where_nothing_is_assumed_it_is_not_known_either_whether_a_job_runs_that_hangs_on_a_result() {
    let jobs = [
        container("test"),
        when(needs(container("undo"), &["test"]), "failure"),
        JobDraft { manual: true, ..container("deploy") },
        JobDraft { late: true, ..needs(container("tell"), &["undo", "test"]) },
    ];
    for (assumed, known) in [(Assumed::default(), Known::Nothing), (Assumed::success(), Known::All)] {
        let mut planner = planner(&jobs, assumed);
        assert_eq!(planner.turn(), Turn::Refine("tell".into()));
        assert_eq!([planner.known("undo"), planner.known("deploy")], [known, Known::All]);
    }
}

#[test]
fn an_action_is_asked_where_its_result_is_not_known_and_something_is_assumed() {
    let jobs = [action("split", &[]), action("report", &["split"])];
    let mut nothing = planner(&jobs, Assumed::default());
    assert_eq!(nothing.turn(), Turn::Done, "nothing is assumed");
    assert_eq!(nothing.known("split"), Known::Nothing);
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
fn whoever_folds_what_happened_between_two_questions_has_the_state_of_the_second() {
    let late = |id: &str, need: &str| JobDraft { late: true, ..needs(container(id), &[need]) };
    let jobs = [action("split", &[]), container("test"), late("b", "split"), late("c", "b"), late("d", "test")];
    let mut planner = planner(&jobs, Assumed::success());
    let mut folded: Option<BuildState> = None;
    for _ in 0..100 {
        let turn = planner.turn();
        let happened = planner.take_events();
        match &mut folded {
            None => folded = Some(planner.state().clone()),
            Some(state) => happened.iter().for_each(|event| drop(state.step(Input::Event(event)))),
        }
        assert_eq!(format!("{folded:?}"), format!("{:?}", Some(planner.state())));
        match turn {
            Turn::Done => return assert_eq!(planner.take_events(), []),
            Turn::Act(job) => {
                let submitted = check(&[container("part")], &[]).expect("no fault").graph.into_jobs();
                assert_eq!(job, "split");
                planner.answer(Answer::Acted(Box::new(AssumedJob::ends(Ending::Succeeded)), submitted));
            }
            Turn::Refine(job) if job == "c" => {
                planner.answer(Answer::Over(Ending::NotNeeded { reason: "nothing to do".into() }));
            }
            Turn::Refine(_) => planner.answer(Answer::Open("nobody knows".into())),
        }
    }
    panic!("the plan comes to no end");
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
        retry_on: owned(&["timeout", "exit-code=3"]),
        retry_delay_ms: Some(90_000),
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
            "timeout 1 h → 20 min",
            "retry - → 2",
            "retry-on - → timeout, exit-code=3",
            "retry-delay - → 1 min 30 s",
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

/// The places of all values that are no lists or objects, and of all lists that have something.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found)),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(place, value)| places(value, &format!("{at}/{place}"), found));
            found.push(at.to_owned());
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn whatever_of_a_job_is_not_the_same_shows_in_its_facts() {
    let save = |id: &str| serde_json::json!({"id": id, "path": "out", "files": ["a", "b"], "always": true});
    let container = serde_json::json!({
        "image": "debian:12", "command": {"shell": {"lines": ["a", "b"], "program": ["bash", "-c"], "each": true}},
        "env": {"A": "1"}, "late_env": {"B": {"secret": "s"}, "C": {"output": {"job": "j", "output": "o"}}},
        "work_dir": "sub", "user": "1000", "architecture": "arm64", "memory_bytes": 1024, "cpu_millis": 500,
        "shm_bytes": 2048, "entrypoint_of_image": true, "with_git": true, "save_artifacts": [save("x"), save("y")],
        "restore_artifacts": [{"id": "z", "path": ".", "at_path": true, "if_there": true}],
        "caches": [{"id": "c", "path": "p", "more_paths": ["q"], "key": "k", "fallbacks": ["f"], "save": "miss"}],
        "test_reports": ["r.xml"], "network_allow": ["10.0.0.0/8"],
        "services": [{"name": "db", "image": "pg", "argv": ["run", "it"], "env": {"D": "2"}, "secret_env": {"E": "s"},
            "readiness": [{"port": 5432}, {"command": ["true", "now"]}], "ready_timeout_ms": 7}],
    });
    let job = serde_json::json!({
        "id": "job", "needs": ["a", "b"], "removed_needs": ["c"], "timeout_ms": 1000, "run_when": "always",
        "allow_failure": true, "retry": {"count": 1, "on": ["failure", {"exit-code": 3}], "delay_ms": 5}, "priority": 3,
        "fail_fast": "g", "approval": "go?", "manual": true, "late": true, "labels": {"l": "v"},
        "calls": {"handler": "h", "argument": "x"}, "creates_artifacts": ["m"], "kind": {"container": container},
    });
    let facts = |job: &Value| -> Option<(JobSpec, Vec<(String, String)>)> {
        let spec: JobSpec = serde_json::from_value(job.clone()).ok()?;
        let fate = Fate::Runs { wave: 1 };
        let planned = PlannedJob { spec: spec.clone(), fate, branches: vec![], open: None, submitted_by: None };
        Some((spec, planned.facts()))
    };
    let (spec, before) = facts(&job).expect("a job");
    let mut all = Vec::new();
    places(&job, "", &mut all);
    let mut tried = 0;
    for place in all.iter().filter(|place| *place != "/id") {
        let mut other = job.clone();
        let value = other.pointer_mut(place).expect("it is there");
        *value = match &*value {
            Value::String(text) => Value::String(format!("{text}x")),
            Value::Number(number) => (number.as_u64().expect("whole") + 1).into(),
            Value::Bool(is) => Value::Bool(!is),
            Value::Array(values) => values[..values.len() - 1].to_vec().into(),
            other => other.clone(),
        };
        let Some((changed, now)) = facts(&other).filter(|(changed, _)| *changed != spec) else { continue };
        assert_ne!(before, now, "{place}: {changed:?}");
        tried += 1;
    }
    assert!(tried > 60, "{tried} of {}", all.len());
    // Where one word ends is seen.
    let argv = |words: &[&str]| {
        let job = JobDraft { argv: Some(owned(words)), ..declared::container("a") };
        facts(&serde_json::to_value(&check(&[job], &[]).expect("no fault").graph.jobs()[0]).expect("JSON"))
    };
    assert_ne!(argv(&["a b"]), argv(&["a", "b"]));
}
