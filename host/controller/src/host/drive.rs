//! A build from its request to its end.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use monkeyci_build::{BuildState, EventBody};
use monkeyci_storage::{BuildJournal, hex, names};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::build::Build;
use super::driven::{DrivenBuild, Outcome as Ended};
use super::parked::Parking;
use super::policy::Capability;
use super::sources::{BuildContext, SourceError};
use super::{Host, LISTENING, LOGS};
use crate::clock::{SteadyTime, now_ms};
use crate::error::ControllerError;
use crate::home::BuildDir;
use crate::jobs::{self, EarlierBuild, JobContext};
use crate::lock::lock;
use crate::logs::Masking;
use crate::running::{
    Begin, BuildHandle, BuildReport, BuildRequest, Cancel, Digests, Driven, Driver, Outcome, Park, Record,
};
use crate::source::SourceRequest;

/// A build begins with two events: that it was triggered, and what it was asked to be.
const FIRST_EVENTS: u64 = 2;
/// How often it is looked what another process does.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// Why a build was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The host takes nothing new.
    #[error("the host shuts down, and takes no new build")]
    ShuttingDown,
    /// A policy does not let it run.
    #[error("the build {build} is not taken, for it may not {}: {reason}", what(capability))]
    Denied {
        /// The build that it would have been.
        build: String,
        /// What it may not do.
        capability: Capability,
        /// What the policy says.
        reason: String,
    },
    /// What the request says of its code can't be.
    #[error("what is said of the code can't be: {reason}")]
    Given {
        /// What, and why.
        reason: String,
    },
    /// A source of parameters or secrets can't tell.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The host failed.
    #[error(transparent)]
    Host(Arc<ControllerError>),
}

fn what(capability: &Capability) -> String {
    match capability {
        Capability::Run => "run".to_owned(),
        Capability::Import(interface) => format!("import {interface}"),
        Capability::Secret(secret) => format!("have the secret {secret:?}"),
        Capability::Reveal(secret) => format!("read the secret {secret:?}"),
    }
}

impl From<ControllerError> for SubmitError {
    fn from(error: ControllerError) -> Self {
        match error {
            ControllerError::ShuttingDown => Self::ShuttingDown,
            error => Self::Host(Arc::new(error)),
        }
    }
}

impl Host {
    /// The id of the build that a request for this code with this [key](BuildRequest::key) has, before there is the build.
    pub fn build_of_key(source: &SourceRequest, key: &str) -> String {
        let (org, repo) = source.org_and_repo();
        // Of as many keys as there are stars, no two have the same.
        format!("{org}/{repo}/k{}", hex(&Sha256::digest(key)[..12]))
    }

    /// Takes a build, and drives it. When this returns, it is on disk that it was asked for: a host that dies now leaves a build that can be
    /// resumed. The same [key](BuildRequest::key) again gives the same build.
    ///
    /// # Errors
    /// When the build can't be taken: nothing of it is kept then.
    pub async fn submit(&self, request: BuildRequest) -> Result<Build, SubmitError> {
        // Whoever goes on with the build needs it.
        jobs::store_script(&self.0.services.blobs, &request).await.map_err(ControllerError::from)?;
        loop {
            let build = self.start(request.clone()).await?;
            if self.until_written(&build).await? {
                return Ok(build);
            }
            // Another process had taken it, and has died of it before it was written down.
        }
    }

    /// The same, and does not wait for the disk: a host that dies in the next moments may leave nothing of the build. For those who tell
    /// nobody of it before it is over.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn start(&self, request: BuildRequest) -> Result<Build, SubmitError> {
        self.start_one(request, None).await
    }

    /// Starts a build: a new one, or one more run of an earlier one.
    pub(super) async fn start_one(
        &self,
        mut request: BuildRequest,
        earlier: Option<EarlierBuild>,
    ) -> Result<Build, SubmitError> {
        self.0.driven.is_open()?;
        request.given.check().map_err(|reason| SubmitError::Given { reason })?;
        let id = build_id(&request);
        let host = self.begin_process()?;
        let dir = if request.key.is_none() {
            self.0.home.build_dir(&id, &host)?
        } else {
            if self.0.driven.find(&id).is_some() || self.is_written(&id).await? {
                return Ok(self.handle(&id));
            }
            let Some(mut dir) = self.0.home.take_build_dir(&id, &host)? else { return Ok(self.handle(&id)) };
            // Whoever had it may have written it down meanwhile.
            if self.is_written(&id).await? {
                return Ok(self.handle(&id));
            }
            dir.goes_at_the_end();
            dir
        };
        let (trigger, source) = (request.trigger.clone(), request.source.requested());
        let context = BuildContext { build: id.clone(), trigger, source };
        self.collect(&context, &mut request.inputs, None).await?;
        let withheld = self.permit(&context, &mut request).await?;
        let masking = masking(&request)?;
        for name in masking.unmaskable() {
            tracing::warn!("the secret {name:?} is too short to be masked in logs");
        }
        let key = self.digest_key(!request.inputs.secrets.is_empty())?;
        let requested = request.requested(&masking, &Digests { key: &key, build: &id });
        let begun = self.begin(&id, (request, &key), masking, dir);
        if let Some(earlier) = earlier {
            begun.context.runs_again(earlier);
        }
        let time = SteadyTime::begin(self.0.clock.clone());
        let begin = Begin::New(Box::new(requested));
        let told = watch::Sender::new(None);
        let (build, driven) = self.drive(begun, self.0.journals.begin(&id), begin, (time, told))?;
        for message in withheld {
            // Over, if the build is: then nobody wants to know.
            let _ = driven.live.record(EventBody::BuildWarned { message }).await;
        }
        Ok(build)
    }

    /// Waits until it is on disk that a build was asked for. False if nobody has written that down, and nobody will.
    async fn until_written(&self, build: &Build) -> Result<bool, SubmitError> {
        let Some(driven) = self.0.driven.get(build.id()) else {
            while !self.is_written(build.id()).await? {
                if !self.0.home.is_live(build.id()) {
                    return Ok(self.is_written(build.id()).await?);
                }
                tokio::time::sleep(LOOK).await;
            }
            return Ok(true);
        };
        let (mut seq, mut durable) = (driven.live.last_seq(), driven.durable.clone());
        let written = async {
            // The handle is there as long as this is.
            let _ = seq.until(|seq| *seq >= FIRST_EVENTS).await;
            durable.wait(FIRST_EVENTS).await
        };
        tokio::select! {
            biased;
            written = written => written.map_err(ControllerError::from)?,
            () = driven.over() => {
                if let Some(Err(error)) = driven.ended.borrow().clone() {
                    return Err(SubmitError::Host(error));
                }
            }
        }
        Ok(true)
    }

    /// What a build needs in this process.
    pub(super) fn begin(
        &self,
        id: &str,
        (request, digest_key): (BuildRequest, &str),
        masking: Masking,
        dir: BuildDir,
    ) -> Begun {
        let state = BuildState::new(request.max_running);
        let observer = self.0.observer.clone();
        let (live, inbox) = BuildHandle::new(id, &request.source, request.inputs.clone(), masking, observer, state);
        live.disk.set(self.0.disk, dir.path.clone());
        let cancel = Cancel::default();
        let (services, path, force) = (self.0.services.clone(), dir.path.clone(), cancel.force.clone());
        let context = Arc::new(JobContext::new(services, live.clone(), request.clone(), path, force, digest_key));
        Begun { live, context, request, dir, inbox, cancel }
    }

    /// Drives a build, in a task of its own, by this time. When it is over, that is told. It is not parked as long as the caller has what is driven.
    ///
    /// # Errors
    /// When the host takes nothing new.
    pub(super) fn drive(
        &self,
        begun: Begun,
        journal: BuildJournal,
        begin: Begin,
        (time, told): (SteadyTime, watch::Sender<Option<Ended>>),
    ) -> Result<(Build, Arc<DrivenBuild>), ControllerError> {
        let id = begun.live.id.clone();
        let ended = told.subscribe();
        let (park, parking) = self.parking(&begun, (&time, &told)).unzip();
        let driven = self.0.driven.insert(DrivenBuild {
            live: begun.live.clone(),
            context: begun.context.clone(),
            cancel: begun.cancel.clone(),
            durable: journal.durable(),
            ended: ended.clone(),
            gone: CancellationToken::new(),
        })?;
        let build = Build::new(self.clone(), id, Some(ended));
        self.tell_sinks(&build);
        let host = self.clone();
        tokio::spawn(async move {
            let id = begun.live.id.clone();
            let driven = AssertUnwindSafe(host.to_the_end(begun, journal, begin, (time, park))).catch_unwind();
            let panicked = || ControllerError::Panic(format!("the driver of {id} panicked"));
            let outcome = driven.await.unwrap_or_else(|_| Err(panicked()));
            host.0.api.deregister(&id);
            // Whoever brings a parked build back waits for this.
            let turn = parking.and_then(|parking: Parking| lock(&parking).take());
            match outcome {
                Ok(Some(report)) => drop(told.send_replace(Some(Ok(report)))),
                Err(error) if turn.is_none() => drop(told.send_replace(Some(Err(Arc::new(error))))),
                Ok(None) => return,
                Err(error) => {
                    return tracing::error!(%error, build = id, "the build is parked, and something of it is left");
                }
            }
            host.0.driven.remove(&id);
        });
        Ok((build, driven))
    }

    /// Drives a build to its end, or until it is parked: then nothing is said of it.
    async fn to_the_end(
        &self,
        begun: Begun,
        journal: BuildJournal,
        begin: Begin,
        (time, park): (SteadyTime, Option<Park>),
    ) -> Result<Option<BuildReport>, ControllerError> {
        let Begun { live, context, request, mut dir, inbox, cancel } = begun;
        let id = live.id.clone();
        self.0.api.register(live.clone());
        let driver = Driver::new(live.clone(), journal, self.paced(context), &request, time).parks(park);
        let (outcome, driven) = driver.drive(inbox, begin, &cancel).await;
        if let Err(ControllerError::LetGo { .. }) = driven {
            dir.let_go();
        }
        live.writing.close();
        if tokio::time::timeout(LOGS, live.writing.wait()).await.is_err() {
            tracing::warn!("the end of a log could not be stored");
        }
        live.logs.close();
        // Whoever follows a log may hear it to its end, if they listen.
        let _ = tokio::time::timeout(LISTENING, live.logs.listening.wait()).await;
        let (kept, kept_jobs) = match driven {
            Err(ControllerError::LetGo { .. }) | Ok(Driven::Parked) => (None, Vec::new()),
            _ => self.leave(&id, dir, request.keep).await,
        };
        if driven? == Driven::Parked {
            return Ok(None);
        }
        let Outcome { status, jobs, failure, reports, warnings, duration_ms } = outcome;
        Ok(Some(BuildReport { build: id, status, jobs, failure, reports, warnings, duration_ms, kept, kept_jobs }))
    }

    /// Clears away what only a running build needs. Returns its directory, if all of it was to be kept, and the failed jobs whose
    /// containers are kept.
    async fn leave(&self, build: &str, mut dir: BuildDir, keep: bool) -> (Option<PathBuf>, Vec<String>) {
        let jobs = jobs::kept_jobs(&dir.path);
        if keep || !jobs.is_empty() {
            let path = dir.path.clone();
            if let Err(error) = dir.keep() {
                tracing::warn!(%error, path = %path.display(), "the build's directory can't be kept");
                return (None, jobs);
            }
            if keep {
                return (Some(path), jobs);
            }
        }
        if let Err(error) = self.0.services.blobs.remove_below(&names::workspaces(build)).await {
            tracing::warn!(%error, "the workspace archive could not be removed");
        }
        (None, jobs)
    }
}

/// A build in this process, before its driver is.
pub(super) struct Begun {
    pub(super) live: Arc<BuildHandle>,
    pub(super) context: Arc<JobContext>,
    pub(super) request: BuildRequest,
    pub(super) dir: BuildDir,
    /// What comes to be written down.
    inbox: mpsc::Receiver<Record>,
    cancel: Cancel,
}

pub(super) fn masking(request: &BuildRequest) -> Result<Masking, ControllerError> {
    Masking::new(&request.inputs).map_err(|error| ControllerError::Secret(error.to_string()))
}

/// An id for a new build: organisation and repository from the source, then the time and a random part; or what the key makes of it, which
/// is the same each time.
fn build_id(request: &BuildRequest) -> String {
    if let Some(key) = &request.key {
        return Host::build_of_key(&request.source, key);
    }
    let (org, repo) = SourceRequest::org_and_repo(&request.source);
    format!("{org}/{repo}/{:x}-{:04x}", now_ms(), rand::random::<u16>())
}
