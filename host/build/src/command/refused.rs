//! Why a command is refused.

use super::TEST_REPORTS;
use crate::state::{MOST_TOLD, RESULTS, WORDS};
use crate::{CycleOfWaits, GraphFaults};

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such job.
    #[error("the build has no job {job:?}")]
    NoJob {
        /// What was asked for.
        job: String,
    },
    /// A condition of the script removed the job.
    #[error("the job {job:?} was removed by a condition of the script: {reason}")]
    Removed {
        /// What was asked for.
        job: String,
        /// Why there is no such job.
        reason: String,
    },
    /// The job is not blocked.
    #[error("the job {job:?} does not wait for approval now")]
    NotBlocked {
        /// The job's id.
        job: String,
    },
    /// The job is not held.
    #[error("the job {job:?} is not held now: `run --break-on-failure` holds those that fail")]
    NotHeld {
        /// The job's id.
        job: String,
    },
    /// The attempt that asks is not the one that runs.
    #[error("attempt {attempt} of the job {job:?} is over")]
    AttemptOver {
        /// The job's id.
        job: String,
        /// The attempt.
        attempt: u32,
    },
    /// `define` asks, and has ended.
    #[error("the script has declared its jobs: `define` is over")]
    DefineOver,
    /// The artifact has been saved.
    #[error("artifact {id:?} is saved already; an artifact never changes")]
    ArtifactSaved {
        /// The artifact's id.
        id: String,
    },
    /// The job has said how it ended.
    #[error("job {job:?} has reported its result")]
    Reported {
        /// The job's id.
        job: String,
    },
    /// The jobs can't be added to the graph.
    #[error("the jobs can't be added: {0}")]
    Faults(GraphFaults),
    /// There is nothing to wait for.
    #[error("there is no job to wait for")]
    WaitsForNothing,
    /// An action would wait for its own end.
    #[error("{job:?} would wait for itself")]
    WaitsForItself {
        /// The action's job.
        job: String,
    },
    /// Nothing that the action waits for could ever end.
    #[error(transparent)]
    Cycle(#[from] CycleOfWaits),
    /// The build has said all that it may.
    #[error("the build's events and reports have reached their limit of {} MiB", WORDS >> 20)]
    WordsUsedUp,
    /// What the build's actions were told has reached its limit.
    #[error(
        "what the journal may have of what the actions of the build are told, {} MiB; let them look at the time and at jobs less often, and read less",
        MOST_TOLD >> 20
    )]
    ToldUsedUp,
    /// The jobs of the build have said all that they may of their results.
    #[error("the results of the build's jobs have reached their limit of {} MiB; hand large values on as artifacts", RESULTS >> 20)]
    ResultsUsedUp,
    /// The job has handed in as many test reports as it may.
    #[error("a job has at most {TEST_REPORTS} test reports")]
    TestReportsUsedUp,
}
