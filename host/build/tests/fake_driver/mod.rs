//! A driver round the core for tests: carries effects out in a random order on a made-up clock, forgets everything at
//! random moments, and writes down what it saw.

mod plans;
mod view;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use monkeyci_build::{
    BuildState, Effect, Ending, Event, EventBody, Input, JobSpec, Results, Retry, RunWhen, Selection, SidecarReport,
    Source, Status, StopReason,
};
use proptest::collection::vec;
use proptest::prelude::*;

pub use plans::{calm_plan, rough_plan, rough_traits};
pub use view::View;

use crate::random_graph::{acyclic_needs, id};

/// A build, and all that will happen to it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The needs of each declared job, by index. An index beyond the end is a need that does not exist.
    pub needs: Vec<Vec<usize>>,
    /// Jobs that are submitted, with indexes after those of the declared ones: by which job, and what they need.
    pub submitted: Vec<(usize, Vec<usize>)>,
    /// More of each job; those that have no more are plain.
    pub traits: Vec<Traits>,
    /// What each job would come to.
    pub outcomes: Vec<Outcome>,
    /// The time limit of every job.
    pub timeout_ms: u64,
    /// How many jobs may run at a time.
    pub max_running: usize,
    /// What the driver does next, move by move; it goes on carrying out the oldest effect when they are used up.
    pub moves: Vec<Move>,
}

/// What is special about a job.
#[derive(Clone, Debug, Default)]
pub struct Traits {
    pub run_when: RunWhen,
    pub allow_failure: bool,
    /// How often it may run again, and how long it rests.
    pub retry: Option<(u32, u64)>,
    /// How many of its attempts fail, before it comes to what it comes to.
    pub bad_attempts: u32,
    pub priority: i32,
    pub group: Option<u8>,
    /// Whether it has to be approved, and is.
    pub approval: Option<bool>,
    /// Whether it is started by hand only.
    pub manual: bool,
    /// Whether it is late, and what comes of that.
    pub late: Option<Completion>,
    /// Whether it waits for other jobs while it runs.
    pub waits: bool,
    /// Whether it says something of its result.
    pub says: bool,
}

/// What comes of completing a late job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    Complete,
    Skipped,
    Broken,
}

/// What a job comes to when it is left to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeds,
    Warns,
    HasNothingToDo,
    Fails,
    Breaks,
    /// Runs until it is stopped.
    Hangs,
}

/// Something that the driver, or the world, does.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    /// Carry out the n-th effect that waits, or let the n-th running job end.
    Advance(usize),
    /// Let time pass.
    Wait(u64),
    /// Ask for the build to be cancelled.
    Cancel,
    /// Lose all but the journal.
    Crash,
}

/// What the driver saw.
#[derive(Clone, Debug)]
pub enum Seen {
    Issued(Effect),
    Happened(EventBody),
    Crashed,
    /// What was known when an event had been taken in.
    Known(View),
    /// So many jobs had been issued for start, or had started, and had neither ended nor given up their slots.
    Occupied(usize),
}

pub struct FakeDriver {
    plan: Plan,
    pub state: BuildState,
    pub journal: Vec<Event>,
    pub seen: Vec<Seen>,
    now_ms: u64,
    work: Vec<Work>,
    occupied: BTreeSet<String>,
    /// What is decided of the jobs before they are declared.
    selection: Option<Selection>,
}

// There are few at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
enum Work {
    Do(Effect),
    Run(String),
    /// Somebody looks at a job that is blocked.
    Review(String),
}

/// Plays the plan to the end of its build.
pub fn play(plan: &Plan) -> FakeDriver {
    let mut driver = FakeDriver::new(plan.clone(), Vec::new());
    driver.append(EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "test".into() });
    driver.play()
}

/// The same for a build of which some jobs are reused or left out.
pub fn play_selected(plan: &Plan, selection: Selection) -> FakeDriver {
    let mut driver = FakeDriver { selection: Some(selection), ..FakeDriver::new(plan.clone(), Vec::new()) };
    driver.append(EventBody::BuildTriggered { build: "o/r/2".into(), trigger: "test".into() });
    driver.play()
}

/// Takes a build up from its journal, and plays it to its end without further incident.
pub fn recover(plan: &Plan, journal: &[Event]) -> FakeDriver {
    let mut driver = FakeDriver::new(Plan { moves: Vec::new(), ..plan.clone() }, journal.to_vec());
    driver.crash();
    driver.play()
}

/// Goes on with a build whose host has died, and all that ran with it.
pub fn resume(plan: &Plan, journal: &[Event], again: bool) -> FakeDriver {
    let mut driver = FakeDriver::new(Plan { moves: Vec::new(), ..plan.clone() }, journal.to_vec());
    driver.state = fold(&driver.journal, plan.max_running).0;
    driver.append_only(EventBody::BuildResumed { by: "ada".into() });
    for body in driver.state.lost_attempts(again, &BTreeSet::new()) {
        driver.append_only(body);
    }
    driver.crash();
    driver.play()
}

impl FakeDriver {
    fn new(plan: Plan, journal: Vec<Event>) -> Self {
        let state = BuildState::new(NonZeroUsize::new(plan.max_running).expect("a plan has slots"));
        let now_ms = journal.last().map_or(0, |event| event.time_ms);
        let (work, occupied) = (Vec::new(), BTreeSet::new());
        Self { plan, state, journal, seen: Vec::new(), now_ms, work, occupied, selection: None }
    }

    fn play(mut self) -> Self {
        let mut moves = std::mem::take(&mut self.plan.moves).into_iter();
        for _ in 0..10_000 {
            if self.state.status().is_some() {
                return self;
            }
            match moves.next().unwrap_or(Move::Advance(0)) {
                Move::Advance(nth) => self.advance(nth),
                Move::Wait(ms) => {
                    self.now_ms += ms;
                    self.tick();
                }
                Move::Cancel => self.append(EventBody::CancelRequested { by: "test".into() }),
                Move::Crash => self.crash(),
            }
        }
        panic!("the build does not end: {:?}, {:?}", self.state, self.work);
    }

    fn advance(&mut self, nth: usize) {
        let possible: Vec<usize> = (0..self.work.len()).filter(|&at| self.can_advance(&self.work[at])).collect();
        if possible.is_empty() {
            let deadline = self.state.next_deadline_ms();
            let deadline = deadline.unwrap_or_else(|| panic!("nothing is left to do: {:?}", self.state));
            self.now_ms = self.now_ms.max(deadline);
            return self.tick();
        }
        match self.work.remove(possible[nth % possible.len()]) {
            Work::Do(Effect::CheckOut) => self.append(EventBody::BuildCheckedOut { source: Source::default() }),
            Work::Do(Effect::Define) => {
                if let Some(selection) = self.selection.clone() {
                    self.append(EventBody::JobsSelected { selection: Box::new(selection) });
                }
                self.append(EventBody::ScriptDefined { jobs: self.plan.jobs(), removed: vec![], params: vec![] });
            }
            Work::Do(Effect::Refine { job }) => self.refine(job),
            Work::Do(Effect::Start { job, attempt }) => {
                self.work.push(Work::Run(job.clone()));
                if self.count(&job, |body| matches!(body, EventBody::JobStarted { .. })) < attempt as usize {
                    self.append(EventBody::JobStarted { job, attempt });
                }
            }
            Work::Do(Effect::Stop { job, reason }) => self.stop(&job, reason),
            // A review or the script may have ended the job before this could be recorded.
            Work::Do(Effect::Record(EventBody::JobEnded { job, .. })) if self.has_ended(&job) => {}
            Work::Do(Effect::Record(body)) => {
                if let EventBody::JobBlocked { job, .. } = &body {
                    self.work.push(Work::Review(job.clone()));
                }
                self.append(body);
            }
            Work::Review(job) if self.has_ended(&job) => {}
            Work::Review(job) if self.plan.of(&job).approval == Some(true) => {
                self.append(EventBody::JobApproved { job, attempt: 1, by: "ada".into(), comment: None });
            }
            Work::Review(job) => {
                let ending = Ending::Rejected { by: "ada".into(), comment: None };
                self.append(EventBody::JobEnded { job, attempt: 1, ending });
            }
            Work::Run(job) => self.run(job),
        }
    }

    /// A job that runs comes to something: it waits, it submits jobs, or it ends.
    fn run(&mut self, job: String) {
        let attempt = self.state.job(&job).expect("it runs").attempt;
        let traits = self.plan.of(&job);
        if traits.waits && self.count(&job, |body| matches!(body, EventBody::JobWaiting { .. })) < attempt as usize {
            self.work.push(Work::Run(job.clone()));
            let jobs = self.state.jobs().map(|(spec, _)| spec.id.clone()).filter(|other| *other != job).collect();
            return self.append(EventBody::JobWaiting { job, attempt, jobs, rest: false });
        }
        let submitted = self.plan.submitted_by(&job);
        let has_submitted = |event: &Event| matches!(&event.body, EventBody::JobsSubmitted { by, .. } if *by == job);
        if !submitted.is_empty() && !self.journal.iter().any(has_submitted) {
            self.work.push(Work::Run(job.clone()));
            return self.append(EventBody::JobsSubmitted { by: job, attempt, jobs: submitted });
        }
        if traits.says {
            let outputs = [(format!("output-{attempt}"), job.clone())].into();
            let results = Results { message: Some(format!("attempt {attempt}")), outputs, ..Results::default() };
            self.append(EventBody::JobResults { job: job.clone(), attempt, results: Box::new(results) });
            let more = Results { warning: Some("more".into()), tests: Some(Default::default()), ..Results::default() };
            self.append(EventBody::JobResults { job: job.clone(), attempt, results: Box::new(more) });
            self.append(EventBody::JobRunning { job: job.clone(), attempt });
            let digest = format!("digest-{attempt}");
            self.append(EventBody::ArtifactSaved { job: job.clone(), attempt, id: job.clone(), size: 1, digest });
            self.append(EventBody::ParamAsked { job: Some(job.clone()), attempt, param: Some(job.clone()) });
            self.append(EventBody::ScriptReport { job: Some(job.clone()), attempt, message: job.clone() });
            let report = Box::new(SidecarReport::LauncherGone { during: None });
            self.append(EventBody::JobReported { job: job.clone(), attempt, report });
        }
        let failure = Ending::Exited { code: 1, line: None };
        let ending = match self.plan.outcome(&job) {
            _ if attempt <= traits.bad_attempts => failure,
            Outcome::Succeeds => Ending::Succeeded,
            Outcome::Warns => Ending::Warned { message: "slow".into() },
            Outcome::HasNothingToDo => Ending::NotNeeded { reason: "nothing to do".into() },
            Outcome::Fails => failure,
            Outcome::Breaks => Ending::EngineFailed { reason: "away".into() },
            Outcome::Hangs => panic!("{job} hangs"),
        };
        self.append(self.state.conclude(&job, ending));
    }

    /// The script completes a job, also when the job has been cancelled meanwhile.
    fn refine(&mut self, job: String) {
        let ending = match self.plan.of(&job).late.expect("the job is late") {
            Completion::Complete => {
                let spec = self.plan.spec(self.plan.index(&job));
                return self.append(EventBody::JobRefined { job: Box::new(spec), attempt: 1 });
            }
            Completion::Skipped => Ending::NotNeeded { reason: "nothing to do".into() },
            Completion::Broken => Ending::RefineFailed { message: "broken".into() },
        };
        if !self.has_ended(&job) {
            self.append(self.state.conclude(&job, ending));
        }
    }

    fn stop(&mut self, job: &str, reason: StopReason) {
        // The attempt may have ended by itself before it could be stopped.
        if self.has_ended(job) || self.state.job(job).and_then(|job| job.stopping.clone()) != Some(reason.clone()) {
            return;
        }
        let of_job = |work: &Work| match work {
            Work::Run(of) | Work::Do(Effect::Start { job: of, .. }) => of == job,
            _ => false,
        };
        self.work.retain(|work| !of_job(work));
        let ending = match reason {
            StopReason::Cancelled => Ending::Cancelled,
            StopReason::TimedOut => Ending::TimedOut { after_ms: self.plan.timeout_ms, during: None },
            StopReason::FailedFast { group, because } => Ending::FailedFast { group, because },
        };
        self.append(self.state.conclude(job, ending));
    }

    fn can_advance(&self, work: &Work) -> bool {
        !matches!(work, Work::Run(job) if self.plan.outcome(job) == Outcome::Hangs)
    }

    fn append(&mut self, body: EventBody) {
        self.now_ms += 1;
        self.seen.push(Seen::Happened(body.clone()));
        if let EventBody::JobEnded { job, .. } | EventBody::JobRetried { job, .. } | EventBody::JobWaiting { job, .. } =
            &body
        {
            self.occupied.remove(job);
        }
        let event = Event { seq: self.journal.len() as u64 + 1, time_ms: self.now_ms, body };
        self.journal.push(event.clone());
        let effects = self.state.step(Input::Event(&event));
        self.seen.push(Seen::Known(View::of(&self.state)));
        self.issue(effects);
    }

    /// What follows is done later.
    fn append_only(&mut self, body: EventBody) {
        let event = Event { seq: self.journal.len() as u64 + 1, time_ms: self.now_ms, body };
        drop(self.state.step(Input::Event(&event)));
        self.journal.push(event);
    }

    fn tick(&mut self) {
        let effects = self.state.step(Input::Tick { now_ms: self.now_ms });
        self.issue(effects);
    }

    fn crash(&mut self) {
        self.seen.push(Seen::Crashed);
        self.work.clear();
        self.state = fold(&self.journal, self.plan.max_running).0;
        self.occupied = self.with_slots();
        let blocked = self.state.jobs().filter(|(_, state)| state.status == Status::Blocked);
        self.work.extend(blocked.map(|(spec, _)| Work::Review(spec.id.clone())));
        self.issue(self.state.outstanding());
        // What a controller does when it starts.
        self.tick();
    }

    fn issue(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Start { job, .. } = &effect
                && !self.has_given_up_slot(job)
            {
                self.occupied.insert(job.clone());
            }
            self.seen.push(Seen::Issued(effect.clone()));
            self.work.push(Work::Do(effect));
        }
        self.seen.push(Seen::Occupied(self.occupied.len().max(self.state.running())));
    }

    /// The jobs that have started, and have neither ended nor given up their slots.
    fn with_slots(&self) -> BTreeSet<String> {
        let mut with_slots = BTreeSet::new();
        for event in &self.journal {
            match &event.body {
                EventBody::JobStarted { job, .. } => _ = with_slots.insert(job.clone()),
                EventBody::JobEnded { job, .. }
                | EventBody::JobRetried { job, .. }
                | EventBody::JobWaiting { job, .. } => {
                    with_slots.remove(job);
                }
                _ => {}
            }
        }
        with_slots
    }

    /// Whether the job's present attempt waits for others.
    fn has_given_up_slot(&self, id: &str) -> bool {
        let last = self.journal.iter().rev().find(|event| match &event.body {
            EventBody::JobWaiting { job, .. } | EventBody::JobRetried { job, .. } => job == id,
            _ => false,
        });
        last.is_some_and(|event| matches!(event.body, EventBody::JobWaiting { .. }))
    }

    fn count(&self, id: &str, counts: impl Fn(&EventBody) -> bool) -> usize {
        let of_job = |body: &EventBody| match body {
            EventBody::JobStarted { job, .. } | EventBody::JobWaiting { job, .. } => job == id,
            _ => false,
        };
        self.journal.iter().filter(|event| of_job(&event.body) && counts(&event.body)).count()
    }

    fn has_ended(&self, id: &str) -> bool {
        self.journal.iter().any(|event| matches!(&event.body, EventBody::JobEnded { job, .. } if job == id))
    }
}

/// The state after a journal, and all effects on the way.
pub fn fold(journal: &[Event], max_running: usize) -> (BuildState, Vec<Vec<Effect>>) {
    let mut state = BuildState::new(NonZeroUsize::new(max_running).expect("a plan has slots"));
    let effects = journal.iter().map(|event| state.step(Input::Event(event))).collect();
    (state, effects)
}
