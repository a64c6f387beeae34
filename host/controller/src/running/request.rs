//! What somebody asks for, and what they get.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use monkeyci_api::Hidden;
use monkeyci_build::{Breaks, BuildStatus, Event, EventBody, Given, JobSummary, Select};
use tokio_util::sync::CancellationToken;

use super::said::Said;
use crate::inputs::Inputs;
use crate::source::SourceRequest;

/// A build to run: [`BuildRequest::new`], and then whatever else is to be said of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// Where its jobs stop for a person to look into them. What is held counts as running: its time limit goes on.
    pub breaks: Breaks,
    /// Which of its jobs are to run; all if `None`.
    pub select: Option<Select>,
    /// What is said of its code, in place of what is found there.
    pub given: Given,
    /// What tells this request from others of the same repository: the id of a webhook's delivery, say. Whoever asks again with the same
    /// key gets the same build, also after a restart, whatever else the request says.
    pub key: Option<String>,
    /// The digest of the script that it was asked of first, with the script: it takes a while, and clones know it too.
    pub(crate) digest: Arc<OnceLock<(Bytes, String)>>,
}

impl BuildRequest {
    /// A build of this script (a component's bytes) and this code: without parameters and secrets, with as many jobs at a time as there
    /// are processors, as long as it takes. What started it is called `api`.
    pub fn new(script: impl Into<Bytes>, source: SourceRequest) -> Self {
        Self {
            script: script.into(),
            source,
            inputs: Inputs::default(),
            trigger: "api".to_owned(),
            max_running: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            timeout: None,
            keep: false,
            keep_failed: false,
            breaks: Breaks::default(),
            select: None,
            given: Given::default(),
            key: None,
            digest: Arc::default(),
        }
    }

    /// With this parameter.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inputs.params.insert(name.into(), value.into());
        self
    }

    /// With this secret.
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.inputs.secrets.insert(name.into(), Hidden(value.into()));
        self
    }

    /// With this as what started it.
    pub fn trigger(mut self, trigger: impl Into<String>) -> Self {
        self.trigger = trigger.into();
        self
    }

    /// With this key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

/// How a build ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
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

impl BuildReport {
    /// The report of a build that ended so, and of which nothing else is to be said.
    pub fn new(build: impl Into<String>, status: BuildStatus) -> Self {
        Self {
            build: build.into(),
            status,
            jobs: Vec::new(),
            failure: None,
            reports: Vec::new(),
            warnings: Vec::new(),
            duration_ms: 0,
            kept: None,
            kept_jobs: Vec::new(),
        }
    }

    /// What the events of a build tell of its end; `None` if it has not ended. What of it is kept, the caller says.
    pub(crate) fn of(build: &str, events: &[Event]) -> Option<Self> {
        let (first, last) = (events.first()?, events.last()?);
        let EventBody::BuildEnded { status, jobs } = &last.body else { return None };
        let mut said = Said::default();
        events.iter().for_each(|event| said.notice(&event.body));
        let Said { failure, reports, warnings } = said;
        let duration_ms = last.time_ms.saturating_sub(first.time_ms);
        let (build, status, jobs) = (build.to_owned(), *status, jobs.clone());
        let (kept, kept_jobs) = (None, Vec::new());
        Some(Self { build, status, jobs, failure, reports, warnings, duration_ms, kept, kept_jobs })
    }
}

/// Stops a build from outside. Clones stop the same build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel {
    pub(super) asked: CancellationToken,
    pub(crate) force: CancellationToken,
    /// Set when this process lets go of the build: another one goes on with it.
    pub(crate) let_go: CancellationToken,
}

impl Cancel {
    /// Asks the build to stop, and gives its jobs no time to end: they are killed. What the build made is still removed.
    pub(crate) fn force(&self) {
        self.asked.cancel();
        self.force.cancel();
    }
}
