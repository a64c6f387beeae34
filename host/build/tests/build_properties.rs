//! Promises of the state machine, on random graphs, in random worlds.

mod fake_shell;
mod random_graph;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use fake_shell::{Outcome, Plan, Seen, Shell, calm_plan, fold, play, recover, rough_plan};
use monkeyci_build::{BuildState, BuildStatus, Effect, Ending, Event, EventBody, Input, Source, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use random_graph::{acyclic_needs, id};

/// How each job ended, and how often.
fn endings(journal: &[Event]) -> BTreeMap<String, Vec<Ending>> {
    let mut endings: BTreeMap<String, Vec<Ending>> = BTreeMap::new();
    for event in journal {
        if let EventBody::JobEnded { job, ending } = &event.body {
            endings.entry(job.clone()).or_default().push(ending.clone());
        }
    }
    endings
}

/// The build ended once, at the very end, with each job in one final state that its summary tells.
fn assert_ended_well(plan: &Plan, shell: &Shell) -> Result<(), TestCaseError> {
    let ends = shell.journal.iter().filter(|event| matches!(event.body, EventBody::BuildEnded { .. })).count();
    prop_assert_eq!(ends, 1);
    let Some(EventBody::BuildEnded { jobs, .. }) = shell.journal.last().map(|event| &event.body) else {
        return Err(TestCaseError::fail("something happened after the end"));
    };
    let endings = endings(&shell.journal);
    if endings.is_empty() && jobs.is_empty() {
        // Cancelled before there were jobs, or there never were any.
        return Ok(());
    }
    prop_assert_eq!(jobs.len(), plan.needs.len());
    for (job, summary) in jobs.iter().enumerate() {
        prop_assert_eq!(&summary.job, &id(job));
        prop_assert_eq!(endings.get(&summary.job).cloned(), Some(vec![summary.ending.clone()]));
    }
    prop_assert!(shell.state.jobs().all(|(_, state)| state.status.is_final()));
    Ok(())
}

/// No job is started that has ended, or is started already and was not lost in a crash.
fn assert_starts_once(shell: &Shell) -> Result<(), TestCaseError> {
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for seen in &shell.seen {
        match seen {
            Seen::Crashed => started.clear(),
            Seen::Happened(EventBody::JobEnded { job, .. }) => _ = ended.insert(job),
            Seen::Issued(Effect::Start { job }) => {
                prop_assert!(!ended.contains(job), "{job} has ended");
                prop_assert!(started.insert(job), "{job} starts again");
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_build_ends_with_each_job_in_one_final_state(plan in rough_plan()) {
        assert_ended_well(&plan, &play(&plan))?;
    }

    #[test]
    fn a_build_taken_up_at_any_point_of_its_journal_ends_and_repeats_nothing(plan in rough_plan()) {
        let whole = play(&plan).journal;
        for length in 1..=whole.len() {
            let shell = recover(&plan, &whole[..length]);
            assert_ended_well(&plan, &shell)?;
            let before = endings(&whole[..length]);
            for seen in &shell.seen {
                if let Seen::Issued(Effect::Start { job }) = seen {
                    prop_assert!(!before.contains_key(job), "{job} had ended before the crash");
                }
            }
        }
    }

    #[test]
    fn no_job_starts_twice(plan in rough_plan()) {
        assert_starts_once(&play(&plan))?;
    }

    #[test]
    fn never_more_jobs_than_places(plan in rough_plan()) {
        for seen in play(&plan).seen {
            prop_assert!(!matches!(seen, Seen::Occupied(count) if count > plan.max_running));
        }
    }

    #[test]
    fn no_place_stays_empty_while_a_job_could_start(plan in calm_plan()) {
        let mut state = BuildState::new(NonZeroUsize::new(plan.max_running).expect("a plan has places"));
        for event in play(&plan).journal {
            state.step(Input::Event(&event));
            let may_run = state.jobs().filter(|(spec, job)| {
                let succeeded = |need: &String| state.job(need).is_some_and(|need| need.status == Status::Success);
                !job.status.is_final() && spec.needs.iter().all(succeeded)
            });
            prop_assert_eq!(state.running(), may_run.count().min(plan.max_running));
        }
    }

    #[test]
    fn no_job_starts_before_all_that_it_needs_has_succeeded(plan in rough_plan()) {
        let mut succeeded = BTreeSet::new();
        for seen in play(&plan).seen {
            match seen {
                Seen::Happened(EventBody::JobEnded { job, ending: Ending::Succeeded }) => _ = succeeded.insert(job),
                Seen::Issued(Effect::Start { job }) => {
                    let job: usize = job[1..].parse().expect("ids are made by this test");
                    prop_assert!(plan.needs[job].iter().all(|need| succeeded.contains(&id(*need))));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn how_jobs_end_does_not_depend_on_the_order_of_events(plan in calm_plan()) {
        let shell = play(&plan);
        // A job runs if all that it needs has succeeded, and is skipped otherwise: nothing else matters.
        let mut expected: Vec<Option<Status>> = vec![None; plan.needs.len()];
        while expected.iter().any(Option::is_none) {
            for job in 0..expected.len() {
                let needs: Vec<_> = plan.needs[job].iter().map(|need| expected[*need]).collect();
                expected[job] = match plan.outcomes[job] {
                    _ if needs.contains(&None) => None,
                    _ if needs.iter().any(|need| *need != Some(Status::Success)) => Some(Status::Skipped),
                    Outcome::Succeeds => Some(Status::Success),
                    Outcome::Breaks => Some(Status::Error),
                    _ => Some(Status::Failure),
                };
            }
        }
        let statuses: Vec<_> = shell.state.jobs().map(|(_, job)| Some(job.status)).collect();
        prop_assert_eq!(&statuses, &expected);
        let status = match () {
            () if expected.contains(&Some(Status::Error)) => BuildStatus::Error,
            () if expected.contains(&Some(Status::Failure)) => BuildStatus::Failure,
            () => BuildStatus::Success,
        };
        prop_assert_eq!(shell.state.status(), Some(status));
    }

    #[test]
    fn a_skipped_job_names_a_need_that_did_not_succeed(plan in rough_plan()) {
        let endings = endings(&play(&plan).journal);
        for (job, ending) in &endings {
            if let Ending::Skipped { because } = &ending[0] {
                let job: usize = job[1..].parse().expect("ids are made by this test");
                prop_assert!(plan.needs[job].iter().any(|need| id(*need) == *because));
                prop_assert_ne!(&endings[because][0], &Ending::Succeeded);
            }
        }
    }

    #[test]
    fn nothing_starts_after_a_cancel_and_the_build_ends_as_cancelled(plan in rough_plan()) {
        let shell = play(&plan);
        let mut cancelled = false;
        for seen in &shell.seen {
            match seen {
                Seen::Happened(EventBody::CancelRequested { .. }) => cancelled = true,
                Seen::Issued(Effect::Start { job }) => prop_assert!(!cancelled, "{job} starts"),
                _ => {}
            }
        }
        // A cancel that comes when the end is decided comes too late.
        prop_assert_eq!(shell.state.status() == Some(BuildStatus::Cancelled), shell.state.cancelling());
    }

    #[test]
    fn an_event_that_comes_again_changes_nothing(plan in rough_plan()) {
        let journal = play(&plan).journal;
        let mut state = BuildState::new(NonZeroUsize::new(plan.max_running).expect("a plan has places"));
        for (at, event) in journal.iter().enumerate() {
            state.step(Input::Event(event));
            let before = format!("{state:?}");
            for again in &journal[..=at] {
                prop_assert_eq!(state.step(Input::Event(again)), []);
            }
            prop_assert_eq!(before, format!("{state:?}"));
        }
    }

    #[test]
    fn the_same_journal_gives_the_same_effects(plan in rough_plan()) {
        let journal = play(&plan).journal;
        let (one, other) = (fold(&journal, plan.max_running), fold(&journal, plan.max_running));
        prop_assert_eq!(one.1, other.1);
        prop_assert_eq!(one.0.outstanding(), other.0.outstanding());
    }

    #[test]
    fn a_journal_with_a_nonsensical_graph_still_ends(
        needs in vec(vec(0..9_usize, 0..3), 0..8),
        plan in rough_plan(),
    ) {
        let plan = Plan { needs, ..plan };
        let shell = play(&plan);
        assert_ended_well(&plan, &shell)?;
        assert_starts_once(&shell)?;
    }

    #[test]
    fn a_build_taken_up_with_another_number_of_places_ends(plan in rough_plan(), max_running in 1..6_usize) {
        let whole = play(&plan).journal;
        for length in 1..=whole.len() {
            let plan = Plan { max_running, ..plan.clone() };
            assert_ended_well(&plan, &recover(&plan, &whole[..length]))?;
        }
    }

    #[test]
    fn whatever_events_come_nothing_is_asked_for_twice(
        needs in acyclic_needs(5),
        bodies in vec((0..8_usize, 0..6_usize), 0..60),
        times in vec(any::<u64>(), 60),
    ) {
        let plan = Plan { needs, outcomes: Vec::new(), timeout_ms: u64::MAX, max_running: 2, moves: Vec::new() };
        let mut state = BuildState::new(NonZeroUsize::new(2).expect("not 0"));
        let mut recorded = BTreeMap::new();
        for ((kind, job), time_ms) in bodies.into_iter().zip(times) {
            let job = id(job);
            let body = match kind {
                0 => EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "test".into() },
                1 => EventBody::BuildCheckedOut { source: Source::default() },
                2 => EventBody::ScriptDefined { jobs: plan.jobs() },
                3 => EventBody::JobStarted { job },
                4 => EventBody::JobEnded { job, ending: Ending::Succeeded },
                5 => EventBody::JobEnded { job, ending: Ending::OutOfMemory { limit_bytes: None } },
                6 => EventBody::JobRunning { job },
                _ => EventBody::CancelRequested { by: "test".into() },
            };
            let mut effects = state.step(Input::Event(&Event { seq: 1, time_ms, body }));
            effects.extend(state.step(Input::Tick { now_ms: time_ms }));
            for effect in effects {
                *recorded.entry(format!("{effect:?}")).or_insert(0) += 1;
            }
        }
        prop_assert!(recorded.values().all(|times| *times == 1), "{:?}", recorded);
    }
}
