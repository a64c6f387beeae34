//! What somebody asks for, and what they get.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use monkeyci_build::{BuildStatus, JobSummary};
use tokio_util::sync::CancellationToken;

use crate::inputs::Inputs;
use crate::source::SourceRequest;

/// A build to run.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The script's bytes: a component.
    pub script: Bytes,
    /// The code.
    pub source: SourceRequest,
    /// Parameters and secrets.
    pub inputs: Inputs,
    /// What started the build: `cli`, say.
    pub trigger: String,
    /// How many jobs may run at a time.
    pub max_running: NonZeroUsize,
    /// How long the build may take; its jobs are stopped then.
    pub timeout: Option<Duration>,
    /// Leave containers and files of the build for a person to look at.
    pub keep: bool,
    /// Leave the containers of each job that fails in the end as they are then, stopped: somebody may look into them.
    pub keep_failed: bool,
}

/// How a build ended.
#[derive(Clone, Debug)]
pub struct BuildReport {
    /// The build's id.
    pub build: String,
    /// How it ended.
    pub status: BuildStatus,
    /// How its jobs ended, in the order of declaration.
    pub jobs: Vec<JobSummary>,
    /// Why it could not start a job, if it could not; or that it reached its time limit.
    pub failure: Option<String>,
    /// What the script reported.
    pub reports: Vec<String>,
    /// What of the build as a whole is to be looked at: what is missing of its code, say.
    pub warnings: Vec<String>,
    /// From trigger to end, in milliseconds.
    pub duration_ms: u64,
    /// Where the build's directory is, if it was kept.
    pub kept: Option<PathBuf>,
    /// The failed jobs whose containers were kept, stopped, for somebody to look into.
    pub kept_jobs: Vec<String>,
}

/// Stops a build from outside. Clones stop the same build.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    pub(super) asked: CancellationToken,
    pub(crate) force: CancellationToken,
}

impl Cancel {
    /// Asks the build to stop: its jobs get a signal and some seconds to end.
    pub fn cancel(&self) {
        self.asked.cancel();
    }

    /// Takes the seconds back: jobs are killed at once. What the build made is still removed.
    pub fn force(&self) {
        self.asked.cancel();
        self.force.cancel();
    }
}
