//! A build that a test tells what happens.
// Each test uses some of it.
#![allow(dead_code)]

use std::num::NonZeroUsize;

use monkeyci_build::{
    BuildState, BuildStatus, Effect, Ending, Event, EventBody, Input, JobSpec, JobSummary, Source, Status, StopReason,
};

/// A build to be told what happens, a millisecond apart.
pub struct Build {
    pub state: BuildState,
    pub journal: Vec<Event>,
}

impl Build {
    pub fn new(max_running: usize) -> Self {
        let max_running = NonZeroUsize::new(max_running).expect("a test has places");
        Self { state: BuildState::new(max_running), journal: Vec::new() }
    }

    /// A build whose jobs are declared, each with the ids it needs.
    pub fn of(max_running: usize, jobs: &[(&str, &[&str])]) -> (Self, Vec<Effect>) {
        let mut build = Self::new(max_running);
        build.triggered();
        build.checked_out();
        let effects = build.defined(jobs);
        (build, effects)
    }

    /// A build with jobs of which more is said than what they need.
    pub fn of_specs(max_running: usize, jobs: Vec<JobSpec>) -> (Self, Vec<Effect>) {
        let mut build = Self::new(max_running);
        build.triggered();
        build.checked_out();
        let effects = build.with(jobs);
        (build, effects)
    }

    /// The build as it is after a crash.
    pub fn taken_up(&self, max_running: usize) -> BuildState {
        let mut state = BuildState::new(NonZeroUsize::new(max_running).expect("a test has places"));
        for event in &self.journal {
            state.step(Input::Event(event));
        }
        state
    }

    pub fn tell(&mut self, body: EventBody) -> Vec<Effect> {
        let seq = self.journal.len() as u64 + 1;
        let event = Event { seq, time_ms: seq, body };
        self.journal.push(event.clone());
        self.state.step(Input::Event(&event))
    }

    pub fn triggered(&mut self) -> Vec<Effect> {
        self.tell(EventBody::BuildTriggered { build: "o/r/1".into(), trigger: "test".into() })
    }

    pub fn checked_out(&mut self) -> Vec<Effect> {
        self.tell(EventBody::BuildCheckedOut { source: Source::default() })
    }

    pub fn defined(&mut self, jobs: &[(&str, &[&str])]) -> Vec<Effect> {
        self.with(jobs.iter().map(|(id, needs)| spec(id, needs)).collect())
    }

    pub fn with(&mut self, jobs: Vec<JobSpec>) -> Vec<Effect> {
        self.tell(EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] })
    }

    pub fn submitted(&mut self, by: &str, jobs: Vec<JobSpec>) -> Vec<Effect> {
        self.tell(EventBody::JobsSubmitted { by: by.into(), attempt: self.state.turn(by), jobs })
    }

    /// Tells how an attempt of the job ended, and what the state makes of that.
    pub fn concluded(&mut self, job: &str, ending: Ending) -> Vec<Effect> {
        let body = self.state.conclude(job, ending);
        self.tell(body)
    }

    pub fn started(&mut self, job: &str) -> Vec<Effect> {
        self.tell(EventBody::JobStarted { job: job.into(), attempt: self.state.turn(job) })
    }

    pub fn ended(&mut self, job: &str, ending: Ending) -> Vec<Effect> {
        self.tell(EventBody::JobEnded { job: job.into(), attempt: self.state.turn(job), ending })
    }

    pub fn succeeded(&mut self, job: &str) -> Vec<Effect> {
        self.ended(job, Ending::Succeeded)
    }

    pub fn failed(&mut self, job: &str) -> Vec<Effect> {
        self.ended(job, failure())
    }

    pub fn approved(&mut self, job: &str) -> Vec<Effect> {
        self.tell(EventBody::JobApproved {
            job: job.into(),
            attempt: self.state.turn(job),
            by: "ada".into(),
            comment: None,
        })
    }

    pub fn cancelled(&mut self) -> Vec<Effect> {
        self.tell(EventBody::CancelRequested { by: "test".into() })
    }

    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        self.state.step(Input::Tick { now_ms })
    }

    /// Feeds back what was to be recorded.
    pub fn record(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut next = Vec::new();
        for effect in effects {
            if let Effect::Record(body) = effect {
                next.extend(self.tell(body));
            }
        }
        next
    }

    pub fn status(&self, job: &str) -> Status {
        self.state.job(job).expect("the job was declared").status
    }
}

pub fn failure() -> Ending {
    Ending::Exited { code: 1, line: None }
}

pub fn start(job: &str) -> Effect {
    start_again(job, 1)
}

pub fn start_again(job: &str, attempt: u32) -> Effect {
    Effect::Start { job: job.into(), attempt }
}

pub fn stop(job: &str, reason: StopReason) -> Effect {
    Effect::Stop { job: job.into(), reason }
}

pub fn end(job: &str, ending: Ending) -> Effect {
    end_of(1, job, ending)
}

pub fn end_of(attempt: u32, job: &str, ending: Ending) -> Effect {
    Effect::Record(EventBody::JobEnded { job: job.into(), attempt, ending })
}

pub fn skip(job: &str, because: &str) -> Effect {
    end(job, Ending::Skipped { because: because.into() })
}

pub fn build_ended(status: BuildStatus, jobs: Vec<JobSummary>) -> Effect {
    Effect::Record(EventBody::BuildEnded { status, jobs })
}

/// The status in a single effect that ends the build.
pub fn verdict(effects: &[Effect]) -> Option<BuildStatus> {
    match effects {
        [Effect::Record(EventBody::BuildEnded { status, .. })] => Some(*status),
        _ => None,
    }
}

/// An action job, as old journals have it: with nothing but what jobs always had.
pub fn spec(id: &str, needs: &[&str]) -> JobSpec {
    let json = serde_json::json!({ "id": id, "needs": needs, "timeout_ms": 1000, "kind": "action" });
    serde_json::from_value(json).expect("a job of an old journal can be read")
}
