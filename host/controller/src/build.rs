//! A build from its trigger to its end: folds the journal, and carries out what the core asks for.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use monkeyci_build::{
    BuildState, BuildStatus, Effect, Ending, EventBody, GraphFaults, Input, JobSummary, Phase, StopReason,
};
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::checkout::SourceRequest;
use crate::controller::{ApiAddress, Controller};
use crate::error::ControllerError;
use crate::home::BuildDir;
use crate::inputs::Inputs;
use crate::jobs::{self, Stop};
use crate::live::{LiveBuild, Record};
use crate::masking::Masking;
use crate::observer::Observer;
use crate::outside::{self, Inside};
use crate::server::Listener;

/// How long the last words of stopped jobs may take to be stored.
const LOGS: Duration = Duration::from_secs(5);
/// How long the end of a build waits for those who follow its logs.
const LISTENING: Duration = Duration::from_secs(2);

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
    /// From trigger to end, in milliseconds.
    pub duration_ms: u64,
    /// Where the build's directory is, if it was kept.
    pub kept: Option<PathBuf>,
}

/// Stops a build from outside. Clones stop the same build.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: CancellationToken,
    hurry: CancellationToken,
}

impl Cancel {
    /// Asks the build to stop: its jobs get a signal and some seconds to end.
    pub fn cancel(&self) {
        self.asked.cancel();
    }

    /// Takes the seconds back: jobs are killed at once. What the build made is still removed.
    pub fn hurry(&self) {
        self.asked.cancel();
        self.hurry.cancel();
    }
}

/// What the tasks of a build share.
pub(crate) struct Run {
    pub(crate) controller: Arc<Controller>,
    pub(crate) live: Arc<LiveBuild>,
    pub(crate) request: BuildRequest,
    pub(crate) dir: PathBuf,
    pub(crate) hurry: CancellationToken,
    pub(crate) loaded: std::sync::OnceLock<jobs::Loaded>,
    listening: OnceCell<(ApiAddress, Option<Listener>)>,
    pub(crate) said_not_enforced: OnceCell<()>,
}

impl Run {
    /// How sidecars reach the build API; it is made reachable on first use.
    pub(crate) async fn api_address(&self) -> Result<&ApiAddress, ControllerError> {
        Ok(&self.listening.get_or_try_init(|| self.controller.listen(&self.dir)).await?.0)
    }
}

impl Controller {
    /// Runs a build to its end. The future has to be polled to the end for everything to be cleared away; stop a build with
    /// `cancel`.
    ///
    /// # Errors
    /// When the host can't run builds at all, or the journal fails on the way. What goes wrong in the build itself is in the
    /// report.
    pub async fn run(
        self: &Arc<Self>,
        request: BuildRequest,
        observer: Arc<dyn Observer>,
        cancel: Cancel,
    ) -> Result<BuildReport, ControllerError> {
        let masking = Masking::new(&request.inputs).map_err(|error| ControllerError::Secret(error.to_string()))?;
        for name in masking.unmaskable() {
            tracing::warn!("the secret {name:?} is too short to be masked in logs");
        }
        let id = build_id(&request.source);
        let dir = self.home.build_dir(&id)?;
        let (live, inbox) = LiveBuild::new(
            &id,
            &request.source,
            request.inputs.clone(),
            masking,
            observer,
            BuildState::new(request.max_running),
        );
        self.api.enter(live.clone());
        let inside = Inside { live: live.clone(), blobs: self.api.blobs.clone(), cancel: cancel.clone() };
        let control = outside::listen(&dir.path, inside)?;
        let run = Arc::new(Run {
            controller: self.clone(),
            live,
            request,
            dir: dir.path.clone(),
            hurry: cancel.hurry.clone(),
            loaded: std::sync::OnceLock::new(),
            listening: OnceCell::new(),
            said_not_enforced: OnceCell::new(),
        });
        let mut shell = Shell {
            run: run.clone(),
            tasks: JoinSet::new(),
            stops: HashMap::new(),
            preliminary: Vec::new(),
            names: HashMap::new(),
            next_seq: 1,
            started_ms: 0,
            report: None,
            failure: None,
            reports: Vec::new(),
        };
        let outcome = shell.run(inbox, &cancel).await;
        shell.end().await;
        run.live.writing.close();
        if tokio::time::timeout(LOGS, run.live.writing.wait()).await.is_err() {
            tracing::warn!("the end of a log could not be stored");
        }
        run.live.logs.close();
        // Whoever follows a log may hear it to its end, if they listen.
        let _ = tokio::time::timeout(LISTENING, run.live.logs.listening.wait()).await;
        drop(control);
        self.api.leave(&id);
        let kept = leave(&run, dir).await;
        outcome?;
        let (status, jobs) = shell.report.unwrap_or((BuildStatus::Error, Vec::new()));
        let duration_ms = now_ms().saturating_sub(shell.started_ms);
        let (failure, reports) = (shell.failure, shell.reports);
        Ok(BuildReport { build: id, status, jobs, failure, reports, duration_ms, kept })
    }
}

/// Clears away what only a running build needs.
async fn leave(run: &Run, mut dir: BuildDir) -> Option<PathBuf> {
    if run.request.keep {
        let kept = dir.path.clone();
        return match dir.keep() {
            Ok(()) => Some(kept),
            Err(error) => {
                tracing::warn!(%error, path = %kept.display(), "the build's directory can't be kept");
                None
            }
        };
    }
    let workspace = monkeyci_storage::names::workspace(&run.live.id);
    if let Err(error) = run.controller.api.blobs.remove(&workspace).await {
        tracing::warn!(%error, "the workspace archive could not be removed");
    }
    None
}

/// The loop of one build. Nobody else appends to its journal.
struct Shell {
    run: Arc<Run>,
    tasks: JoinSet<()>,
    /// How to stop the jobs that run.
    stops: HashMap<String, watch::Sender<Option<Stop>>>,
    /// Checkout and `define`: nothing of theirs has to be cleared away.
    preliminary: Vec<AbortHandle>,
    /// Which task runs which job, for the case that a task panics.
    names: HashMap<tokio::task::Id, String>,
    next_seq: u64,
    started_ms: u64,
    report: Option<(BuildStatus, Vec<JobSummary>)>,
    failure: Option<String>,
    reports: Vec<String>,
}

impl Shell {
    async fn run(&mut self, mut inbox: mpsc::Receiver<Record>, cancel: &Cancel) -> Result<(), ControllerError> {
        self.started_ms = now_ms();
        let trigger = self.run.request.trigger.clone();
        self.record(EventBody::BuildTriggered { build: self.run.live.id.clone(), trigger }).await?;
        let time_limit = self.run.request.timeout.map(|timeout| self.started_ms.saturating_add(millis(timeout)));
        let (mut cancelled, mut timed_out) = (false, false);
        while self.report.is_none() {
            let deadline = self.run.live.state().next_deadline_ms();
            tokio::select! {
                Some(record) = inbox.recv() => {
                    self.record_or_conclude(record.body).await?;
                    // Whoever asked may have gone.
                    let _ = record.written.send(());
                }
                Some(ended) = self.tasks.join_next_with_id() => self.task_ended(ended).await?,
                () = until(deadline) => {
                    let effects = self.run.live.state().step(Input::Tick { now_ms: now_ms() });
                    self.carry_out(effects).await?;
                }
                () = cancel.asked.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.record(EventBody::CancelRequested { by: self.run.request.trigger.clone() }).await?;
                }
                () = until(time_limit), if !timed_out && !cancelled => {
                    timed_out = true;
                    let after_ms = self.run.request.timeout.map_or(0, millis);
                    self.record(EventBody::BuildTimedOut { after_ms }).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes an event down, takes it into the state, and carries out what follows.
    async fn record(&mut self, body: EventBody) -> Result<(), ControllerError> {
        let mut bodies = VecDeque::from([body]);
        while let Some(body) = bodies.pop_front() {
            let event = self.run.controller.journal.append(&self.run.live.id, self.next_seq, body).await?;
            self.next_seq += 1;
            match &event.body {
                EventBody::BuildFailed { message, faults, .. } => self.failure = Some(full_message(message, faults)),
                EventBody::BuildTimedOut { after_ms } => {
                    let seconds = *after_ms as f64 / 1000.0;
                    self.failure =
                        Some(format!("the build reached its time limit of {seconds} s: its jobs were stopped"));
                }
                EventBody::ScriptReport { message, .. } => self.reports.push(message.clone()),
                EventBody::BuildEnded { status, jobs } => self.report = Some((*status, jobs.clone())),
                EventBody::JobEnded { job, .. } | EventBody::JobRetried { job, .. } => drop(self.stops.remove(job)),
                _ => {}
            }
            let effects = self.run.live.state().step(Input::Event(&event));
            self.run.live.publish(&event);
            self.run.live.observer.event(&self.run.live.id, &event);
            bodies.extend(self.start(effects));
        }
        Ok(())
    }

    /// Records what a task or a person says. The end of a job may be the end of one attempt only, or a failure that is
    /// tolerated: that is decided here, where no other event can come between.
    async fn record_or_conclude(&mut self, body: EventBody) -> Result<(), ControllerError> {
        let body = match body {
            EventBody::JobEnded { job, ending } => self.run.live.state().conclude(&job, ending),
            body => body,
        };
        self.record(body).await
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), ControllerError> {
        for body in self.start(effects) {
            self.record(body).await?;
        }
        Ok(())
    }

    /// Starts what `effects` ask for; returns the events that are to be recorded.
    fn start(&mut self, effects: Vec<Effect>) -> Vec<EventBody> {
        let mut bodies = Vec::new();
        for effect in effects {
            let run = self.run.clone();
            match effect {
                Effect::Record(body) => bodies.push(body),
                Effect::CheckOut => self.preliminary.push(self.tasks.spawn(jobs::check_out(run))),
                Effect::Define => self.preliminary.push(self.tasks.spawn(jobs::define(run))),
                Effect::Refine { job } => {
                    let task = self.tasks.spawn(jobs::refine(run, job.clone()));
                    self.names.insert(task.id(), job);
                    // It has no container, so nothing of it has to be cleared away.
                    self.preliminary.push(task);
                }
                Effect::Start { job, attempt } => {
                    let (stop, stopped) = watch::channel(None);
                    self.stops.insert(job.clone(), stop);
                    let task: AbortHandle = self.tasks.spawn(jobs::run(run, job.clone(), attempt, stopped));
                    self.names.insert(task.id(), job);
                }
                Effect::Stop { job, reason } => {
                    let stop = match reason {
                        StopReason::Cancelled => Stop::Cancelled,
                        StopReason::TimedOut => Stop::TimedOut,
                        StopReason::FailedFast { group, because } => Stop::FailedFast { group, because },
                    };
                    match self.stops.get(&job) {
                        Some(sender) => drop(sender.send_replace(Some(stop))),
                        // Its start has not been carried out, or its attempt has just ended.
                        None => bodies.extend(self.end_of_unstarted(job, stop)),
                    }
                }
            }
        }
        bodies
    }

    /// The end of a job that is to be stopped and that no task runs; none when it is over.
    fn end_of_unstarted(&self, job: String, stop: Stop) -> Option<EventBody> {
        let state = self.run.live.state();
        let open = state.job(&job).is_some_and(|known| known.stopping.is_some() && !known.status.is_final());
        let spec = state.graph().get(&job).filter(|_| open)?;
        let ending = stop.ending(spec);
        Some(EventBody::JobEnded { job, ending })
    }

    /// A task has ended. It has recorded what there was to say, unless it panicked.
    async fn task_ended(
        &mut self,
        ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>,
    ) -> Result<(), ControllerError> {
        let (id, panic) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let job = self.names.remove(&id);
        match (job, panic) {
            (_, None) => Ok(()),
            (Some(job), Some(reason)) => {
                let ending = Ending::EngineFailed { reason: format!("the host's own fault: {reason}") };
                self.record_or_conclude(EventBody::JobEnded { job, ending }).await
            }
            (None, Some(reason)) => {
                let message = format!("the host's own fault: {reason}");
                self.record(EventBody::BuildFailed { script: false, message, faults: GraphFaults::default() }).await
            }
        }
    }

    /// Ends all that still runs: nothing, unless the loop ended early. Jobs clear their containers away.
    async fn end(&mut self) {
        if self.run.live.state().phase() != Phase::New {
            for stop in self.stops.values() {
                stop.send_replace(Some(Stop::Cancelled));
            }
        }
        self.preliminary.iter().for_each(AbortHandle::abort);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(60), all).await.is_err() {
            tracing::error!("jobs of the build did not come to an end; the next build clears away what is left");
            self.tasks.abort_all();
        }
    }
}

fn full_message(message: &str, faults: &GraphFaults) -> String {
    if faults.is_empty() { message.to_owned() } else { format!("{message}: {faults}") }
}

/// An id for a new build: organisation and repository from the source, then the time and a random part.
fn build_id(source: &SourceRequest) -> String {
    let (org, repo) = source.org_and_repo();
    format!("{org}/{repo}/{:x}-{:04x}", now_ms(), rand::random::<u16>())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}

/// Sleeps until a moment; for ever if there is none.
async fn until(deadline_ms: Option<u64>) {
    match deadline_ms {
        Some(deadline) => tokio::time::sleep(Duration::from_millis(deadline.saturating_sub(now_ms()))).await,
        None => std::future::pending().await,
    }
}
