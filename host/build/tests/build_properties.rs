//! Promises of the state machine, on random graphs, in random worlds.

// Builds of which some jobs do not run are tried elsewhere.
#[allow(dead_code)]
mod fake_driver;
mod random_graph;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use fake_driver::{
    Completion, FakeDriver, Outcome, Plan, Seen, View, calm_plan, fold, play, recover, resume, rough_plan, rough_traits,
};
use monkeyci_build::{BuildState, BuildStatus, Effect, Ending, Event, EventBody, Input, RunWhen, Source, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use random_graph::{acyclic_needs, id};

/// How each job ended, and how often.
fn endings(journal: &[Event]) -> BTreeMap<String, Vec<Ending>> {
    let mut endings: BTreeMap<String, Vec<Ending>> = BTreeMap::new();
    for event in journal {
        if let EventBody::JobEnded { job, ending, .. } = &event.body {
            endings.entry(job.clone()).or_default().push(ending.clone());
        }
    }
    endings
}

/// The build ended once, at the very end, with each job in one final state that its summary tells.
fn assert_ended_well(plan: &Plan, driver: &FakeDriver) -> Result<(), TestCaseError> {
    let ends = driver.journal.iter().filter(|event| matches!(event.body, EventBody::BuildEnded { .. })).count();
    prop_assert_eq!(ends, 1);
    let Some(EventBody::BuildEnded { jobs, .. }) = driver.journal.last().map(|event| &event.body) else {
        return Err(TestCaseError::fail("something happened after the end"));
    };
    let endings = endings(&driver.journal);
    if endings.is_empty() && jobs.is_empty() {
        // Cancelled before there were jobs, or there never were any.
        return Ok(());
    }
    let submitted = |event: &Event| match &event.body {
        EventBody::JobsSubmitted { jobs, .. } => jobs.len(),
        _ => 0,
    };
    prop_assert_eq!(jobs.len(), plan.needs.len() + driver.journal.iter().map(submitted).sum::<usize>());
    for (job, summary) in jobs.iter().enumerate() {
        prop_assert!(job >= plan.needs.len() || summary.job == id(job));
        prop_assert_eq!(endings.get(&summary.job).cloned(), Some(vec![summary.ending.clone()]));
    }
    prop_assert!(driver.state.jobs().all(|(_, state)| state.status.is_final()));
    Ok(())
}

/// No job is started that has ended, or is started already and was not lost in a crash.
fn assert_starts_once(driver: &FakeDriver) -> Result<(), TestCaseError> {
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for seen in &driver.seen {
        match seen {
            Seen::Crashed => started.clear(),
            Seen::Happened(EventBody::JobEnded { job, .. }) => _ = ended.insert(job),
            Seen::Issued(Effect::Start { job, attempt }) => {
                prop_assert!(!ended.contains(job), "{job} has ended");
                prop_assert!(started.insert((job, attempt)), "{job} starts again");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the event adds to what was said, and takes room each time.
fn adds_up(body: &EventBody) -> bool {
    matches!(body, EventBody::JobResults { .. } | EventBody::JobWaiting { .. } | EventBody::ScriptReport { .. })
}

fn has_ended(state: &BuildState, job: &str) -> bool {
    state.job(job).is_some_and(|job| job.status.is_final())
}

/// Whether jobs that need one that ended so go on.
fn is_ok(ending: &Ending) -> bool {
    matches!(ending.status(), Status::Success | Status::Warning) || matches!(ending, Ending::NotNeeded { .. })
}

/// Whether the condition of a job is true, all of whose needs are over.
fn condition(plan: &Plan, state: &BuildState, job: &str) -> bool {
    let needs = plan.needs_of(plan.index(job)).iter();
    let oks: Vec<bool> =
        needs.map(|need| state.job(&id(*need)).and_then(|job| job.ending.as_ref()).is_some_and(is_ok)).collect();
    match plan.of(job).run_when {
        RunWhen::Success => oks.iter().all(|ok| *ok),
        RunWhen::Always => true,
        RunWhen::Failure => oks.iter().any(|ok| !ok),
    }
}

/// How a job ends to which nothing happens but what its plan says, if it is known how those ended that it needs.
fn expected(plan: &Plan, job: usize, needs: &[Status]) -> Status {
    let traits = plan.of(&id(job));
    // No job of a plan without cancel and groups has another status that is not ok.
    let not_ok = |status: &Status| matches!(status, Status::Failure | Status::Error | Status::Cancelled);
    match traits.run_when {
        RunWhen::Success if needs.iter().any(not_ok) => return Status::Cancelled,
        RunWhen::Failure if !needs.iter().any(not_ok) => return Status::Skipped,
        _ => {}
    }
    let is_complete = !matches!(traits.late, Some(Completion::Skipped | Completion::Broken));
    if traits.approval == Some(false) && is_complete {
        return Status::Failure;
    }
    let retries = traits.retry.map_or(0, |(count, _)| count);
    let ends = match (traits.late, plan.outcome(&id(job))) {
        (Some(Completion::Skipped), _) => Status::Skipped,
        (Some(Completion::Broken), _) => Status::Failure,
        _ if traits.bad_attempts > retries => Status::Failure,
        (_, Outcome::Succeeds) => Status::Success,
        (_, Outcome::Warns) => Status::Warning,
        (_, Outcome::HasNothingToDo) => Status::Skipped,
        (_, Outcome::Fails | Outcome::Hangs) => Status::Failure,
        (_, Outcome::Breaks) => Status::Error,
    };
    if traits.allow_failure && not_ok(&ends) { Status::Warning } else { ends }
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
            let driver = recover(&plan, &whole[..length]);
            assert_ended_well(&plan, &driver)?;
            let before = endings(&whole[..length]);
            for seen in &driver.seen {
                if let Seen::Issued(Effect::Start { job, .. }) = seen {
                    prop_assert!(!before.contains_key(job), "{job} had ended before the crash");
                }
            }
        }
    }

    #[test]
    fn a_build_taken_up_at_any_point_of_its_journal_ends_as_it_would_have(plan in calm_plan()) {
        let statuses = |driver: &FakeDriver| -> BTreeMap<String, (Status, u32)> {
            driver.state.jobs().map(|(spec, job)| (spec.id.clone(), (job.status, job.attempt))).collect()
        };
        let whole = play(&plan);
        for length in 1..=whole.journal.len() {
            let driver = recover(&plan, &whole.journal[..length]);
            prop_assert_eq!(statuses(&driver), statuses(&whole));
            prop_assert_eq!(driver.state.status(), whole.state.status());
        }
    }

    #[test]
    fn a_build_whose_host_died_at_any_point_ends_and_what_ran_then_has_failed_or_runs_again(
        plan in rough_plan(),
        again in any::<bool>(),
    ) {
        let whole = play(&plan).journal;
        for length in 1..whole.len() {
            let before = fold(&whole[..length], plan.max_running).0;
            let driver = resume(&plan, &whole[..length], again);
            assert_ended_well(&plan, &driver)?;
            let over = endings(&whole[..length]);
            for (spec, job) in before.jobs().filter(|(_, job)| job.status == Status::Running) {
                let next = driver.journal[length..].iter().find_map(|event| match &event.body {
                    EventBody::JobEnded { job, ending, .. } | EventBody::JobRetried { job, ending, .. }
                        if *job == spec.id =>
                    {
                        Some((ending.clone(), matches!(event.body, EventBody::JobRetried { .. })))
                    }
                    _ => None,
                });
                let (ending, retried) = next.expect("it is told what became of it");
                if job.stopping.is_none() {
                    let lost = matches!(&ending, Ending::Tolerated { ending } if **ending == Ending::HostDied);
                    prop_assert!(lost || ending == Ending::HostDied, "{ending:?}");
                    prop_assert!(retried || !again);
                }
            }
            for event in &driver.journal[length..] {
                if let EventBody::JobStarted { job, .. } = &event.body {
                    prop_assert!(!over.contains_key(job), "{job} was over");
                }
            }
        }
    }

    #[test]
    fn no_job_starts_twice(plan in rough_plan()) {
        assert_starts_once(&play(&plan))?;
    }

    #[test]
    fn never_more_jobs_than_slots(plan in rough_plan()) {
        for seen in play(&plan).seen {
            prop_assert!(!matches!(seen, Seen::Occupied(count) if count > plan.max_running));
        }
    }

    #[test]
    fn no_slot_stays_empty_while_a_job_could_start(plan in calm_plan()) {
        let mut state = BuildState::new(NonZeroUsize::new(plan.max_running).expect("a plan has slots"));
        let mut happened = Vec::new();
        for event in play(&plan).journal {
            state.step(Input::Event(&event));
            happened.push(event.body);
            let may_run = state.jobs().filter(|(spec, job)| {
                let is_settled = spec.needs.iter().all(|need| has_ended(&state, need)) && condition(&plan, &state, &spec.id);
                let has = |past: fn(&EventBody) -> Option<&String>| happened.iter().any(|body| past(body) == Some(&spec.id));
                let is_approved = spec.approval.is_none() || has(|body| match body {
                    EventBody::JobApproved { job, .. } => Some(job),
                    _ => None,
                });
                let is_complete = !spec.late || has(|body| match body {
                    EventBody::JobRefined { job, .. } => Some(&job.id),
                    _ => None,
                });
                !job.status.is_final() && is_settled && is_approved && is_complete
            });
            prop_assert_eq!(state.running(), may_run.count().min(plan.max_running));
        }
    }

    #[test]
    fn no_job_starts_before_its_condition_is_true_and_it_is_approved_and_complete(plan in rough_plan()) {
        let mut endings = BTreeMap::new();
        let (mut approved, mut complete) = (BTreeSet::new(), BTreeSet::new());
        for seen in play(&plan).seen {
            match seen {
                Seen::Happened(EventBody::JobEnded { job, ending, .. }) => _ = endings.insert(job, ending),
                Seen::Happened(EventBody::JobApproved { job, .. }) => _ = approved.insert(job),
                Seen::Happened(EventBody::JobRefined { job, .. }) => _ = complete.insert(job.id),
                Seen::Issued(Effect::Start { job, .. }) => {
                    let traits = plan.of(&job);
                    prop_assert!(traits.approval.is_none() || approved.contains(&job), "{job} is not approved");
                    prop_assert!(traits.late.is_none() || complete.contains(&job), "{job} is not complete");
                    let needs = plan.needs_of(plan.index(&job)).iter();
                    let ends: Vec<Option<&Ending>> = needs.map(|need| endings.get(&id(*need))).collect();
                    prop_assert!(ends.iter().all(Option::is_some), "{job} waits for others");
                    let mut oks = ends.iter().flatten().map(|ending| is_ok(ending));
                    let may_run = match traits.run_when {
                        RunWhen::Success => oks.all(|ok| ok),
                        RunWhen::Always => true,
                        RunWhen::Failure => oks.any(|ok| !ok),
                    };
                    prop_assert!(may_run, "the condition of {job} is not true");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn how_jobs_end_does_not_depend_on_the_order_of_events(plan in calm_plan()) {
        let driver = play(&plan);
        // A skip that comes of a failure is told as cancelled here, to tell it from an intended one.
        let told = |ending: &Ending| match ending {
            Ending::Skipped { .. } => Status::Cancelled,
            ending => ending.status(),
        };
        let ended: BTreeMap<String, Status> = driver
            .state
            .jobs()
            .map(|(spec, job)| (spec.id.clone(), job.ending.as_ref().map_or(Status::Pending, told)))
            .collect();
        for (job, status) in &ended {
            let job = plan.index(job);
            let needs: Vec<Status> = plan.needs_of(job).iter().map(|need| ended[&id(*need)]).collect();
            prop_assert_eq!(*status, expected(&plan, job, &needs), "job {}", job);
        }
        let has = |status: Status| ended.values().any(|ended| *ended == status);
        let status = match () {
            () if has(Status::Error) => BuildStatus::Error,
            () if has(Status::Failure) => BuildStatus::Failure,
            () => BuildStatus::Success,
        };
        prop_assert_eq!(driver.state.status(), Some(status));
    }

    #[test]
    fn a_skipped_job_names_a_need_that_did_not_succeed(plan in rough_plan()) {
        let endings = endings(&play(&plan).journal);
        for (job, ending) in &endings {
            if let Ending::Skipped { because } = &ending[0] {
                prop_assert!(plan.needs_of(plan.index(job)).iter().any(|need| id(*need) == *because));
                prop_assert!(!is_ok(&endings[because][0]));
            }
        }
    }

    #[test]
    fn nothing_starts_after_a_cancel_and_the_build_ends_as_cancelled(plan in rough_plan()) {
        let driver = play(&plan);
        let mut cancelled = false;
        for seen in &driver.seen {
            match seen {
                Seen::Happened(EventBody::CancelRequested { .. }) => cancelled = true,
                Seen::Issued(Effect::Start { job, .. } | Effect::Refine { job }) => prop_assert!(!cancelled, "{job} starts"),
                Seen::Issued(Effect::Record(EventBody::JobBlocked { job, .. })) => {
                    prop_assert!(!cancelled, "{job} is blocked");
                }
                _ => {}
            }
        }
        // A cancel that comes when the end is decided comes too late.
        prop_assert_eq!(driver.state.status() == Some(BuildStatus::Cancelled), driver.state.stopping());
    }

    #[test]
    fn an_event_that_comes_again_changes_nothing(plan in rough_plan()) {
        let journal = play(&plan).journal;
        let mut state = BuildState::new(NonZeroUsize::new(plan.max_running).expect("a plan has slots"));
        for (at, event) in journal.iter().enumerate() {
            state.step(Input::Event(event));
            let before = format!("{state:?}");
            for again in journal[..=at].iter().filter(|event| !adds_up(&event.body)) {
                prop_assert_eq!(state.step(Input::Event(again)), []);
            }
            prop_assert_eq!(before, format!("{state:?}"));
        }
    }

    #[test]
    fn what_is_known_of_a_build_is_the_same_after_a_crash_at_any_point_of_its_journal(plan in rough_plan()) {
        let driver = play(&plan);
        let known: Vec<&View> = driver.seen.iter().filter_map(|seen| match seen {
            Seen::Known(view) => Some(view),
            _ => None,
        }).collect();
        prop_assert_eq!(known.len(), driver.journal.len());
        // What stands on the disk, and not what was in memory.
        let text: Vec<String> = driver.journal.iter().map(|event| serde_json::to_string(event).expect("JSON")).collect();
        for length in 1..=text.len() {
            let read: Vec<Event> = text[..length].iter().map(|text| serde_json::from_str(text).expect("events")).collect();
            prop_assert_eq!(&View::of(&fold(&read, plan.max_running).0), known[length - 1], "after {} events", length);
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
        let plan = Plan { needs, submitted: vec![], ..plan };
        let driver = play(&plan);
        assert_ended_well(&plan, &driver)?;
        assert_starts_once(&driver)?;
    }

    #[test]
    fn a_build_taken_up_with_another_number_of_slots_ends(plan in rough_plan(), max_running in 1..6_usize) {
        let whole = play(&plan).journal;
        for length in 1..=whole.len() {
            let plan = Plan { max_running, ..plan.clone() };
            assert_ended_well(&plan, &recover(&plan, &whole[..length]))?;
        }
    }

    #[test]
    fn whatever_events_come_nothing_is_asked_for_twice(
        needs in acyclic_needs(5),
        bodies in vec((0..15_usize, 0..7_usize, 0..4_u32), 0..80),
        traits in vec(rough_traits(), 8),
        times in vec(any::<u64>(), 80),
    ) {
        let submitted = vec![(0, vec![0]), (0, vec![])];
        let (outcomes, moves) = (Vec::new(), Vec::new());
        let plan = Plan { needs, submitted, traits, outcomes, timeout_ms: 1 << 62, max_running: 2, moves };
        let mut state = BuildState::new(NonZeroUsize::new(2).expect("not 0"));
        let mut recorded = BTreeMap::new();
        for ((kind, job, attempt), time_ms) in bodies.into_iter().zip(times) {
            let job = id(job);
            let ending = Ending::OutOfMemory { limit_bytes: None };
            let body = match kind {
                0 => EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "test".into() },
                1 => EventBody::BuildCheckedOut { source: Source::default() },
                2 => EventBody::ScriptDefined { jobs: plan.jobs(), removed: vec![], params: vec![] },
                3 | 4 => EventBody::JobStarted { job, attempt },
                5 => EventBody::JobEnded { job, attempt, ending: Ending::Succeeded },
                6 => EventBody::JobEnded { job, attempt, ending },
                7 => EventBody::JobRunning { job, attempt },
                8 => EventBody::JobRetried { job, attempt, ending, delay_ms: u64::from(attempt.saturating_sub(1)) << 60 },
                9 => EventBody::JobBlocked { job, attempt, message: "Go on?".into(), runs: None },
                10 => EventBody::JobApproved { job, attempt, by: "ada".into(), comment: None },
                11 => EventBody::JobWaiting { job, attempt, jobs: vec![], rest: false },
                12 => EventBody::JobsSubmitted { jobs: plan.submitted_by(&job), by: job, attempt },
                13 => match plan.jobs().into_iter().find(|spec| spec.id == job) {
                    Some(spec) => EventBody::JobRefined { job: Box::new(spec), attempt },
                    None => EventBody::JobResults { job, attempt, results: Box::default() },
                },
                _ => EventBody::CancelRequested { by: "test".into() },
            };
            let mut effects = state.step(Input::Event(&Event { seq: 1, time_ms, body }));
            effects.extend(state.step(Input::Tick { now_ms: time_ms }));
            for effect in effects {
                // Each attempt may be stopped once.
                let attempt = match &effect {
                    Effect::Stop { job, .. } | Effect::Record(EventBody::JobEnded { job, .. }) => {
                        state.job(job).map(|job| job.attempt)
                    }
                    _ => None,
                };
                *recorded.entry(format!("{effect:?}, attempt {attempt:?}")).or_insert(0) += 1;
            }
        }
        prop_assert!(recorded.values().all(|times| *times == 1), "{:?}", recorded);
    }
}
