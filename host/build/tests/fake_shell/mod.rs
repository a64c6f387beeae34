//! A shell round the core for tests: carries effects out in a random order on a made-up clock, forgets everything at
//! random moments, and writes down what it saw.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use monkeyci_build::{BuildState, Effect, Ending, Event, EventBody, Input, JobKind, JobSpec, Source, StopReason};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::random_graph::{acyclic_needs, id};

/// A build, and all that will happen to it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The needs of each job, by index. An index beyond the end is a need that does not exist.
    pub needs: Vec<Vec<usize>>,
    /// What each job would come to.
    pub outcomes: Vec<Outcome>,
    /// The time limit of every job.
    pub timeout_ms: u64,
    /// How many jobs may run at a time.
    pub max_running: usize,
    /// What the shell does next, move by move; it goes on carrying out the oldest effect when they are used up.
    pub moves: Vec<Move>,
}

/// What a job comes to when it is left to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeds,
    Fails,
    Breaks,
    /// Runs until it is stopped.
    Hangs,
}

/// Something that the shell, or the world, does.
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

/// What the shell saw.
#[derive(Clone, Debug)]
pub enum Seen {
    Issued(Effect),
    Happened(EventBody),
    Crashed,
    /// So many jobs had been issued for start, or had started, and had not ended.
    Occupied(usize),
}

pub struct Shell {
    plan: Plan,
    pub state: BuildState,
    pub journal: Vec<Event>,
    pub seen: Vec<Seen>,
    now_ms: u64,
    work: Vec<Work>,
    occupied: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Work {
    Do(Effect),
    Run(String),
}

/// Plays the plan to the end of its build.
pub fn play(plan: &Plan) -> Shell {
    let mut shell = Shell::new(plan.clone(), Vec::new());
    shell.append(EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "test".into() });
    shell.play()
}

/// Takes a build up from its journal, and plays it to its end without further incident.
pub fn recover(plan: &Plan, journal: &[Event]) -> Shell {
    let mut shell = Shell::new(Plan { moves: Vec::new(), ..plan.clone() }, journal.to_vec());
    shell.crash();
    shell.play()
}

impl Shell {
    fn new(plan: Plan, journal: Vec<Event>) -> Self {
        let state = BuildState::new(NonZeroUsize::new(plan.max_running).expect("a plan has places"));
        let now_ms = journal.last().map_or(0, |event| event.time_ms);
        Self { plan, state, journal, seen: Vec::new(), now_ms, work: Vec::new(), occupied: BTreeSet::new() }
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
            self.now_ms = deadline.unwrap_or_else(|| panic!("nothing is left to do: {:?}", self.state));
            return self.tick();
        }
        match self.work.remove(possible[nth % possible.len()]) {
            Work::Do(Effect::CheckOut) => self.append(EventBody::BuildCheckedOut { source: Source::default() }),
            Work::Do(Effect::Define) => self.append(EventBody::ScriptDefined { jobs: self.plan.jobs() }),
            Work::Do(Effect::Start { job }) => {
                self.work.push(Work::Run(job.clone()));
                if !self.journal.iter().any(|event| event.body == EventBody::JobStarted { job: job.clone() }) {
                    self.append(EventBody::JobStarted { job });
                }
            }
            Work::Do(Effect::Stop { job, reason }) => {
                let of_job = |work: &Work| *work == Work::Run(job.clone()) || *work == Work::start(&job);
                self.work.retain(|work| !of_job(work));
                let ending = match reason {
                    StopReason::Cancelled => Ending::Cancelled,
                    StopReason::TimedOut => Ending::TimedOut { after_ms: self.plan.timeout_ms },
                };
                if !self.has_ended(&job) {
                    self.append(EventBody::JobEnded { job, ending });
                }
            }
            Work::Do(Effect::Record(body)) => self.append(body),
            Work::Run(job) => {
                let ending = match self.plan.outcome(&job) {
                    Outcome::Succeeds => Ending::Succeeded,
                    Outcome::Fails => Ending::Exited { code: 1, line: None },
                    Outcome::Breaks => Ending::EngineFailed { reason: "away".into() },
                    Outcome::Hangs => panic!("{job} hangs"),
                };
                self.append(EventBody::JobEnded { job, ending });
            }
        }
    }

    fn can_advance(&self, work: &Work) -> bool {
        !matches!(work, Work::Run(job) if self.plan.outcome(job) == Outcome::Hangs)
    }

    fn append(&mut self, body: EventBody) {
        self.now_ms += 1;
        self.seen.push(Seen::Happened(body.clone()));
        if let EventBody::JobEnded { job, .. } = &body {
            self.occupied.remove(job);
        }
        let event = Event { seq: self.journal.len() as u64 + 1, time_ms: self.now_ms, body };
        self.journal.push(event.clone());
        let effects = self.state.step(Input::Event(&event));
        self.issue(effects);
    }

    fn tick(&mut self) {
        let effects = self.state.step(Input::Tick { now_ms: self.now_ms });
        self.issue(effects);
    }

    fn crash(&mut self) {
        self.seen.push(Seen::Crashed);
        self.work.clear();
        self.state = fold(&self.journal, self.plan.max_running).0;
        self.occupied = self.started().filter(|job| !self.has_ended(job)).collect();
        self.issue(self.state.outstanding());
        // What a controller does when it starts.
        self.tick();
    }

    fn issue(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Start { job } = &effect {
                self.occupied.insert(job.clone());
            }
            self.seen.push(Seen::Issued(effect.clone()));
            self.work.push(Work::Do(effect));
        }
        self.seen.push(Seen::Occupied(self.occupied.len().max(self.state.running())));
    }

    fn started(&self) -> impl Iterator<Item = String> {
        self.journal.iter().filter_map(|event| match &event.body {
            EventBody::JobStarted { job } => Some(job.clone()),
            _ => None,
        })
    }

    fn has_ended(&self, id: &str) -> bool {
        self.journal.iter().any(|event| matches!(&event.body, EventBody::JobEnded { job, .. } if job == id))
    }
}

impl Work {
    fn start(job: &str) -> Self {
        Self::Do(Effect::Start { job: job.to_owned() })
    }
}

/// The state after a journal, and all effects on the way.
pub fn fold(journal: &[Event], max_running: usize) -> (BuildState, Vec<Vec<Effect>>) {
    let mut state = BuildState::new(NonZeroUsize::new(max_running).expect("a plan has places"));
    let effects = journal.iter().map(|event| state.step(Input::Event(event))).collect();
    (state, effects)
}

impl Plan {
    pub fn jobs(&self) -> Vec<JobSpec> {
        let job = |(job, needs): (usize, &Vec<usize>)| JobSpec {
            id: id(job),
            needs: needs.iter().map(|need| id(*need)).collect(),
            timeout_ms: self.timeout_ms,
            kind: JobKind::Action,
        };
        self.needs.iter().enumerate().map(job).collect()
    }

    fn outcome(&self, job: &str) -> Outcome {
        self.outcomes[job[1..].parse::<usize>().expect("ids are made by this test")]
    }
}

/// Plans in which everything may go wrong.
pub fn rough_plan() -> impl Strategy<Value = Plan> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Succeeds),
        1 => Just(Outcome::Fails),
        1 => Just(Outcome::Breaks),
        1 => Just(Outcome::Hangs),
    ];
    let a_move = prop_oneof![
        40 => any::<usize>().prop_map(Move::Advance),
        3 => (0..30_u64).prop_map(Move::Wait),
        1 => Just(Move::Cancel),
        2 => Just(Move::Crash),
    ];
    plans(outcome, 40, a_move)
}

/// Plans in which nobody interferes: jobs end by themselves, in any order.
pub fn calm_plan() -> impl Strategy<Value = Plan> {
    let outcome = prop_oneof![5 => Just(Outcome::Succeeds), 1 => Just(Outcome::Fails), 1 => Just(Outcome::Breaks)];
    plans(outcome, u64::MAX, any::<usize>().prop_map(Move::Advance))
}

fn plans(
    outcome: impl Strategy<Value = Outcome>,
    timeout_ms: u64,
    a_move: impl Strategy<Value = Move>,
) -> impl Strategy<Value = Plan> {
    (acyclic_needs(12), vec(outcome, 12), 1..6_usize, vec(a_move, 0..80))
        .prop_map(move |(needs, outcomes, max_running, moves)| Plan { needs, outcomes, timeout_ms, max_running, moves })
}
