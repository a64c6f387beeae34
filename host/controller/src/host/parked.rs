//! Builds that wait for a person, and of which this host keeps in memory only what their journals do not have.
//!
//! A build of which nothing runs is parked: its driver ends, and its directory, lock and handle go. That it is this host's says a file in the
//! host's directory, as long as the host's lock is held. Whoever wants something of it has it brought back first, from its journal, as a
//! build is that has lost its host; but nothing of that is written down, for nothing has happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use monkeyci_build::{BuildCommand, EventBody};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::Host;
use super::drive::Begun;
use super::driven::{DrivenBuild, Found, Outcome};
use crate::clock::SteadyTime;
use crate::error::ControllerError;
use crate::home::BuildDir;
use crate::inputs::Inputs;
use crate::jobs::{self, Before};
use crate::lock::lock;
use crate::running::{Begin, BuildHandle, BuildRequest, Known, Park, Refused, ResumeError, ResumeRequest};
use crate::source::SourceRequest;

/// How often, and with which pause, a build's directory is asked for that somebody else has for a moment: who looks whether it can be
/// resumed finds that it can't, and lets go.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// When a build is tried once more that has reached its time limit and could not be ended.
const LATER: Duration = Duration::from_secs(60);

/// A build that this host has parked.
pub(super) struct ParkedBuild {
    given: Given,
    time: SteadyTime,
    /// What it has taken of the disk, and whether it was said that this is too much.
    disk: (u64, bool),
    /// Whether its log says what the engine does not enforce.
    said_not_enforced: bool,
    /// When it reaches its time limit, by the host's clock.
    pub(super) due: Option<Duration>,
    /// Told when the build is over.
    pub(super) told: watch::Sender<Option<Outcome>>,
    /// Set when it is parked no more.
    pub(super) gone: CancellationToken,
    /// Held while the driver before winds up, and by whoever brings the build back.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What a build was given that its journal does not have.
struct Given {
    /// Secrets, and parameters that a secret stands in.
    inputs: Inputs,
    /// The code's repository, with logins.
    source: Option<SourceRequest>,
}

impl ParkedBuild {
    /// Waits until the driver before has wound up, and nobody brings the build back.
    pub(super) async fn wound_up(&self) {
        drop(self.turn.lock().await);
    }
}

impl Given {
    fn of(request: &BuildRequest, live: &BuildHandle) -> Self {
        let mut inputs = request.inputs.clone();
        let masking = &live.masking;
        inputs.params.retain(|name, value| masking.find(value).or_else(|| masking.find(name)).is_some());
        inputs.reveal.clear();
        let source = match &request.source {
            SourceRequest::Dir(_) => None,
            SourceRequest::Git { .. } => Some(request.source.clone()),
        };
        Self { inputs, source }
    }
}

/// Why a build is not stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum StopError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    NotBack(#[from] ResumeError),
}

/// Set when a build has been parked, until its driver has wound up.
pub(super) type Parking = Arc<Mutex<Option<OwnedMutexGuard<()>>>>;

impl Host {
    /// When and how a build is parked; `None` for one that leaves something for people to look at, and so keeps its directory.
    pub(super) fn parking(
        &self,
        Begun { live, context, request, .. }: &Begun,
        (time, told): (&SteadyTime, &watch::Sender<Option<Outcome>>),
    ) -> Option<(Park, Parking)> {
        let after = self.0.park_after?;
        if request.keep || request.keep_failed || !request.breaks.is_empty() {
            return None;
        }
        let parking = Parking::default();
        let (host, live, context) = (self.clone(), live.clone(), context.clone());
        let request = BuildRequest { script: bytes::Bytes::new(), ..request.clone() };
        let (time, told, begun) = (time.clone(), told.clone(), parking.clone());
        let leave = move |time_limit_ms: Option<u64>| {
            // What is still written to its log would come between what is written after it.
            if !live.writing.is_empty() {
                return false;
            }
            // Nobody could go on with it.
            if live.has_happened(|body| matches!(body, EventBody::ScriptTold { told } if told.withheld.is_some())) {
                return false;
            }
            let left = |limit: u64| Duration::from_millis(limit.saturating_sub(time.now_ms()));
            let parked = ParkedBuild {
                given: Given::of(&request, &live),
                time: time.clone(),
                disk: live.disk.taken(),
                said_not_enforced: context.has_said_not_enforced(),
                due: time_limit_ms.map(|limit| host.0.clock.since().saturating_add(left(limit))),
                told: told.clone(),
                gone: CancellationToken::new(),
                turn: Arc::default(),
            };
            // Nobody else has it yet.
            let Ok(turn) = parked.turn.clone().try_lock_owned() else { return false };
            let is_parked = host.park(&live.id, parked);
            if is_parked {
                *lock(&begun) = Some(turn);
            }
            is_parked
        };
        Some((Park { after, leave: Box::new(leave) }, parking))
    }

    /// Parks a build, unless somebody has something to do with it, or it can't be written down.
    fn park(&self, id: &str, parked: ParkedBuild) -> bool {
        // First: others see at any moment that it is live.
        if let Err(error) = self.0.process.park(id) {
            tracing::warn!(%error, build = id, "the build is not parked");
            return false;
        }
        let is_parked = self.0.driven.park(id, parked);
        match is_parked {
            true => self.look_after_parked(),
            false => self.not_parked(id),
        }
        is_parked
    }

    fn not_parked(&self, id: &str) {
        if let Err(error) = self.0.process.unpark(id) {
            tracing::warn!(%error, build = id, "the build is not parked any more, and others can't see that");
        }
    }

    /// The build, if this host drives it or has parked it: then it is brought back.
    ///
    /// # Errors
    /// When it can't be brought back; it stays parked then.
    pub(super) fn reach<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Arc<DrivenBuild>>, ResumeError>> {
        Box::pin(async move {
            loop {
                let parked = match self.0.driven.find(id) {
                    None => return Ok(None),
                    Some(Found::Driven(driven)) => return Ok(Some(driven)),
                    Some(Found::Parked(parked)) => parked,
                };
                let turn = parked.turn.clone().lock_owned().await;
                if !parked.gone.is_cancelled() {
                    return self.back(id, parked, None, turn).await.map(Some);
                }
            }
        })
    }

    /// Stops a build that this host drives or has parked; also one that can't be brought back. False if it is none of these.
    pub(super) async fn stop(&self, id: &str, by: &str, kill: bool) -> Result<bool, StopError> {
        loop {
            let parked = match self.0.driven.find(id) {
                None => return Ok(false),
                Some(Found::Driven(driven)) => {
                    driven.live.command(BuildCommand::Cancel { by: by.to_owned() }).await?;
                    return Ok(true);
                }
                Some(Found::Parked(parked)) => parked,
            };
            let turn = parked.turn.clone().lock_owned().await;
            if parked.gone.is_cancelled() {
                continue;
            }
            let driven = self.back(id, parked, Some(by.to_owned()), turn).await?;
            if kill {
                driven.cancel.force();
            }
            // It is said already, and so this waits until it is on disk; or it is over, and that is on disk too.
            if let Err(Refused::Over(_)) = driven.live.command(BuildCommand::Cancel { by: by.to_owned() }).await {
                driven.over().await;
            }
            return Ok(true);
        }
    }

    /// Brings a parked build back, to its end also when nobody waits for that any more: a clone may take longer than whoever asked, and
    /// whoever asks next finds the build driven.
    async fn back(
        &self,
        id: &str,
        parked: Arc<ParkedBuild>,
        cancel: Option<String>,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Arc<DrivenBuild>, ResumeError> {
        let (host, id) = (self.clone(), id.to_owned());
        let back = tokio::spawn(async move {
            let _turn = turn;
            host.bring_back(&id, &parked, cancel).await
        });
        back.await.unwrap_or_else(|error| Err(ControllerError::Panic(error.to_string()).into()))
    }

    /// Goes on with a parked build, or only ends it as cancelled by somebody.
    async fn bring_back(
        &self,
        id: &str,
        parked: &ParkedBuild,
        cancel: Option<String>,
    ) -> Result<Arc<DrivenBuild>, ResumeError> {
        let dir = self.own_dir(id).await?;
        let history = self.0.journals.history(id).await.map_err(ControllerError::from)?;
        let gone = || ResumeError::NoBuild { build: id.to_owned(), home: self.0.home.root().to_owned() };
        let history = history.ok_or_else(gone)?;
        let known = Known::of(&history.events);
        let Given { inputs, source } = &parked.given;
        let (inputs, cancels) = (inputs.clone(), cancel.is_some());
        let resume = ResumeRequest { inputs, cancel: cancels, ..ResumeRequest::new(id, "") };
        let mut begun = self.continued(&resume, &history, &known, (dir, source.clone())).await?;
        begun.live.disk.go_on(parked.disk);
        if parked.said_not_enforced {
            begun.context.said_not_enforced_before();
        }
        if cancel.is_none() {
            jobs::restore(&begun.context, &known, Before::Parked).await?;
        }
        let journal = self.0.journals.take_over(id, &history).await.map_err(ControllerError::from)?;
        begun.dir.goes_at_the_end();
        self.0.process.unpark(id).map_err(|source| self.unreadable(source))?;
        let begin = Begin::Parked { cancel, started_ms: known.started_ms, said: known.said };
        let (time, told) = (parked.time.clone(), parked.told.clone());
        match self.drive(begun, journal, begin, (time, told)) {
            Ok((_, driven)) => Ok(driven),
            Err(error) => {
                // It is parked still, until this host has let go of it.
                let _ = self.0.process.park(id);
                Err(error.into())
            }
        }
    }

    /// The directory of a build that this host has parked, which somebody else may have for a moment.
    async fn own_dir(&self, id: &str) -> Result<BuildDir, ResumeError> {
        let host = self.begin_process()?;
        for _ in 0..TRIES {
            if let Some(dir) = self.0.home.take_parked_dir(id, &host)? {
                return Ok(dir);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(ResumeError::Runs { build: id.to_owned() })
    }

    /// Looks from now on which parked builds reach their time limits, as long as there are parked ones. They keep the host, as those do that run.
    fn look_after_parked(&self) {
        if !self.0.driven.begins_to_look() {
            return;
        }
        let host = self.clone();
        tokio::spawn(async move {
            loop {
                let changed = host.0.driven.changed();
                let Some(next) = host.0.driven.next_due() else { return };
                let left = next.map(|due| due.saturating_sub(host.0.clock.since()));
                let due = async {
                    match left {
                        Some(left) => tokio::time::sleep(left).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = host.0.closed.cancelled() => return,
                    () = changed => {}
                    () = due => {
                        for id in host.0.driven.take_due(host.0.clock.since()) {
                            let host = host.clone();
                            tokio::spawn(async move { host.reaches_its_limit(&id).await });
                        }
                    }
                }
            }
        });
    }

    /// A parked build has reached its time limit. Its driver sees that; where it can't be brought back, it is ended all the same.
    async fn reaches_its_limit(&self, id: &str) {
        let Err(error) = self.reach(id).await else { return };
        let by = format!("the host, since it has reached its time limit and can't go on ({error})");
        if let Err(error) = self.stop(id, &by, false).await {
            tracing::error!(%error, build = id, "a parked build has reached its time limit, and can't be ended yet");
            self.0.driven.due_again(id, self.0.clock.since().saturating_add(LATER));
        }
    }
}
