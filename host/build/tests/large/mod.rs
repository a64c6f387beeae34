//! Builds of very many jobs, however hostile: what the test counts and the benchmark times.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use monkeyci_build::{
    Assumed, AssumedJob, BuildState, BuildStatus, Checked, Effect, Ending, Event, EventBody, Input, JobDraft, JobSpec,
    ParamDraft, Plan, PlanDiff, Planner, RestoreArtifact, SaveArtifact, Source, Turn, check, check_submitted,
};

/// What is done with a build, again and again; it sees to it that the right thing comes of it.
pub type Work = Box<dyn Fn()>;

/// A container job that needs the jobs so far before it.
fn job(at: usize, distances: &[usize]) -> JobDraft {
    let needs = distances.iter().filter_map(|distance| at.checked_sub(*distance)).map(id);
    JobDraft {
        needs: needs.collect(),
        image: Some("debian:12".into()),
        argv: Some(vec!["true".into()]),
        save_artifacts: vec![SaveArtifact { id: id(at), path: ".".into(), ..SaveArtifact::default() }],
        ..JobDraft::container(id(at))
    }
}

fn id(at: usize) -> String {
    format!("job-{at}")
}

pub fn checks(jobs: usize) -> Work {
    let drafts: Vec<_> = (0..jobs).map(|at| job(at, &[1, 2, 3, 50, 700])).collect();
    Box::new(move || assert!(check(&drafts, &[]).is_ok()))
}

pub fn checks_of_artifacts_from_far_upstream(jobs: usize) -> Work {
    let restore = |at: usize| JobDraft {
        restore_artifacts: vec![RestoreArtifact { id: id(at / 2), path: ".".into(), ..RestoreArtifact::default() }],
        ..job(at, &[1, 2])
    };
    let drafts: Vec<_> = (0..jobs).map(|at| if at < 10 { job(at, &[1]) } else { restore(at) }).collect();
    Box::new(move || assert!(check(&drafts, &[]).is_ok()))
}

pub fn checks_with_as_many_faults(jobs: usize) -> Work {
    let wrong = |at: usize| JobDraft { needs: vec![format!("jbo-{at}")], ..job(at, &[]) };
    let drafts: Vec<_> = (0..jobs).map(wrong).collect();
    Box::new(move || assert_eq!(check(&drafts, &[]).expect_err("all needs are unknown").0.len(), jobs))
}

pub fn checks_of_a_cycle(jobs: usize) -> Work {
    let drafts: Vec<_> = (0..jobs).map(|at| JobDraft { needs: vec![id((at + 1) % jobs)], ..job(at, &[]) }).collect();
    Box::new(move || {
        let faults = check(&drafts, &[]).expect_err("there is a cycle");
        assert_eq!(faults.0.len(), 1);
        assert!(faults.to_string().len() < 2_000);
    })
}

pub fn checks_of_chains_of_removed_jobs(jobs: usize) -> Work {
    // Every third job is removed, and so is a long chain that the others hang on to.
    let draft = |at: usize| JobDraft {
        removed: (at % 3 == 1 || at < jobs / 2).then(|| "not now".to_owned()),
        ..job(at, &[1, 2, 50])
    };
    let drafts: Vec<_> = (0..jobs).map(draft).collect();
    Box::new(move || {
        let checked = check(&drafts, &[]).expect("the graph has no fault");
        assert_eq!(checked.graph.jobs().len() + checked.removed.len(), jobs);
    })
}

pub fn checks_of_needs_that_grow_with_the_square(jobs: usize) -> Work {
    // Each removed job passes on all the needs of those before it, and one of its own.
    let draft = |at: usize| match at % 3 {
        0 => JobDraft::action(id(at)),
        1 => JobDraft {
            removed: Some("not now".to_owned()),
            needs: [at.checked_sub(3), Some(at - 1)].into_iter().flatten().map(id).collect(),
            ..JobDraft::action(id(at))
        },
        _ => JobDraft { needs: vec![id(at - 1)], ..JobDraft::action(id(at)) },
    };
    let drafts: Vec<_> = (0..3 * jobs).map(draft).collect();
    Box::new(move || assert_eq!(check(&drafts, &[]).expect_err("there are too many needs").0.len(), 1))
}

pub fn checks_of_cycles_through_one_job(jobs: usize) -> Work {
    let hub = |at: usize| JobDraft {
        needs: if at == 0 { (1..jobs).map(id).collect() } else { vec![id(0)] },
        ..JobDraft::action(id(at))
    };
    let drafts: Vec<_> = (0..jobs).map(hub).collect();
    Box::new(move || assert_eq!(check(&drafts, &[]).expect_err("there are cycles").0.len(), jobs - 1))
}

pub fn checks_of_parameters(params: usize) -> Work {
    let param = |at: usize| ParamDraft {
        name: id(at / 2),
        kind: Some("integer".into()),
        default: Some("x".into()),
        ..ParamDraft::default()
    };
    let drafts: Vec<_> = (0..params).map(param).collect();
    Box::new(move || assert_eq!(check(&[], &drafts).expect_err("no default fits").0.len(), params / 2))
}

pub fn submits_one_by_one(count: usize) -> Work {
    let there: Vec<_> = (0..count).map(|at| job(at, &[1, 2])).collect();
    let jobs = check(&there, &[]).expect("the graph has no fault").graph.into_jobs();
    Box::new(move || {
        let mut build = begun(jobs.clone());
        for at in count..2 * count {
            let jobs = check_submitted(build.graph(), &[job(at, &[1, 5000])]).expect("the job has no fault");
            tell(&mut build, EventBody::JobsSubmitted { by: id(0), attempt: 1, jobs });
        }
        assert_eq!(build.jobs().len(), 2 * count);
    })
}

pub fn plays_jobs_with_everything_about_them(jobs: usize) -> Work {
    let draft = |at: usize| JobDraft {
        run_when: [None, Some("always"), Some("failure")][at % 3].map(Into::into),
        retry: Some(2),
        fail_fast: at.is_multiple_of(5).then(|| format!("group-{}", at % 50)),
        priority: i32::try_from(at % 7).unwrap_or_default(),
        ..job(at, &[1, 2, 700])
    };
    let drafts: Vec<_> = (0..jobs).map(draft).collect();
    Box::new(move || {
        let jobs = check(&drafts, &[]).expect("the graph has no fault").graph.into_jobs();
        assert_eq!(play(begun(jobs), &failure()), Some(BuildStatus::Failure));
    })
}

pub fn fails_a_group(jobs: usize) -> Work {
    let drafts: Vec<_> = (0..jobs).map(|at| JobDraft { fail_fast: Some("all".into()), ..job(at, &[]) }).collect();
    let jobs = check(&drafts, &[]).expect("the graph has no fault").graph.into_jobs();
    Box::new(move || assert_eq!(play(begun(jobs.clone()), &failure()), Some(BuildStatus::Failure)))
}

pub fn schedules(jobs: usize) -> Work {
    plays(jobs, Ending::Succeeded, BuildStatus::Success)
}

pub fn skips(jobs: usize) -> Work {
    plays(jobs, failure(), BuildStatus::Failure)
}

/// The plan of jobs that need others, one of which fails.
pub fn plans(jobs: usize) -> Work {
    let drafts: Vec<_> = (0..jobs).map(|at| job(at, &[1, 2, 3, 50, 700])).collect();
    let checked = check(&drafts, &[]).expect("the graph has no fault");
    Box::new(move || assert_eq!(planned(checked.clone()).jobs.len(), jobs))
}

pub fn tells_two_plans_apart(jobs: usize) -> Work {
    let drafts = |image: &str| -> Vec<_> {
        (0..jobs).map(|at| JobDraft { image: Some(image.into()), ..job(at, &[1, 700]) }).collect()
    };
    let [old, new] =
        ["debian:12", "debian:13"].map(|image| planned(check(&drafts(image), &[]).expect("the graph has no fault")));
    Box::new(move || assert_eq!(PlanDiff::of(&old, &new).changed.len(), jobs))
}

fn planned(checked: Checked) -> Plan {
    let assumed = BTreeMap::from([(id(7), AssumedJob::ends(failure()))]);
    let mut planner = Planner::new(checked, None, Assumed::of_jobs(assumed));
    assert_eq!(planner.turn(), Turn::Done, "no action is there to be asked");
    planner.into_plan()
}

/// Plays a build whose jobs all end alike.
fn plays(jobs: usize, ending: Ending, status: BuildStatus) -> Work {
    let drafts: Vec<_> = (0..jobs).map(|at| job(at, &[1, 2, 3, 50, 700])).collect();
    let jobs = check(&drafts, &[]).expect("the graph has no fault").graph.into_jobs();
    Box::new(move || assert_eq!(play(begun(jobs.clone()), &ending), Some(status)))
}

fn failure() -> Ending {
    Ending::OutOfMemory { limit_bytes: None }
}

/// A build that has its jobs.
fn begun(jobs: Vec<JobSpec>) -> BuildState {
    let mut state = BuildState::new(NonZeroUsize::new(8).expect("not 0"));
    tell(&mut state, EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "test".into() });
    tell(&mut state, EventBody::BuildCheckedOut { source: Source::default() });
    tell(&mut state, EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] });
    state
}

fn tell(state: &mut BuildState, body: EventBody) -> Vec<Effect> {
    state.step(Input::Event(&Event { seq: 1, time_ms: 1, body }))
}

/// Plays the build to its end. Every attempt of every job ends alike.
fn play(mut state: BuildState, ending: &Ending) -> Option<BuildStatus> {
    let mut effects = state.outstanding();
    while let Some(effect) = effects.pop() {
        let body = match effect {
            Effect::Start { job, .. } => {
                effects.extend(tell(&mut state, EventBody::JobStarted { job: job.clone(), attempt: 1 }));
                state.conclude(&job, ending.clone())
            }
            Effect::Stop { job, .. } => state.conclude(&job, ending.clone()),
            Effect::Record(body) => body,
            _ => continue,
        };
        effects.extend(tell(&mut state, body));
    }
    state.status()
}
