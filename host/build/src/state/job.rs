//! What is known of a job.

use crate::{Ending, Held, JobSpec, Results, SidecarReport, Status};

/// What is known of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState {
    /// Where it is in its life.
    pub status: Status,
    /// The attempt that is being made or was made last, from 1; 0 before the first [`Effect::Start`](super::Effect::Start).
    pub attempt: u32,
    /// When its last attempt started, in milliseconds since the Unix epoch.
    pub started_ms: Option<u64>,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: Option<u64>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// Why it is being stopped, or was stopped.
    pub stopping: Option<StopReason>,
    /// What it has said of its result.
    pub results: Option<Box<Results>>,
    /// How many test reports its attempt has handed in.
    pub test_reports: u32,
    /// Whether its attempt has come so far that the job's own command runs, or did: for container jobs only.
    pub command_runs: bool,
    /// Where its attempt stands, while it is held.
    pub held: Option<Box<Held>>,
    /// How often its attempt has been held.
    pub holds: u32,
    /// What its attempt's sidecar said at its end.
    pub reported: Option<Box<SidecarReport>>,
}

impl JobState {
    pub(super) fn new() -> Self {
        Self {
            status: Status::Pending,
            attempt: 0,
            started_ms: None,
            ended_ms: None,
            ending: None,
            stopping: None,
            results: None,
            test_reports: 0,
            command_runs: false,
            held: None,
            holds: 0,
            reported: None,
        }
    }

    /// How an attempt ended that ended so, and may have said before that something is to be looked at.
    pub fn with_warning(&self, ending: Ending) -> Ending {
        let warning = self.results.as_ref().and_then(|results| results.warning.clone());
        match (ending, warning) {
            (Ending::Succeeded, Some(message)) => Ending::Warned { message },
            (Ending::Warned { message }, Some(warning)) => Ending::Warned { message: format!("{warning}; {message}") },
            (ending, _) => ending,
        }
    }

    /// Whether its attempt was held so often, and may go on.
    pub fn has_continued(&self, number: u32) -> bool {
        self.holds > number || self.holds == number && self.held.is_none()
    }

    /// Nothing of an attempt is left for the next one.
    pub(super) fn forget_attempt(&mut self) {
        *self = Self { attempt: self.attempt, started_ms: self.started_ms, ..Self::new() };
    }
}

/// Why a job is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The build was cancelled.
    Cancelled,
    /// The job reached its time limit.
    TimedOut,
    /// Another job of its fail-fast group failed. The job then ends as [`Ending::FailedFast`].
    FailedFast {
        /// The group.
        group: String,
        /// The job that failed.
        because: String,
    },
}

impl StopReason {
    /// How a job ends that was stopped for this.
    pub fn ending(&self, job: &JobSpec) -> Ending {
        self.ending_while(job, None)
    }

    /// The ending of a job for which `during` was being prepared when it was stopped; none when its command ran.
    pub fn ending_while(&self, job: &JobSpec, during: Option<String>) -> Ending {
        match self.clone() {
            Self::Cancelled => Ending::Cancelled,
            Self::TimedOut => Ending::TimedOut { after_ms: job.timeout_ms, during },
            Self::FailedFast { group, because } => Ending::FailedFast { group, because },
        }
    }
}
