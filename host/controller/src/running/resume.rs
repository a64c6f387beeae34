//! Going on with a build whose host has died: what its journal tells of it, and whether that is enough.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, Mac};
use monkeyci_build::{Event, EventBody, Given, JobSpec, Requested, Source, Told, ToldCall};
use monkeyci_storage::hex;
use sha2::{Digest, Sha256};

use super::BuildRequest;
use super::said::Said;
use crate::error::ControllerError;
use crate::inputs::Inputs;
use crate::logs::Masking;

/// A build to go on with: [`ResumeRequest::new`], and then whatever else is to be said.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResumeRequest {
    /// The build's id, `org/repo/build`.
    pub build: String,
    /// Secrets, once more: no journal has them. And parameters that a secret stands in.
    pub inputs: Inputs,
    /// Logins for git servers, once more.
    pub git_auth: crate::source::GitAuth,
    /// Whether jobs run again that ran when the host died; they have failed otherwise, and what their script says of retries holds.
    pub again: bool,
    /// Whether the build is only to be ended, as cancelled: then nothing has to be given again.
    pub cancel: bool,
    /// Who asks.
    pub by: String,
}

impl ResumeRequest {
    /// Of this build, `org/repo/build`, by somebody. What ran when its host died has failed.
    pub fn new(build: impl Into<String>, by: impl Into<String>) -> Self {
        Self { build: build.into(), by: by.into(), ..Self::default() }
    }
}

/// A build that is not over, and that no host goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumable {
    /// The build's id.
    pub build: String,
    /// How many jobs it has, as far as it is known.
    pub jobs: usize,
    /// How many of them are over.
    pub over: usize,
    /// Those that ran when the host died.
    pub ran: Vec<String>,
    /// Those that wait for a person.
    pub blocked: Vec<String>,
    /// When something was last written down, in milliseconds since the Unix epoch.
    pub last_ms: u64,
    /// The secrets that have to be given again, and the parameters that a secret stands in.
    pub needs: Needed,
    /// Why nobody can go on with it; `None` if somebody can.
    pub refused: Option<String>,
}

/// What has to be given again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Secrets, by their names.
    pub secrets: Vec<String>,
    /// Parameters, by their names.
    pub params: Vec<String>,
}

impl Needed {
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.params.is_empty()
    }

    /// How to give it, as options of the command.
    pub(crate) fn options(&self) -> String {
        let secrets = self.secrets.iter().map(|name| format!("--secret {name}=FILE"));
        let params = self.params.iter().map(|name| format!("--param {name}=VALUE"));
        secrets.chain(params).collect::<Vec<_>>().join(" ")
    }
}

/// Why a build is not gone on with. Nothing of it has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// There is no such build.
    #[error("the host's home {} knows no build {build:?}; `monkeyci-host resume` lists those that can be resumed", home.display())]
    NoBuild {
        /// What was asked for.
        build: String,
        /// The home directory that was looked in.
        home: PathBuf,
    },
    /// It has ended.
    #[error("the build {build} is over: there is nothing to resume; see `monkeyci-host logs {build}`")]
    Over {
        /// The build.
        build: String,
    },
    /// A host goes on with it.
    #[error("the build {build} runs in another process")]
    Runs {
        /// The build.
        build: String,
    },
    /// Its journal does not say enough.
    #[error("the build {build} can't be resumed: {reason}; run it again")]
    NotEnough {
        /// The build.
        build: String,
        /// What is missing.
        reason: String,
    },
    /// Secrets or parameters were not given again.
    #[error("the build {build} needs what no journal has: {}", needs.options())]
    Missing {
        /// The build.
        build: String,
        /// What is missing.
        needs: Needed,
    },
    /// A secret or parameter is not the one that the build began with.
    #[error("the {what} {name:?} is not what the build {build} began with; a build goes on with what it was given")]
    Different {
        /// The build.
        build: String,
        /// `secret` or `parameter`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What is given again can't be had.
    #[error("{reason}")]
    Inputs {
        /// Who can't tell, and what is wrong.
        reason: String,
    },
    /// The code can't be had again.
    #[error("the code of the build {build} can't be had again: {reason}")]
    Code {
        /// The build.
        build: String,
        /// Why.
        reason: String,
    },
    /// The code or what the script makes of it is not what it was.
    #[error("the build {build} can't be resumed: {reason}; run it again")]
    Changed {
        /// The build.
        build: String,
        /// What is not as it was.
        reason: String,
    },
    /// The host failed.
    #[error(transparent)]
    Host(#[from] ControllerError),
}

/// What the journal tells of a build, beside its state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) trigger: String,
    pub(crate) started_ms: u64,
    pub(crate) last_ms: u64,
    pub(crate) requested: Option<Requested>,
    pub(crate) source: Option<Source>,
    pub(crate) told: Option<Told>,
    /// The jobs that `define` declared.
    pub(crate) jobs: Option<Vec<JobSpec>>,
    /// What the actions were told that are not over, and the late jobs that are not completed.
    pub(crate) told_actions: BTreeMap<String, Vec<ToldCall>>,
    /// What scripts have done that no transcript has an answer to: `define` (none), and actions.
    pub(crate) done: BTreeMap<Option<String>, VecDeque<EventBody>>,
    /// What was said that stands in the report.
    pub(crate) said: Said,
    /// Whether it has ended.
    pub(crate) over: bool,
}

impl Known {
    /// What the events tell.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut known = Self::default();
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            (known.started_ms, known.last_ms) = (first.time_ms, last.time_ms);
        }
        for Event { body, .. } in events {
            known.said.notice(body);
            match body {
                EventBody::BuildTriggered { trigger, .. } => known.trigger.clone_from(trigger),
                EventBody::BuildRequested { request } => known.requested = Some((**request).clone()),
                EventBody::BuildCheckedOut { source } => known.source = Some(source.clone()),
                EventBody::ScriptTold { told } => known.told = Some((**told).clone()),
                EventBody::ScriptDefined { jobs, .. } => known.jobs = Some(jobs.clone()),
                EventBody::BuildEnded { .. } => known.over = true,
                EventBody::JobTold { job, calls, .. } => {
                    known.told_actions.entry(job.clone()).or_default().extend(calls.iter().cloned());
                    known.done.remove(&Some(job.clone()));
                }
                EventBody::JobStarted { .. }
                | EventBody::JobRefined { .. }
                | EventBody::JobRetried { .. }
                | EventBody::JobEnded { .. } => {
                    let job = body.job().map(str::to_owned);
                    known.told_actions.remove(job.as_deref().unwrap_or_default());
                    known.done.remove(&job);
                }
                EventBody::ScriptEvent { .. }
                | EventBody::ScriptReport { .. }
                | EventBody::JobsSubmitted { .. }
                | EventBody::JobResults { .. }
                | EventBody::ArtifactSaved { .. } => {
                    let job = body.job().map(str::to_owned);
                    known.done.entry(job).or_default().push_back(body.clone());
                }
                _ => {}
            }
        }
        known
    }

    /// What the journal does not tell, and whoever goes on with the build has to know; `missing` records at its end are lost.
    pub(crate) fn lacks(&self, missing: u64) -> Option<String> {
        let untold =
            "its journal does not say what it was asked to be, or what its script was told: an older host wrote it";
        let withheld = self.told.as_ref().and_then(|told| told.withheld.as_ref());
        if missing > 0 {
            Some(format!("{missing} records at the end of its journal are missing"))
        } else if self.requested.is_none() || (self.jobs.is_some() && self.told.is_none()) {
            Some(untold.to_owned())
        } else {
            let read = |secret| {
                format!("its script read the value of the secret {secret:?} in `define`, and no journal has that")
            };
            withheld.map(read)
        }
    }

    /// What has to be given again.
    pub(crate) fn needs(&self) -> Needed {
        let names = |digests: &BTreeMap<String, String>| digests.keys().cloned().collect();
        self.requested.as_ref().map_or_else(Needed::default, |requested| Needed {
            secrets: names(&requested.secrets),
            params: names(&requested.secret_params),
        })
    }
}

/// Digests of secrets, keyed with what only this home has.
#[derive(Clone, Debug)]
pub(crate) struct Digests<'a> {
    pub(crate) key: &'a str,
    pub(crate) build: &'a str,
}

impl Digests<'_> {
    /// What the key is called in journals, if there is one. The key is drawn at random, so nobody finds it by its name.
    pub(crate) fn key_name(&self) -> Option<String> {
        let name = || hex(&Sha256::new().chain_update("name of a key\0").chain_update(self.key).finalize()[..8]);
        (!self.key.is_empty()).then(name)
    }

    /// The digest of a value: of a `secret` or a `param` of this name, or of what a job of this name was `told`.
    pub(crate) fn of(&self, what: &str, name: &str, value: &[u8]) -> String {
        // A key may have any length.
        let mac = Hmac::<Sha256>::new_from_slice(self.key.as_bytes());
        let mac = mac.map(|mac| mac.chain_update(format!("{}\0{what}\0{name}\0", self.build)).chain_update(value));
        mac.map_or_else(|_| String::new(), |mac| hex(&mac.finalize().into_bytes()))
    }
}

impl BuildRequest {
    /// The SHA-256 of the script's bytes, in hexadecimal: the store has them by it.
    pub(crate) fn script_digest(&self) -> String {
        let digest = |script: &Bytes| hex(&Sha256::digest(script));
        let (script, known) = self.digest.get_or_init(|| (self.script.clone(), digest(&self.script)));
        // Whoever has set another script since.
        let is_it = script.as_ptr() == self.script.as_ptr() && script.len() == self.script.len();
        if is_it { known.clone() } else { digest(&self.script) }
    }

    /// What the journal says of the request.
    pub(crate) fn requested(&self, masking: &Masking, digests: &Digests<'_>) -> Requested {
        let has_secret = |name: &str, value: &str| masking.find(value).or_else(|| masking.find(name)).is_some();
        let (secret_params, params): (Vec<_>, Vec<_>) =
            self.inputs.params.iter().partition(|(name, value)| has_secret(name, value));
        let owned = |(name, value): (&String, &String)| (name.clone(), value.clone());
        let secret_params =
            secret_params.into_iter().map(|(name, value)| (name.clone(), digests.of("param", name, value.as_bytes())));
        let secrets =
            self.inputs.secrets.iter().map(|(name, value)| (name.clone(), digests.of("secret", name, &value.0)));
        Requested {
            script: self.script_digest(),
            source: self.source.requested(),
            params: params.into_iter().map(owned).collect(),
            secret_params: secret_params.collect(),
            secrets: secrets.collect(),
            reveal: self.inputs.reveal.clone(),
            max_running: self.max_running,
            timeout_ms: self.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            keep: self.keep,
            keep_failed: self.keep_failed,
            breaks: self.breaks.clone(),
            select: self.select.clone(),
            given: self.given.clone(),
            tells_actions: true,
            tells_ends: true,
            key_name: digests.key_name(),
        }
    }

    /// What is left of a request for a build that is only to be ended.
    pub(crate) fn ended(known: &Known) -> Self {
        Self {
            script: bytes::Bytes::new(),
            source: crate::source::SourceRequest::Dir(PathBuf::new()),
            inputs: Inputs::default(),
            trigger: known.trigger.clone(),
            max_running: std::num::NonZeroUsize::MIN,
            timeout: None,
            keep: false,
            keep_failed: false,
            breaks: monkeyci_build::Breaks::default(),
            select: None,
            given: Given::default(),
            key: None,
            digest: Arc::default(),
        }
    }

    /// The request that a journal tells of, with what was given again, and without the script's bytes.
    ///
    /// # Errors
    /// When something is missing, or is not what it was.
    pub(crate) fn again(
        resume: &ResumeRequest,
        known: &Known,
        requested: &Requested,
        digests: &Digests<'_>,
    ) -> Result<Self, ResumeError> {
        let build = resume.build.clone();
        let given = &resume.inputs;
        let mut missing = known.needs();
        missing.secrets.retain(|name| !given.secrets.contains_key(name));
        missing.params.retain(|name| !given.params.contains_key(name));
        if !missing.is_empty() {
            return Err(ResumeError::Missing { build, needs: missing });
        }
        let different = |what, name: &str| ResumeError::Different { build: build.clone(), what, name: name.to_owned() };
        for (name, value) in &given.secrets {
            if requested.secrets.get(name) != Some(&digests.of("secret", name, &value.0)) {
                return Err(different("secret", name));
            }
        }
        for (name, value) in &given.params {
            let is_it = match requested.secret_params.get(name) {
                Some(digest) => *digest == digests.of("param", name, value.as_bytes()),
                None => requested.params.get(name) == Some(value),
            };
            if !is_it {
                return Err(different("parameter", name));
            }
        }
        let mut inputs = given.clone();
        inputs.params.extend(requested.params.clone());
        inputs.reveal.clone_from(&requested.reveal);
        let commit = known.source.as_ref().and_then(|source| source.commit.clone());
        Ok(Self {
            script: bytes::Bytes::new(),
            source: crate::source::SourceRequest::again(&requested.source, commit, resume.git_auth.clone()),
            inputs,
            trigger: known.trigger.clone(),
            max_running: requested.max_running,
            timeout: requested.timeout_ms.map(Duration::from_millis),
            keep: requested.keep,
            keep_failed: requested.keep_failed,
            breaks: requested.breaks.clone(),
            select: requested.select.clone(),
            given: requested.given.clone(),
            key: None,
            digest: Arc::default(),
        })
    }
}

#[cfg(test)]
mod tests;
