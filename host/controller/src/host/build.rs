//! One build, as whoever embeds the host has it.

use std::sync::Arc;

use futures::TryStreamExt;
use monkeyci_build::{BuildCommand, EventBody};
use monkeyci_storage::JournalError;
use monkeyci_storage::journal::{is_over, last_record, read_event};
use tokio::sync::watch;

use super::Host;
use super::driven::{DrivenBuild, Found, Outcome};
use super::events::EventsError;
use crate::builds::{ArtifactBytes, ArtifactRecord, BuildRecord, BuildsError, Standing};
use crate::control::{Decision, OutsideError, OutsideEvent, RunningBuild};
use crate::error::ControllerError;
use crate::jobs::kept_jobs;
use crate::running::{BuildReport, Refused, ResumeError, ResumeRequest, check_event};

/// A build: one that this host drives, that another process drives, that has lost its host, or that is over.
///
/// It owns nothing. Dropping it changes nothing, because builds belong to their hosts; and it can be had anew by the id, with
/// [`Host::build`].
///
/// ```no_run
/// # async fn example(host: monkeyci_controller::Host) -> Result<(), Box<dyn std::error::Error>> {
/// use futures::TryStreamExt;
///
/// let build = host.build("ada/app/19c0ffee-4711").await?;
/// let mut events = build.events(0);
/// while let Some(event) = events.try_next().await? {
///     println!("{} {}", event.seq, event.body.kind());
/// }
/// println!("{:?}", build.wait().await?.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Build {
    pub(super) host: Host,
    id: String,
    /// Tells what came of it, if this host drove it when this was made.
    ended: Option<watch::Receiver<Option<Outcome>>>,
}

/// Why the end of a build is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The host that drove the build could not drive it to its end.
    #[error(transparent)]
    Host(Arc<ControllerError>),
    /// Nobody drives it, and it is not over.
    #[error(transparent)]
    Events(#[from] EventsError),
}

impl Host {
    /// A handle of a build that is known to be there.
    pub(super) fn handle(&self, id: &str) -> Build {
        Build::new(self.clone(), id.to_owned(), self.0.driven.ended(id))
    }
}

impl Build {
    pub(super) fn new(host: Host, id: String, ended: Option<watch::Receiver<Option<Outcome>>>) -> Self {
        Self { host, id, ended }
    }

    /// The host that it was got from.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The build's id, `org/repo/build`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is: whether it runs, and how it ended.
    ///
    /// # Errors
    /// When its journal can't be read.
    pub async fn status(&self) -> Result<Standing, BuildsError> {
        Ok(self.record().await?.status)
    }

    /// The same from its last record alone, which costs the same of a build of any length. Whether the rest of its journal is whole is not looked
    /// at.
    ///
    /// # Errors
    /// When that record can't be read.
    pub async fn standing(&self) -> Result<Standing, BuildsError> {
        let (journal, failed) = (self.host.0.journals.database(), ControllerError::from);
        // First: one that ends meanwhile is over.
        let live = self.host.0.home.is_live(&self.id);
        let status = match last_record(journal, &self.id).await.map_err(failed)? {
            Some(last) => match read_event(journal, &self.id, &last).await.map_err(failed)?.body {
                EventBody::BuildEnded { status, .. } => Some(status),
                _ => None,
            },
            None => None,
        };
        Ok(Standing::of(status, live))
    }

    /// All that is known of it: its jobs and attempts, results, artifacts, warnings.
    ///
    /// # Errors
    /// When its journal can't be read.
    pub async fn record(&self) -> Result<BuildRecord, BuildsError> {
        self.host.builds().record(&self.id).await
    }

    /// An artifact that it has saved, also while it runs: what is known of it, and its bytes, an archive.
    ///
    /// # Errors
    /// When it has no such artifact, or the store has not what was saved.
    pub async fn artifact(&self, id: &str) -> Result<(ArtifactRecord, ArtifactBytes), BuildsError> {
        self.host.builds().artifact_in(&self.host.0.services.blobs, &self.id, id).await
    }

    /// Waits until it is over, and says how it ended.
    ///
    /// # Errors
    /// When whoever drove it could not drive it to its end, or nobody drives it.
    pub async fn wait(&self) -> Result<BuildReport, WaitError> {
        let inner = &self.host.0;
        if let Some(mut ended) = inner.driven.ended(&self.id).or_else(|| self.ended.clone()) {
            let outcome = ended.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match outcome {
                Some(Ok(report)) => return Ok(report),
                Some(Err(error)) => return Err(WaitError::Host(error)),
                None => {}
            }
        }
        let mut events = self.events(0);
        while events.try_next().await?.is_some() {}
        let history = inner.journals.events(&self.id).await.map_err(EventsError::from)?;
        let lost = || EventsError::Lost { build: self.id.clone() };
        let mut report = BuildReport::of(&self.id, &history).ok_or_else(lost)?;
        report.kept = inner.home.kept_whole(&self.id, &history);
        report.kept_jobs = kept_jobs(&inner.home.path_of(&self.id));
        Ok(report)
    }

    /// Approves or rejects a job that waits for it; returns when that is on disk.
    ///
    /// # Errors
    /// When the job does not wait for approval, or nobody drives the build.
    pub async fn decide(&self, decision: Decision) -> Result<(), OutsideError> {
        let Some(driven) = self.driven().await? else { return self.elsewhere()?.decide(&decision).await };
        let Decision { job, by, comment, approved } = decision;
        driven.live.command(BuildCommand::Decide { job, by, comment, approved }).await.map_err(refused)
    }

    /// Approves a job that waits for it.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn approve(&self, job: &str, by: &str) -> Result<(), OutsideError> {
        let (job, by) = (job.to_owned(), by.to_owned());
        self.decide(Decision { job, by, comment: None, approved: true }).await
    }

    /// Rejects a job that waits for approval.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn reject(&self, job: &str, by: &str) -> Result<(), OutsideError> {
        let (job, by) = (job.to_owned(), by.to_owned());
        self.decide(Decision { job, by, comment: None, approved: false }).await
    }

    /// Publishes an event to the build; returns when that is on disk.
    ///
    /// # Errors
    /// When the event is not of the right form, or nobody drives the build.
    pub async fn publish(&self, event: OutsideEvent) -> Result<(), OutsideError> {
        let Some(driven) = self.driven().await? else { return self.elsewhere()?.publish(&event).await };
        let OutsideEvent { by, name, payload } = event;
        check_event(&driven.live, &name, &payload).map_err(|error| OutsideError::Refused(error.to_string()))?;
        driven.live.command(BuildCommand::PublishFromOutside { by, name, payload }).await.map_err(refused)
    }

    /// Stops the build: its jobs get a signal and some seconds to end. Returns when that is on disk, and [`wait`](Self::wait) when it is
    /// over. One that has lost its host is ended by this one, and what it has left is removed.
    ///
    /// # Errors
    /// When it is over, or its host does not answer.
    pub async fn cancel(&self, by: &str) -> Result<(), CancelError> {
        let inner = &self.host.0;
        let asked = match self.host.stop(&self.id, by, false).await {
            Ok(true) => Ok(()),
            Err(error) => Err(OutsideError::Refused(error.to_string())),
            Ok(false) if inner.home.is_live(&self.id) => async { self.elsewhere()?.cancel().await }.await,
            Ok(false) => {
                let request = ResumeRequest { cancel: true, ..ResumeRequest::new(&self.id, by) };
                self.host.resume(request).await?;
                return Ok(());
            }
        };
        // One that is over may not be cleared away yet: then it is too late, or nobody answers.
        if asked.is_err() && self.is_over().await.map_err(ControllerError::from).map_err(ResumeError::from)? {
            return Err(ResumeError::Over { build: self.id.clone() }.into());
        }
        Ok(asked?)
    }

    /// Stops the build if this host drives it, and takes from its jobs the seconds to end: they are killed. What the build has made is still
    /// removed.
    pub fn kill(&self) {
        match self.host.0.driven.find(&self.id) {
            None => {}
            Some(Found::Driven(driven)) => driven.cancel.force(),
            Some(Found::Parked(_)) => {
                let build = self.clone();
                self.host.0.runtime.spawn(async move {
                    if let Err(error) = build.host.stop(&build.id, "kill", true).await {
                        tracing::error!(%error, build = build.id, "a parked build can't be ended");
                    }
                });
            }
        }
    }

    /// The build, if this host has it.
    async fn driven(&self) -> Result<Option<Arc<DrivenBuild>>, OutsideError> {
        self.host.reach(&self.id).await.map_err(|error| OutsideError::Refused(error.to_string()))
    }

    /// The build in another process.
    pub(super) fn elsewhere(&self) -> Result<RunningBuild, OutsideError> {
        RunningBuild::find(self.host.0.home.root(), &self.id)
    }

    /// Whether it is over, as far as is on disk.
    pub(super) async fn is_over(&self) -> Result<bool, JournalError> {
        is_over(self.host.0.journals.database(), &self.id).await
    }
}

/// Why a build was not stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// Whoever drives it did not do it.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// It has lost its host, and can't be ended; or it is over, or there is none.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

fn refused(error: Refused) -> OutsideError {
    OutsideError::Refused(error.to_string())
}
