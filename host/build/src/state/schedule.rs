//! What becomes of the jobs with every event: which may start, which must stop, and which will never run.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;

use super::book::{Book, Stage};
use super::selected::Selected;
use super::verdict::{Verdict, verdict};
use super::{Effect, JobState, StopReason};
use crate::{BuildStatus, Ending, EventBody, Graph, JobSpec, RunWhen, Status};

/// The jobs of a build at work. Every method does work for the jobs that change, and no others.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) graph: Graph,
    pub(super) max_running: usize,
    pub(super) states: Vec<JobState>,
    pub(super) books: Vec<Book>,
    /// Jobs that may start and wait for a slot: by priority, then in the order of declaration.
    pub(super) ready: BTreeSet<(Reverse<i32>, usize)>,
    /// When running jobs reach their time limit, and failed ones have rested enough to run again.
    pub(super) alarms: BTreeSet<(u64, usize)>,
    /// The jobs of each fail-fast group, and the one that failed.
    pub(super) groups: HashMap<String, Group>,
    pub(super) running: usize,
    ended: usize,
    /// Which jobs are stopped, or never start.
    pub(super) halt: Halt,
    worst: Verdict,
    /// What was decided of jobs before they were known.
    pub(super) selected: Selected,
}

/// A fail-fast group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) jobs: Vec<usize>,
    pub(super) failed: Option<String>,
}

/// Which jobs of a build are stopped, or never start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Halt {
    None,
    /// The build has reached its time limit: all but the jobs that run always. Those have limits of their own.
    TimedOut,
    /// Somebody has cancelled the build: all.
    Cancelled,
}

impl Schedule {
    pub(super) fn new(max_running: NonZeroUsize) -> Self {
        Self {
            graph: Graph::default(),
            max_running: max_running.get(),
            states: Vec::new(),
            books: Vec::new(),
            ready: BTreeSet::new(),
            alarms: BTreeSet::new(),
            groups: HashMap::new(),
            running: 0,
            ended: 0,
            halt: Halt::None,
            worst: Verdict::Success,
            selected: Selected::default(),
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn states(&self) -> &[JobState] {
        &self.states
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.alarms.first().map(|(due, _)| *due)
    }

    pub(super) fn forget_deadlines(&mut self) {
        self.alarms.clear();
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

    /// Takes jobs in: those that the script declared, or that an action has submitted.
    pub(super) fn take_in(&mut self, jobs: Vec<JobSpec>, effects: &mut Vec<Effect>) {
        let new = self.graph.extend(jobs);
        self.states.resize(new.end, JobState::new());
        self.books.resize(new.end, Book::default());
        for job in new.clone() {
            let is_over = |need: &Option<usize>| need.is_some_and(|need| self.states[need].status.is_final());
            self.books[job].open = self.graph.needs_of(job).iter().filter(|need| !is_over(need)).count();
            if let Some(group) = &self.graph.jobs()[job].fail_fast {
                self.groups.entry(group.clone()).or_default().jobs.push(job);
            }
        }
        for job in new.clone() {
            if self.halts(job) {
                self.decide(job, Ending::Cancelled, effects);
            } else if let Some(ending) = self.selected_ending(job) {
                self.decide(job, ending, effects);
            } else if let Some((group, because)) = self.failed_group(job) {
                self.decide(job, Ending::FailedFast { group, because }, effects);
            }
        }
        self.skip_hopeless(new.clone(), effects);
        new.for_each(|job| self.settle(job, effects));
        self.fill(effects);
    }

    /// A job has started.
    pub(super) fn started(&mut self, id: &str, time_ms: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        if !self.books[job].cleared || matches!(self.states[job].status, Status::Running) || self.is_over_for(job) {
            return;
        }
        // A journal that was written with more slots than there are now tells of jobs that have none here. They do
        // run, so they get one.
        if !self.books[job].is_going() {
            self.take_slot(job);
            if self.halts(job) {
                self.stop(job, StopReason::Cancelled, effects);
            } else if let Some((group, because)) = self.failed_group(job) {
                self.stop(job, StopReason::FailedFast { group, because }, effects);
            }
        }
        let state = &mut self.states[job];
        state.status = Status::Running;
        state.started_ms = Some(time_ms);
        if state.stopping.is_none() {
            self.set_alarm(job, time_ms.saturating_add(self.graph.jobs()[job].timeout_ms));
        }
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, id: &str, ending: &Ending, time_ms: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        if self.is_over_for(job) {
            return;
        }
        self.leave(job);
        self.books[job].stage = Stage::Over;
        let state = &mut self.states[job];
        state.status = ending.status();
        state.ended_ms = Some(time_ms);
        state.ending = Some(ending.clone());
        state.held = None;
        // What was decided of the job need not be what happened.
        self.books[job].excused &= matches!(ending, Ending::Skipped { .. });
        let verdict = verdict(ending, self.books[job].excused);
        self.worst = self.worst.max(verdict);
        self.ended += 1;
        // A person's no is no failure of the job; and what failed in another build stops nothing in this one.
        let is_no_reason = matches!(ending, Ending::Rejected { .. } | Ending::Reused { .. });
        if self.states[job].status.is_failed() && !is_no_reason {
            self.fail_fast(job, effects);
        }
        for at in 0..self.graph.dependents_of(job).len() {
            let dependent = self.graph.dependents_of(job)[at];
            self.books[dependent].open = self.books[dependent].open.saturating_sub(1);
        }
        self.skip_without(job, effects);
        for at in 0..self.graph.dependents_of(job).len() {
            self.settle(self.graph.dependents_of(job)[at], effects);
        }
        self.fill(effects);
    }

    /// A job has failed, and is to run again.
    pub(super) fn retried(&mut self, id: &str, attempt: u32, due_ms: u64, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        // A job may rest or wait for a slot here that had one where the journal was written.
        let may_have_run = self.books[job].cleared && !matches!(self.books[job].stage, Stage::Ending(_) | Stage::Over);
        if !may_have_run || attempt != self.attempt(job) {
            return;
        }
        self.leave(job);
        let state = &mut self.states[job];
        state.attempt = attempt;
        state.forget_attempt();
        state.status = Status::Queued;
        self.books[job].stage = Stage::Resting;
        if self.halts(job) {
            self.decide(job, Ending::Cancelled, effects);
        } else if let Some((group, because)) = self.failed_group(job) {
            self.decide(job, Ending::FailedFast { group, because }, effects);
        } else if due_ms <= now_ms {
            self.clear(job, effects);
        } else {
            self.set_alarm(job, due_ms);
        }
        self.fill(effects);
    }

    /// It is known that a job waits for a person.
    pub(super) fn blocked(&mut self, id: &str) {
        let Some(job) = self.graph.index(id) else { return };
        if self.books[job].stage == Stage::Asking {
            self.books[job].stage = Stage::Blocked;
            self.states[job].status = Status::Blocked;
        }
    }

    /// A person has approved a job.
    pub(super) fn approved(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        if self.books[job].stage == Stage::Blocked {
            self.books[job].approved = true;
            self.clear(job, effects);
            self.fill(effects);
        }
    }

    /// The script has completed a job.
    pub(super) fn refined(&mut self, spec: &JobSpec, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(&spec.id) else { return };
        if self.books[job].stage != Stage::Refining {
            return;
        }
        if let Some(group) = &spec.fail_fast
            && self.graph.jobs()[job].fail_fast.as_ref() != Some(group)
        {
            self.groups.entry(group.clone()).or_default().jobs.push(job);
        }
        self.graph.refine(job, spec.clone());
        self.books[job].refined = true;
        match self.failed_group(job) {
            Some((group, because)) => self.decide(job, Ending::FailedFast { group, because }, effects),
            None => self.clear(job, effects),
        }
        self.fill(effects);
    }

    /// Whether the job is stopped, or never starts.
    pub(super) fn halts(&self, job: usize) -> bool {
        let spec = &self.graph.jobs()[job];
        // Whoever would have to approve a job may not be there: the build would never end.
        let asks = spec.approval.is_some() && !self.books[job].approved;
        match self.halt {
            Halt::None => false,
            Halt::TimedOut => spec.run_when != RunWhen::Always || asks,
            Halt::Cancelled => true,
        }
    }

    /// The build stops: so do the jobs that run, and those that wait never start. Once more does nothing more.
    pub(super) fn stop_all(&mut self, halt: Halt, effects: &mut Vec<Effect>) {
        self.halt = self.halt.max(halt);
        // A job whose rest was over by now has been given a slot, as it was when the journal was written; but nobody needs
        // to start what is stopped at once.
        effects.retain(|effect| match effect {
            Effect::Start { job, .. } | Effect::Refine { job } | Effect::Record(EventBody::JobBlocked { job, .. }) => {
                self.graph.index(job).is_some_and(|job| !self.halts(job))
            }
            _ => true,
        });
        for job in 0..self.states.len() {
            if self.books[job].is_going() && self.halts(job) {
                self.stop(job, StopReason::Cancelled, effects);
            }
        }
        for job in 0..self.states.len() {
            if self.books[job].is_waiting() && self.halts(job) {
                self.decide(job, Ending::Cancelled, effects);
            }
        }
    }

    /// Stops the jobs that have reached their time limit, and lets those run again that have rested enough.
    pub(super) fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        while let Some(&(due_ms, job)) = self.alarms.first()
            && due_ms <= now_ms
        {
            if self.books[job].is_going() {
                self.stop(job, StopReason::TimedOut, effects);
            } else {
                self.wake(job, effects);
            }
        }
    }

    /// Lets jobs run again that have rested enough by the time of an event, as they did when it was written. One after
    /// the other, in the order of their times: which of them gets a slot must not depend on who looked, and when.
    pub(super) fn catch_up(&mut self, time_ms: u64, effects: &mut Vec<Effect>) {
        let due = self.alarms.range(..=(time_ms, usize::MAX)).map(|(_, job)| *job);
        let rested: Vec<usize> = due.filter(|&job| !self.books[job].is_going()).collect();
        for job in rested {
            self.wake(job, effects);
        }
    }

    /// The effects on jobs that no event has completed yet.
    pub(super) fn outstanding(&self) -> Vec<Effect> {
        let effect = |job: usize| {
            let (id, state) = (self.id(job), &self.states[job]);
            match (&self.books[job].stage, &state.stopping) {
                (Stage::Ending(ending), _) => Some(self.end_of(job, ending.clone())),
                (Stage::Asking, _) => Some(self.ask(job)),
                (Stage::Refining, _) => Some(Effect::Refine { job: id }),
                (Stage::Going { .. }, Some(reason)) => Some(Effect::Stop { job: id, reason: reason.clone() }),
                (Stage::Going { .. }, None) => Some(Effect::Start { job: id, attempt: state.attempt }),
                _ => None,
            }
        };
        (0..self.states.len()).filter_map(effect).collect()
    }

    /// The next thing that has to happen before a job whose needs are settled waits for a slot.
    pub(super) fn clear(&mut self, job: usize, effects: &mut Vec<Effect>) {
        let (spec, book) = (&self.graph.jobs()[job], &mut self.books[job]);
        // A person approves what is known: the script completes a job first.
        let effect = if spec.late && !book.refined {
            book.stage = Stage::Refining;
            self.states[job].status = Status::Pending;
            Effect::Refine { job: self.id(job) }
        } else if spec.approval.is_some() && !book.approved {
            book.stage = Stage::Asking;
            self.ask(job)
        } else {
            book.stage = Stage::Ready;
            book.cleared = true;
            self.states[job].status = Status::Queued;
            self.ready.insert((Reverse(spec.priority), job));
            return;
        };
        effects.push(effect);
    }

    /// Gives free slots to jobs that wait for one.
    pub(super) fn fill(&mut self, effects: &mut Vec<Effect>) {
        while self.running < self.max_running
            && let Some(&(_, job)) = self.ready.first()
        {
            self.take_slot(job);
            effects.push(Effect::Start { job: self.id(job), attempt: self.states[job].attempt });
        }
    }

    /// Gives a job a slot, for its next attempt.
    fn take_slot(&mut self, job: usize) {
        self.leave(job);
        self.books[job].stage = Stage::Going { has_slot: true };
        self.running += 1;
        self.states[job].attempt = self.states[job].attempt.saturating_add(1);
    }

    /// Takes a job out of every list it waits in, and its slot back.
    fn leave(&mut self, job: usize) {
        self.forget_alarm(job);
        match self.books[job].stage {
            Stage::Ready => _ = self.ready.remove(&(Reverse(self.graph.jobs()[job].priority), job)),
            Stage::Going { has_slot: true } => self.running -= 1,
            _ => {}
        }
    }

    fn wake(&mut self, job: usize, effects: &mut Vec<Effect>) {
        self.forget_alarm(job);
        self.clear(job, effects);
        self.fill(effects);
    }

    pub(super) fn stop(&mut self, job: usize, reason: StopReason, effects: &mut Vec<Effect>) {
        self.forget_alarm(job);
        if self.states[job].stopping.is_none() {
            self.states[job].stopping = Some(reason.clone());
            effects.push(Effect::Stop { job: self.id(job), reason });
        }
    }

    /// Lets a job end that does not run.
    pub(super) fn decide(&mut self, job: usize, ending: Ending, effects: &mut Vec<Effect>) {
        self.leave(job);
        self.books[job].stage = Stage::Ending(ending.clone());
        let end = self.end_of(job, ending);
        effects.push(end);
    }

    /// The attempt that is being made, or that will be made next.
    pub(super) fn attempt(&self, job: usize) -> u32 {
        let made = self.states[job].attempt;
        if self.books[job].is_going() { made } else { made.saturating_add(1) }
    }

    pub(super) fn is_over_for(&self, job: usize) -> bool {
        self.books[job].stage == Stage::Over
    }

    fn set_alarm(&mut self, job: usize, due_ms: u64) {
        self.forget_alarm(job);
        self.books[job].alarm = Some(due_ms);
        self.alarms.insert((due_ms, job));
    }

    fn forget_alarm(&mut self, job: usize) {
        if let Some(due_ms) = self.books[job].alarm.take() {
            self.alarms.remove(&(due_ms, job));
        }
    }

    fn ask(&self, job: usize) -> Effect {
        let spec = &self.graph.jobs()[job];
        let (message, runs) = (spec.approval.clone().unwrap_or_default(), spec.runs());
        Effect::Record(EventBody::JobBlocked { job: self.id(job), attempt: self.attempt(job), message, runs })
    }

    fn end_of(&self, job: usize, ending: Ending) -> Effect {
        Effect::Record(EventBody::JobEnded { job: self.id(job), attempt: self.attempt(job), ending })
    }

    fn id(&self, job: usize) -> String {
        self.graph.jobs()[job].id.clone()
    }
}
