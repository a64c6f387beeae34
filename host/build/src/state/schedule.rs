//! Which job may start, which must stop, and which will never run.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::{Effect, JobState, StopReason};
use crate::{BuildStatus, Ending, EventBody, Graph, Status};

/// The jobs of a build at work. Every method does work for the jobs that change, and no others.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    graph: Graph,
    max_running: usize,
    states: Vec<JobState>,
    books: Vec<Book>,
    /// Jobs that may start and wait for a place, in the order of declaration.
    ready: BTreeSet<usize>,
    /// When running jobs reach their time limit.
    deadlines: BTreeSet<(u64, usize)>,
    running: usize,
    ended: usize,
    cancelled: bool,
    worst: Verdict,
}

/// What the schedule keeps of a job beside its state.
#[derive(Clone, Debug, Default)]
struct Book {
    /// How many needs have not succeeded yet.
    unmet: usize,
    /// Whether it occupies a place.
    has_place: bool,
    /// How a job that never runs is to end; the event that says so may be on its way.
    decided: Option<Ending>,
}

/// What the endings of jobs make of the build, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Success,
    /// A job was skipped or cancelled though no job failed and nobody cancelled the build.
    Stopped,
    Failure,
    Error,
}

impl Schedule {
    pub(super) fn new(graph: Graph, max_running: NonZeroUsize) -> Self {
        let count = graph.jobs().len();
        let fresh =
            JobState { status: Status::Pending, started_ms: None, ended_ms: None, ending: None, stopping: None };
        let book = |job| Book { unmet: graph.needs_of(job).len(), ..Book::default() };
        Self {
            max_running: max_running.get(),
            states: vec![fresh; count],
            books: (0..count).map(book).collect(),
            graph,
            ready: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            running: 0,
            ended: 0,
            cancelled: false,
            worst: Verdict::Success,
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn states(&self) -> &[JobState] {
        &self.states
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn forget_deadlines(&mut self) {
        self.deadlines.clear();
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Whether every job is in a final state.
    pub(super) fn is_over(&self) -> bool {
        self.ended == self.states.len()
    }

    /// The status of a build that is over and was not cancelled.
    pub(super) fn verdict(&self) -> BuildStatus {
        match self.worst {
            Verdict::Success => BuildStatus::Success,
            Verdict::Failure => BuildStatus::Failure,
            Verdict::Stopped | Verdict::Error => BuildStatus::Error,
        }
    }

    /// Starts the jobs that need nothing.
    pub(super) fn begin(&mut self, effects: &mut Vec<Effect>) {
        let hopeless = self.hopeless();
        self.skip(hopeless, effects);
        for job in 0..self.states.len() {
            self.make_ready(job);
        }
        self.fill(effects);
    }

    /// A job has started.
    pub(super) fn started(&mut self, id: &str, time_ms: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        let (state, book) = (&mut self.states[job], &mut self.books[job]);
        if state.status.is_final() || state.status == Status::Running || book.unmet > 0 {
            return;
        }
        state.status = Status::Running;
        state.started_ms = Some(time_ms);
        // A journal that was written with more places than there are now tells of jobs that have none here. They do
        // run, so they get one.
        if !book.has_place {
            book.has_place = true;
            book.decided = None;
            self.running += 1;
            self.ready.remove(&job);
            if self.cancelled {
                self.stop(job, StopReason::Cancelled, effects);
            }
        }
        if self.states[job].stopping.is_none() {
            self.deadlines.insert(self.deadline(job, time_ms));
        }
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, id: &str, ending: &Ending, time_ms: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        if self.states[job].status.is_final() {
            return;
        }
        self.forget_deadline(job);
        let state = &mut self.states[job];
        state.status = ending.status();
        state.ended_ms = Some(time_ms);
        state.ending = Some(ending.clone());
        self.worst = self.worst.max(verdict(state.status));
        self.ended += 1;
        self.ready.remove(&job);
        if std::mem::take(&mut self.books[job].has_place) {
            self.running -= 1;
        }
        if *ending == Ending::Succeeded {
            for at in 0..self.graph.dependents_of(job).len() {
                let dependent = self.graph.dependents_of(job)[at];
                self.books[dependent].unmet -= 1;
                self.make_ready(dependent);
            }
        } else {
            let doomed = self.doomed_by(job);
            self.skip(doomed, effects);
        }
        self.fill(effects);
    }

    /// The build was cancelled: stops what runs, and nothing starts any more. Once more does nothing more.
    pub(super) fn cancel(&mut self, effects: &mut Vec<Effect>) {
        self.cancelled = true;
        self.ready.clear();
        for job in 0..self.states.len() {
            if self.books[job].has_place {
                self.stop(job, StopReason::Cancelled, effects);
            }
        }
        for job in 0..self.states.len() {
            if self.is_waiting(job) {
                self.decide(job, Ending::Cancelled, effects);
            }
        }
    }

    /// Stops the jobs that have reached their time limit.
    pub(super) fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        while let Some(&(deadline, job)) = self.deadlines.first()
            && deadline <= now_ms
        {
            self.stop(job, StopReason::TimedOut, effects);
        }
    }

    /// The effects on jobs that no event has completed yet.
    pub(super) fn outstanding(&self) -> Vec<Effect> {
        let effect = |job: usize| {
            let (id, state, book) = (self.id(job), &self.states[job], &self.books[job]);
            match (&book.decided, state.stopping) {
                _ if state.status.is_final() => None,
                (Some(ending), _) => Some(record(id, ending.clone())),
                (None, Some(reason)) => Some(Effect::Stop { job: id, reason }),
                (None, None) => book.has_place.then_some(Effect::Start { job: id }),
            }
        };
        (0..self.states.len()).filter_map(effect).collect()
    }

    /// Makes a job wait for a place, if all that it needs has succeeded.
    fn make_ready(&mut self, job: usize) {
        if self.books[job].unmet == 0 && self.is_waiting(job) {
            self.states[job].status = Status::Queued;
            self.ready.insert(job);
        }
    }

    /// Gives free places to jobs that wait for one.
    fn fill(&mut self, effects: &mut Vec<Effect>) {
        while self.running < self.max_running
            && let Some(job) = self.ready.pop_first()
        {
            self.books[job].has_place = true;
            self.running += 1;
            effects.push(Effect::Start { job: self.id(job) });
        }
    }

    fn stop(&mut self, job: usize, reason: StopReason, effects: &mut Vec<Effect>) {
        self.forget_deadline(job);
        if self.states[job].stopping.is_none() {
            self.states[job].stopping = Some(reason);
            effects.push(Effect::Stop { job: self.id(job), reason });
        }
    }

    /// Lets jobs end as skipped. All of them are decided before the reasons are looked up, so that a reason does not
    /// depend on who was looked at first.
    fn skip(&mut self, jobs: Vec<usize>, effects: &mut Vec<Effect>) {
        for &job in &jobs {
            self.books[job].decided = Some(Ending::Skipped { because: String::new() });
        }
        for job in jobs {
            let failed = |need: &Option<usize>| need.is_none_or(|need| self.will_not_succeed(need));
            let first = self.graph.needs_of(job).iter().position(failed);
            let because = first.map(|first| self.graph.jobs()[job].needs[first].clone()).unwrap_or_default();
            self.decide(job, Ending::Skipped { because }, effects);
        }
    }

    fn decide(&mut self, job: usize, ending: Ending, effects: &mut Vec<Effect>) {
        self.books[job].decided = Some(ending.clone());
        effects.push(record(self.id(job), ending));
    }

    /// The jobs that need this one, directly or through others, and whose end is not decided yet, in the order of
    /// declaration.
    fn doomed_by(&self, job: usize) -> Vec<usize> {
        let mut doomed = BTreeSet::new();
        let mut open = vec![job];
        while let Some(job) = open.pop() {
            let dependents = self.graph.dependents_of(job).iter().copied();
            open.extend(dependents.filter(|&dependent| self.is_waiting(dependent) && doomed.insert(dependent)));
        }
        doomed.into_iter().collect()
    }

    /// The jobs whose needs can never all succeed, because some don't exist or lie on a circle. A checked graph has none.
    fn hopeless(&self) -> Vec<usize> {
        let mut unmet: Vec<usize> = self.books.iter().map(|book| book.unmet).collect();
        let mut open: Vec<usize> = (0..unmet.len()).filter(|&job| unmet[job] == 0).collect();
        while let Some(job) = open.pop() {
            for &dependent in self.graph.dependents_of(job) {
                unmet[dependent] -= 1;
                if unmet[dependent] == 0 {
                    open.push(dependent);
                }
            }
        }
        (0..unmet.len()).filter(|&job| unmet[job] > 0).collect()
    }

    /// Whether the job neither occupies a place nor has ended, nor is about to end.
    fn is_waiting(&self, job: usize) -> bool {
        let book = &self.books[job];
        !book.has_place && book.decided.is_none() && !self.states[job].status.is_final()
    }

    fn will_not_succeed(&self, job: usize) -> bool {
        let status = self.states[job].status;
        status.is_final() && status != Status::Success || self.books[job].decided.is_some()
    }

    fn forget_deadline(&mut self, job: usize) {
        if let Some(started_ms) = self.states[job].started_ms {
            self.deadlines.remove(&self.deadline(job, started_ms));
        }
    }

    fn deadline(&self, job: usize, started_ms: u64) -> (u64, usize) {
        (started_ms.saturating_add(self.graph.jobs()[job].timeout_ms), job)
    }

    fn id(&self, job: usize) -> String {
        self.graph.jobs()[job].id.clone()
    }
}

fn record(job: String, ending: Ending) -> Effect {
    Effect::Record(EventBody::JobEnded { job, ending })
}

fn verdict(status: Status) -> Verdict {
    match status {
        Status::Error => Verdict::Error,
        Status::Failure => Verdict::Failure,
        Status::Skipped | Status::Cancelled => Verdict::Stopped,
        _ => Verdict::Success,
    }
}
