//! Promises of plans: what a plan says is what a build does that has the results which were assumed.

// Rough builds and what it saw on the way are for other promises.
#[allow(dead_code, unused_imports)]
mod fake_driver;
mod random_graph;

use std::collections::{BTreeMap, BTreeSet};

use fake_driver::{Completion, Outcome, Plan as Build, Traits, calm_plan, play};
use monkeyci_build::{
    Answer, Assumed, AssumedJob, Checked, Ending, EventBody, Fate, Graph, Plan, PlannedJob, Planner, Then, Turn,
};
use proptest::prelude::*;
use random_graph::id;

/// Builds of which a person approves all that is to be approved: so a plan takes it.
fn approved_build() -> impl Strategy<Value = Build> {
    calm_plan().prop_map(|build| {
        let traits =
            build.traits.iter().map(|of_job| Traits { approval: of_job.approval.map(|_| true), ..of_job.clone() });
        Build { traits: traits.collect(), ..build }
    })
}

/// What a job comes to in the end.
fn ending(build: &Build, job: &str) -> Ending {
    let traits = build.of(job);
    let failure = Ending::Exited { code: 1, line: None };
    if traits.bad_attempts > traits.retry.map_or(0, |(count, _)| count) {
        return failure;
    }
    match build.outcome(job) {
        Outcome::Succeeds => Ending::Succeeded,
        Outcome::Warns => Ending::Warned { message: "slow".into() },
        Outcome::HasNothingToDo => Ending::NotNeeded { reason: "nothing to do".into() },
        Outcome::Fails | Outcome::Hangs => failure,
        Outcome::Breaks => Ending::EngineFailed { reason: "away".into() },
    }
}

/// The plan of a build, whose script answers as the build's does.
fn plan(build: &Build) -> Plan {
    let checked = Checked { graph: Graph::from_checked(build.jobs()), removed: vec![], params: vec![] };
    // Half of the results are assumed, and the rest is said by the actions.
    let assumed = (0..build.needs.len()).step_by(2).map(id);
    let assumed = assumed.filter(|job| build.submitted_by(job).is_empty());
    let assumed: BTreeMap<_, _> = assumed.map(|job| (job.clone(), AssumedJob::ends(ending(build, &job)))).collect();
    let mut planner = Planner::new(checked, None, Assumed::of_jobs(assumed));
    for _ in 0..1000 {
        let answer = match planner.turn() {
            Turn::Done => return planner.into_plan(),
            Turn::Act(job) => Answer::Acted(Box::new(AssumedJob::ends(ending(build, &job))), build.submitted_by(&job)),
            Turn::Refine(job) => match build.of(&job).late.expect("a late job") {
                Completion::Complete => Answer::Completed(Box::new(build.spec(build.index(&job)))),
                Completion::Skipped => Answer::Over(Ending::NotNeeded { reason: "nothing to do".into() }),
                Completion::Broken => Answer::Over(Ending::RefineFailed { message: "broken".into() }),
            },
        };
        planner.answer(answer);
    }
    panic!("the plan comes to no end");
}

/// The jobs that start, and those that don't, with the status in which they end.
fn played(build: &Build) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let driver = play(build);
    let started = driver.journal.iter().filter_map(|event| match &event.body {
        EventBody::JobStarted { job, .. } => Some(job.clone()),
        _ => None,
    });
    let started: BTreeSet<String> = started.collect();
    let others = driver.state.jobs().filter(|(spec, _)| !started.contains(&spec.id));
    let others = others.map(|(spec, state)| (spec.id.clone(), format!("{:?}", state.status))).collect();
    (started, others)
}

fn told(plan: &Plan) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let mut told = (BTreeSet::new(), BTreeMap::new());
    for job in &plan.jobs {
        match &job.fate {
            Fate::Runs { .. } => _ = told.0.insert(job.spec.id.clone()),
            Fate::Never { ending, .. } => _ = told.1.insert(job.spec.id.clone(), format!("{:?}", ending.status())),
        }
    }
    told
}

/// The declared jobs: whether one is there that an action submits hangs on that action too.
fn declared(plan: &Plan) -> impl Iterator<Item = &PlannedJob> {
    plan.jobs.iter().filter(|job| job.submitted_by.is_none())
}

/// The same build, in which one job ends so.
fn with(build: &Build, job: &str, outcome: Outcome) -> Build {
    let at = build.index(job);
    let mut build = build.clone();
    build.outcomes[at] = outcome;
    if let Some(traits) = build.traits.get_mut(at) {
        traits.bad_attempts = 0;
    }
    build
}

proptest! {
    #[test]
    fn what_a_plan_says_that_runs_is_what_a_build_with_these_results_runs(build in approved_build()) {
        prop_assert_eq!(told(&plan(&build)), played(&build));
    }

    #[test]
    fn a_job_is_in_a_later_wave_than_all_that_it_needs(build in approved_build()) {
        let plan = plan(&build);
        for job in &plan.jobs {
            let Some(wave) = job.wave() else { continue };
            for need in &job.spec.needs {
                let before = plan.job(need).and_then(|need| need.wave()).unwrap_or(0);
                prop_assert!(before < wave, "{} in {wave}, {need} in {before}", job.spec.id);
            }
        }
    }

    #[test]
    fn what_a_plan_says_of_a_branch_is_what_a_build_does_in_which_that_job_ends_so(build in approved_build()) {
        let plan = plan(&build);
        for job in declared(&plan) {
            let is_completed = build.of(&job.spec.id).late.is_none_or(|late| late == Completion::Complete);
            for branch in job.branches.iter().filter(|_| is_completed) {
                for (outcome, then) in [(Outcome::Succeeds, branch.success), (Outcome::Fails, branch.failure)] {
                    let (started, _) = played(&with(&build, &branch.need, outcome));
                    let runs = started.contains(&job.spec.id);
                    prop_assert_eq!(runs, then == Then::Runs, "{}: {} {:?}", job.spec.id, branch, outcome);
                }
            }
        }
    }

    #[test]
    fn what_hangs_on_a_job_that_succeeds_is_told_of_each_that_needs_it(build in approved_build()) {
        let plan = plan(&build);
        let before = played(&build).0;
        for need in before.iter().filter(|job| ending(&build, job).is_ok()) {
            let after = played(&with(&build, need, Outcome::Fails)).0;
            for job in declared(&plan).filter(|job| job.spec.needs.contains(need)) {
                let hangs = before.contains(&job.spec.id) != after.contains(&job.spec.id);
                let told = job.branches.iter().any(|branch| branch.need == *need);
                prop_assert!(!hangs || told || job.spec.late, "{} hangs on {need}: {:?}", job.spec.id, job.branches);
            }
        }
    }
}
