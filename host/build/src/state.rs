//! The state of a build: a fold over its events.

mod attempt;
mod book;
mod job;
mod ledger;
mod needs;
mod resume;
mod retry;
mod schedule;
mod selected;
mod verdict;

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;

pub use job::{JobState, StopReason};
use ledger::Ledger;
use schedule::{Halt, Schedule};
use selected::Selected;

pub use ledger::MOST_TOLD;
pub(crate) use ledger::{RESULTS, WORDS, size_of_ids, size_of_told, size_of_words};
pub(crate) use retry::LONGEST_DELAY_MS;

use crate::waits::Waits;
use crate::{
    BuildStatus, Ending, Event, EventBody, Graph, JobDraft, JobSpec, JobSummary, Requested, SavedArtifact,
    check_submitted,
};

/// A build's state, and what is to be done next.
///
/// Events come in by [`step`](Self::step), effects come out. Whoever carries effects out appends what came of them to
/// the journal and feeds it back here, in the order of the journal. All that the state knows is in the events and their
/// times, but for the time limits, which [`Input::Tick`] enforces; so folding a journal gives the state that wrote it, and
/// [`outstanding`](Self::outstanding) the effects that are to be issued again. A tick belongs after that, for what became
/// due since the last event.
///
/// Events that can't be true (of unknown jobs, of jobs that have ended, of another attempt than the one that counts, of a build
/// that has ended) change nothing: the first event about a thing counts.
///
/// ```
/// use std::num::NonZeroUsize;
/// use monkeyci_build::{BuildState, Effect, Event, EventBody, Input};
///
/// let mut state = BuildState::new(NonZeroUsize::MIN);
/// let body = EventBody::BuildTriggered { build: "org/repo/1".into(), trigger: "cli".into() };
/// let effects = state.step(Input::Event(&Event { seq: 1, time_ms: 0, body }));
/// assert_eq!(effects, [Effect::CheckOut]);
/// assert_eq!(state.outstanding(), effects);
/// ```
#[derive(Clone, Debug)]
pub struct BuildState {
    phase: Phase,
    /// How the build will end, since somebody or its time limit has stopped it.
    stopping: Option<BuildStatus>,
    /// How the build is to end, once that is decided; the event that says so may be on its way.
    decided: Option<BuildStatus>,
    schedule: Schedule,
    /// The jobs that a condition of the script removed, with the reasons.
    removed: Vec<(String, String)>,
    /// Which job's action submitted a job, and in which attempt.
    submitted: BTreeMap<String, (String, u32)>,
    /// The artifacts that have been saved, by id.
    artifacts: BTreeMap<String, SavedArtifact>,
    ledger: Ledger,
    /// Which actions wait for which jobs.
    pub(crate) waits: Waits,
}

/// What a build's state takes in.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An event of the journal.
    Event(&'a Event),
    /// Time has passed.
    Tick {
        /// The time now, in milliseconds since the Unix epoch.
        now_ms: u64,
    },
}

/// What somebody has to do now. Each can be issued again after a crash, so carrying one out has to be create-or-get.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Get the code. Ends in [`EventBody::BuildCheckedOut`] or [`EventBody::BuildFailed`].
    CheckOut,
    /// Load the script, let it declare its jobs, check them. Ends in [`EventBody::ScriptDefined`] or
    /// [`EventBody::BuildFailed`].
    Define,
    /// Let the script complete a late job. Ends in [`EventBody::JobRefined`], or in [`EventBody::JobEnded`] when the script
    /// skips the job or can't complete it. Nothing comes of it any more once the job has ended otherwise.
    Refine {
        /// The job's id.
        job: String,
    },
    /// Start an attempt of a job, or find it running. Ends in [`EventBody::JobStarted`], and later in what
    /// [`BuildState::conclude`] makes of the attempt's end.
    Start {
        /// The job's id.
        job: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Stop a job. Ends in the job's [`EventBody::JobEnded`], even where the job is not found because its start never
    /// happened: after a crash this is the only effect that is issued again for a job that was being stopped.
    Stop {
        /// The job's id.
        job: String,
        /// Why.
        reason: StopReason,
    },
    /// Append this to the journal.
    Record(EventBody),
}

/// Where a build is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing has happened yet.
    New,
    /// The code is being got.
    CheckingOut,
    /// The script is being loaded and asked for its jobs.
    Defining,
    /// Jobs run.
    Running,
    /// The build is over.
    Ended(BuildStatus),
}

impl BuildState {
    /// A build of which nothing has happened, that will run so many jobs at a time.
    pub fn new(max_running: NonZeroUsize) -> Self {
        let schedule = Schedule::new(max_running);
        Self {
            phase: Phase::New,
            stopping: None,
            decided: None,
            schedule,
            removed: Vec::new(),
            submitted: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            ledger: Ledger::default(),
            waits: Waits::default(),
        }
    }

    /// What these events have made of a build, from its first one on.
    pub fn of(events: &[Event]) -> Self {
        let asked = Requested::of(events).map(|request| request.max_running);
        let mut state = Self::new(asked.unwrap_or(NonZeroUsize::MIN));
        for event in events {
            drop(state.step(Input::Event(event)));
        }
        state
    }

    /// Takes an input in, and returns what is to be done about it, in this order.
    pub fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !matches!(self.phase, Phase::Ended(_)) {
            match input {
                Input::Event(event) => self.event(event, &mut effects),
                Input::Tick { now_ms } => self.schedule.tick(now_ms, &mut effects),
            }
        }
        effects
    }

    /// Every effect that was returned and that no event has completed yet. After folding a journal, these are the
    /// effects to issue again.
    pub fn outstanding(&self) -> Vec<Effect> {
        if let (None, Some(status)) = (self.status(), self.decided) {
            return vec![self.end(status)];
        }
        match self.phase {
            Phase::New | Phase::Ended(_) => Vec::new(),
            Phase::CheckingOut => vec![Effect::CheckOut],
            Phase::Defining => vec![Effect::Define],
            Phase::Running => self.schedule.outstanding(),
        }
    }

    /// Where the build is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How the build ended, if it has.
    pub fn status(&self) -> Option<BuildStatus> {
        match self.phase {
            Phase::Ended(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the build was stopped before its end was decided: somebody asked for it, or it reached its time limit.
    pub fn stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether somebody has asked for the build to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.stopping == Some(BuildStatus::Cancelled)
    }

    /// The graph; empty until the script has declared it.
    pub fn graph(&self) -> &Graph {
        self.schedule.graph()
    }

    /// What is known of this job; none if there is no such job, or not yet.
    pub fn job(&self, id: &str) -> Option<&JobState> {
        self.graph().index(id).and_then(|job| self.schedule.states().get(job))
    }

    /// Why a condition of the script removed this job; none for one that it did not remove.
    pub fn removed(&self, id: &str) -> Option<&str> {
        self.removed.iter().find(|(removed, _)| removed == id).map(|(_, reason)| reason.as_str())
    }

    /// All jobs and what is known of them, in the order of declaration.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = (&JobSpec, &JobState)> {
        self.graph().jobs().iter().zip(self.schedule.states())
    }

    /// When the next job reaches its time limit, or has rested enough after a failure to run again, in milliseconds since
    /// the Unix epoch: an [`Input::Tick`] is due then. Jobs that are being stopped don't count.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.schedule.next_deadline_ms()
    }

    /// The attempt of a job that counts now: the one that is being made, or else the one that would be made next. Events of the
    /// job name it. 0 for what is no job.
    pub fn turn(&self, job: &str) -> u32 {
        self.graph().index(job).map_or(0, |job| self.schedule.attempt(job))
    }

    /// Whether a job is at work for which somebody speaks: `define` with `None` and 0, or an attempt of a job that runs, or that the
    /// script completes. An attempt whose sidecar has said how it ended is not.
    pub fn works(&self, job: Option<&str>, attempt: u32) -> bool {
        let Some(job) = job else { return attempt == 0 && self.phase == Phase::Defining && self.decided.is_none() };
        self.graph().index(job).is_some_and(|job| self.schedule.works(job) && self.schedule.attempt(job) == attempt)
    }

    /// Whether an attempt of a job up to this one has submitted these very jobs: then they are there.
    pub fn are_submitted(&self, by: &str, up_to: u32, drafts: &[JobDraft]) -> bool {
        let earlier = |id: &str| self.submitted.get(id).is_some_and(|(job, attempt)| job == by && *attempt <= up_to);
        if drafts.is_empty() || !drafts.iter().all(|draft| earlier(&draft.id)) {
            return false;
        }
        let ids: HashSet<&str> = drafts.iter().map(|draft| draft.id.as_str()).collect();
        let others = self.graph().jobs().iter().filter(|job| !ids.contains(job.id.as_str()));
        let without = Graph::from_checked(others.cloned().collect());
        let same = |job: &JobSpec| self.graph().get(&job.id) == Some(job);
        check_submitted(&without, drafts).is_ok_and(|jobs| jobs.iter().all(same))
    }

    /// Whether a job that runs on success can't run because of how one that it needs has ended.
    pub(crate) fn lacks(&self, job: &str, need: &str) -> bool {
        let (Some(job), Some(need)) = (self.graph().index(job), self.graph().index(need)) else { return true };
        self.schedule.lacks(job, need)
    }

    /// Whether a job counts as failed for those that run on failure.
    pub(crate) fn counts_as_failed(&self, job: &str) -> bool {
        self.graph().index(job).is_some_and(|job| self.schedule.has_failed(job))
    }

    /// Whether a job has a slot.
    pub(crate) fn has_slot(&self, job: &str) -> bool {
        self.schedule.has_slot(job)
    }

    /// Whether an event is of another attempt than the one that counts, or of a job that is over.
    pub(crate) fn is_stale(&self, body: &EventBody) -> bool {
        let told = body.attempt();
        body.job().is_some_and(|job| told != 0 && self.graph().get(job).is_some() && told != self.turn(job))
    }

    /// How many jobs occupy a slot: those that run, and those whose [`Effect::Start`] was returned, but for actions that
    /// wait for other jobs.
    pub fn running(&self) -> usize {
        self.schedule.running()
    }

    /// What to record for a job whose attempt, or turn, ended so: its end, another attempt, or a failure that is tolerated.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use monkeyci_build::{BuildState, Ending, EventBody};
    ///
    /// let state = BuildState::new(NonZeroUsize::MIN);
    /// let ended = EventBody::JobEnded { job: "lint".into(), attempt: 0, ending: Ending::Succeeded };
    /// assert_eq!(state.conclude("lint", Ending::Succeeded), ended);
    /// ```
    pub fn conclude(&self, job: &str, ending: Ending) -> EventBody {
        self.schedule.conclude(job, ending)
    }

    /// The artifact, if it has been saved.
    pub fn artifact(&self, id: &str) -> Option<&SavedArtifact> {
        self.artifacts.get(id)
    }

    /// All artifacts that have been saved, sorted by id.
    pub fn artifacts(&self) -> impl ExactSizeIterator<Item = (&str, &SavedArtifact)> {
        self.artifacts.iter().map(|(id, saved)| (id.as_str(), saved))
    }

    /// An attempt leaves nothing to the next one: what is taken from the job is what its last attempt has saved.
    fn keep_artifacts(&mut self, body: &EventBody) {
        match body {
            EventBody::ArtifactSaved { job, attempt, id, size, digest } => {
                let attempt = if *attempt == 0 { self.turn(job) } else { *attempt };
                let saved = SavedArtifact { job: job.clone(), attempt, size: *size, digest: digest.clone() };
                self.artifacts.entry(id.clone()).or_insert(saved);
            }
            EventBody::JobRetried { job, .. } => self.artifacts.retain(|_, saved| saved.job != *job),
            _ => {}
        }
    }

    fn event(&mut self, event: &Event, effects: &mut Vec<Effect>) {
        self.ledger.take_in(event);
        // Once the end is decided, nothing counts any more but the event that says so.
        if let EventBody::BuildEnded { status, .. } = &event.body {
            self.phase = Phase::Ended(*status);
            self.schedule.forget_deadlines();
            return;
        }
        if self.decided.is_some() {
            return;
        }
        // Time limits are enforced by ticks only; but where a journal tells that a job's rest was over, it was.
        if self.phase == Phase::Running {
            self.schedule.catch_up(event.time_ms, effects);
        }
        if self.is_stale(&event.body) {
            return;
        }
        self.keep_artifacts(&event.body);
        match (&event.body, self.phase) {
            (EventBody::BuildTriggered { .. }, Phase::New) => {
                self.phase = Phase::CheckingOut;
                effects.push(Effect::CheckOut);
            }
            (EventBody::BuildCheckedOut { .. }, Phase::CheckingOut) => {
                self.phase = Phase::Defining;
                effects.push(Effect::Define);
            }
            (EventBody::JobsSelected { selection }, Phase::Defining) => {
                self.schedule.selected = Selected::of(selection);
            }
            (EventBody::BuildRefused { .. }, Phase::New | Phase::CheckingOut | Phase::Defining) => {
                self.decide(BuildStatus::Refused, effects);
            }
            (EventBody::ScriptDefined { jobs, removed, .. }, Phase::Defining) => {
                self.phase = Phase::Running;
                self.removed.clone_from(removed);
                let jobs = self.with_reused(jobs);
                self.schedule.take_in(jobs, effects);
            }
            (EventBody::JobsSubmitted { by, attempt, jobs }, Phase::Running) => {
                let by = (by.clone(), *attempt);
                for job in jobs {
                    self.submitted.entry(job.id.clone()).or_insert_with(|| by.clone());
                }
                self.schedule.take_in(jobs.clone(), effects);
            }
            (EventBody::BuildFailed { script, .. }, Phase::New | Phase::CheckingOut | Phase::Defining) => {
                let status = if *script { BuildStatus::BadScript } else { BuildStatus::Error };
                self.decide(status, effects);
            }
            (EventBody::CancelRequested { .. }, _) => self.stop(BuildStatus::Cancelled, Halt::Cancelled, effects),
            (EventBody::BuildTimedOut { .. }, _) => self.stop(BuildStatus::TimedOut, Halt::TimedOut, effects),
            (EventBody::JobBlocked { job, .. }, Phase::Running) => self.schedule.blocked(job),
            (EventBody::JobApproved { job, .. }, Phase::Running) => self.schedule.approved(job, effects),
            (EventBody::JobRefined { job, .. }, Phase::Running) => self.schedule.refined(job, effects),
            (EventBody::JobWaiting { job, jobs, rest, .. }, Phase::Running) => {
                self.begin_wait(job, jobs, *rest);
                self.schedule.waiting(job, effects);
            }
            (EventBody::JobResults { job, results, .. }, Phase::Running) => self.schedule.said(job, results),
            (EventBody::JobReported { job, report, .. }, Phase::Running) => self.schedule.reported(job, report),
            (EventBody::JobRunning { job, .. }, Phase::Running) => self.schedule.command_runs(job),
            (EventBody::JobHeld { job, number, held, .. }, Phase::Running) => {
                self.schedule.held(job, Some((*number, held)));
            }
            (EventBody::JobContinued { job, .. }, Phase::Running) => self.schedule.held(job, None),
            (EventBody::JobRetried { job, attempt, delay_ms, .. }, Phase::Running) => {
                self.waits.end(job);
                let due_ms = event.time_ms.saturating_add(*delay_ms);
                self.schedule.retried(job, *attempt, due_ms, event.time_ms, effects);
            }
            (EventBody::JobStarted { job, .. }, Phase::Running) => self.schedule.started(job, event.time_ms, effects),
            (EventBody::JobEnded { job, ending, .. }, Phase::Running) => {
                self.waits.end(job);
                self.schedule.ended(job, ending, event.time_ms, effects);
                if ending.reused_from().is_some() {
                    self.take_results(job);
                }
            }
            _ => {}
        }
        if self.phase == Phase::Running && self.schedule.is_over() {
            let status = self.stopping.unwrap_or_else(|| self.schedule.verdict());
            self.decide(status, effects);
        }
    }

    fn begin_wait(&mut self, job: &str, jobs: &[String], rest: bool) {
        if rest {
            let schedule = &self.schedule;
            self.waits.go_on(job, |other| !schedule.is_final(other));
        } else if !jobs.is_empty() {
            self.waits.begin(job, jobs);
        }
    }

    /// Stops the build, that it may end so. Who stops it first says how it ends.
    fn stop(&mut self, status: BuildStatus, halt: Halt, effects: &mut Vec<Effect>) {
        let status = *self.stopping.get_or_insert(status);
        if self.phase == Phase::Running {
            self.schedule.stop_all(halt, effects);
        } else {
            self.decide(status, effects);
        }
    }

    fn decide(&mut self, status: BuildStatus, effects: &mut Vec<Effect>) {
        self.decided = Some(status);
        effects.push(self.end(status));
    }

    /// The effect that ends the build.
    fn end(&self, status: BuildStatus) -> Effect {
        let summary = |(spec, state): (&JobSpec, &JobState)| JobSummary {
            job: spec.id.clone(),
            ending: state.ending.clone().unwrap_or(Ending::Cancelled),
            duration_ms: state.ended_ms.zip(state.started_ms).map(|(ended, started)| ended.saturating_sub(started)),
            results: state.results.clone(),
        };
        Effect::Record(EventBody::BuildEnded { status, jobs: self.jobs().map(summary).collect() })
    }
}
