//! One more run of an earlier build: what its journal tells of it, and what was given anew.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use monkeyci_build::{Again, Breaks, JobKind, JobSpec, Requested, Rerun, Select, SelectError, ToldCall};

use super::resume::{Digests, Known, Needed};
use super::{BuildRequest, ResumeError};
use crate::error::ControllerError;
use crate::inputs::Inputs;
use crate::source::{GitAuth, SourceRequest};

/// A build to run again.
#[derive(Clone, Debug)]
pub struct RerunRequest {
    /// The earlier build's id, `org/repo/build`.
    pub build: String,
    /// Which of its jobs run again.
    pub what: Again,
    /// Whether code and script are what they are now; what they were otherwise.
    pub with_changes: bool,
    /// With changes, the script's bytes; those that the earlier build had if `None`.
    pub script: Option<Bytes>,
    /// Secrets, once more: no journal has them. And parameters that are to be others than they were, or that a secret stands in.
    pub inputs: Inputs,
    /// Logins for git servers, once more.
    pub git_auth: GitAuth,
    /// How many jobs may run at a time; as many as then if `None`.
    pub max_running: Option<NonZeroUsize>,
    /// How long the build may take; as long as then if `None`.
    pub timeout: Option<Duration>,
    /// Leave containers and files of the build for a person to look at.
    pub keep: bool,
    /// Leave the containers of each job that fails in the end as they are then, stopped: somebody may look into them.
    pub keep_failed: bool,
    /// Where its jobs stop for a person to look into them.
    pub breaks: Breaks,
    /// Who asks.
    pub by: String,
}

/// Why a build is not run again. Nothing has begun then.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// There is no such build.
    #[error("the host's home {} knows no build {build:?}; `monkeyci-host list` shows those that it has", home.display())]
    NoBuild {
        /// What was asked for.
        build: String,
        /// The home directory that was looked in.
        home: PathBuf,
    },
    /// It is not over.
    #[error("the build {build} still runs: wait for its end, or cancel it, before it is run again")]
    Runs {
        /// The build.
        build: String,
    },
    /// It is not over, and no host goes on with it.
    #[error(
        "the host of the build {build} has died, and its containers may still run: go on with it (`monkeyci-host resume {build}`), or end it \
         (`monkeyci-host cancel {build}`), before it is run again"
    )]
    Lost {
        /// The build.
        build: String,
    },
    /// Its journal or the store does not have what it takes.
    #[error("the build {build} can't be run again: {reason}")]
    NotEnough {
        /// The build.
        build: String,
        /// What is missing.
        reason: String,
    },
    /// Secrets or parameters were not given again.
    #[error("the build {build} was given what no journal has; give it once more: {}", needs.options())]
    Missing {
        /// The build.
        build: String,
        /// What is missing.
        needs: Needed,
    },
    /// The code can't be had again.
    #[error("the code of the build {build} can't be had again: {reason}")]
    Code {
        /// The build.
        build: String,
        /// Why.
        reason: String,
    },
    /// The code is not what it was.
    #[error("{reason} when the build {build} ran; --with-changes takes code and script as they are now")]
    Changed {
        /// The build.
        build: String,
        /// What is not as it was.
        reason: String,
    },
    /// A source of parameters or secrets can't tell, or the host takes no such build.
    #[error("the build {build} can't be run again: {reason}")]
    NotTaken {
        /// The build.
        build: String,
        /// Why.
        reason: String,
    },
    /// What was asked for can't be run.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The host failed.
    #[error(transparent)]
    Host(#[from] ControllerError),
}

impl RerunError {
    /// The script of an earlier build can't be had.
    pub(crate) fn no_script(error: ResumeError) -> Self {
        match error {
            ResumeError::NotEnough { build, reason } | ResumeError::Changed { build, reason } => {
                Self::NotEnough { build, reason: format!("{reason}; give one with --with-changes --script") }
            }
            ResumeError::Host(error) => Self::Host(error),
            other => Self::NotEnough { build: String::new(), reason: other.to_string() },
        }
    }
}

impl Known {
    /// What has to be given for one more run in which these jobs run: of the secrets, those that the script asks for. Where that can't be known,
    /// it is all that the build was given: of an action, which asks for what it wants, and of a job that the script completes later.
    pub(crate) fn needs_again<'a>(&self, mut runs: impl Iterator<Item = &'a JobSpec>) -> Needed {
        let mut needs = self.needs();
        let asks_more = runs.any(|job| job.late || matches!(job.kind, JobKind::Action));
        let told = self.told.as_ref().filter(|told| !asks_more && told.withheld.is_none());
        let asked: Option<Vec<String>> = told.and_then(|told| told.calls.iter().filter_map(asks_for_secret).collect());
        if let Some(asked) = asked {
            needs.secrets.retain(|name| asked.contains(name));
        }
        needs
    }
}

/// The secret that a call asks for, if it does; `Some(None)` when its name is not told.
fn asks_for_secret(call: &ToldCall) -> Option<Option<String>> {
    let quoted = call.request.strip_prefix("secrets.get(")?.strip_suffix(')');
    Some(quoted.and_then(|quoted| serde_json::from_str(quoted).ok()))
}

impl BuildRequest {
    /// The request for one more run of a build that a journal tells of, with what was given anew, and without the script's bytes.
    ///
    /// # Errors
    /// When a secret that is needed is missing, or a parameter that one stood in.
    pub(crate) fn rerun(
        rerun: &RerunRequest,
        (known, needs): (&Known, &Needed),
        requested: &Requested,
        digests: &Digests<'_>,
    ) -> Result<Self, RerunError> {
        let given = &rerun.inputs;
        let mut missing = needs.clone();
        missing.secrets.retain(|name| !given.secrets.contains_key(name));
        missing.params.retain(|name| !given.params.contains_key(name));
        if !missing.is_empty() {
            return Err(RerunError::Missing { build: rerun.build.clone(), needs: missing });
        }
        let is_other = |(name, value): (&String, &String)| match requested.secret_params.get(name) {
            Some(digest) => *digest != digests.of("param", name, value.as_bytes()),
            None => requested.params.get(name) != Some(value),
        };
        let other_params = given.params.iter().any(is_other);
        let mut inputs = given.clone();
        for (name, value) in &requested.params {
            inputs.params.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if inputs.reveal.is_empty() {
            inputs.reveal.clone_from(&requested.reveal);
        }
        let commit = known.source.as_ref().and_then(|source| source.commit.clone()).filter(|_| !rerun.with_changes);
        Ok(Self {
            script: Bytes::new(),
            source: SourceRequest::again(&requested.source, commit, rerun.git_auth.clone()),
            inputs,
            trigger: known.trigger.clone(),
            max_running: rerun.max_running.unwrap_or(requested.max_running),
            timeout: rerun.timeout.or(requested.timeout_ms.map(Duration::from_millis)),
            keep: rerun.keep,
            keep_failed: rerun.keep_failed,
            breaks: rerun.breaks.clone(),
            key: None,
            digest: Arc::default(),
            given: requested.given.clone(),
            select: Some(Select::Again(Rerun {
                of: rerun.build.clone(),
                by: rerun.by.clone(),
                what: rerun.what.clone(),
                with_changes: rerun.with_changes,
                other_params,
            })),
        })
    }
}
