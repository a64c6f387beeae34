//! The way of a job through the sidecar, step by step.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, pending, try_join, try_join3};
use monkeyci_api::{API_VERSION, ByteStream, Hidden, HoldQuery, SidecarPlan, SidecarReport};
use monkeyci_build::{Command, Ending, Held, SaveArtifact, ShellLine};

use super::caches::Restored;
use super::handover::hand_over;
use super::host::Host;
use super::launcher::{Launcher, Said};
use super::listen::Listener;
use super::log::Log;
use super::phase::Phase;
use super::restore::{self, Place};
use super::results::{self, Warnings};
use super::services::{self, NotReady};
use super::{Options, StepError, WORKSPACE_DISK, save};
use crate::protocol::{Failure, FromLauncher, HeldAt, ProcessEnd, ToLauncher};

/// For how long the host is asked to wait until a job that is held may go on, before it is asked again: less than it would take as silence.
const HOLD_WAIT: Duration = Duration::from_secs(20);

/// The longest text of a shell line in an ending; a line may hold a whole script.
const LINE_TEXT_LIMIT: usize = 256;

/// How the job went.
pub(super) struct Outcome {
    /// What to report.
    pub(super) report: SidecarReport,
    /// What to tell a launcher that waits for the command, which will not come.
    pub(super) farewell: Option<String>,
    /// The sidecar's own failure.
    pub(super) error: Option<StepError>,
}

impl Outcome {
    pub(super) fn failed(error: StepError) -> Self {
        let StepError { step, reason, full_disk } = error.clone();
        let ending = match full_disk {
            Some(place) => Ending::DiskFull { place: place.to_owned(), step, reason, code: None },
            None => Ending::SidecarFailed { step, reason },
        };
        Self { farewell: None, report: SidecarReport::Ended(ending), error: Some(error) }
    }

    fn ended(ending: Ending) -> Self {
        Self { report: SidecarReport::Ended(ending), farewell: None, error: None }
    }

    fn before_go(self) -> Self {
        let reason = match (&self.report, &self.error) {
            (_, Some(error)) => format!("the sidecar failed while {}: {}", error.step, error.reason),
            (SidecarReport::Ended(ending), None) => ending.to_string(),
            (SidecarReport::LauncherGone { .. }, None) => return self,
        };
        Self { farewell: Some(reason), ..self }
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Ended(ending) => Self::ended(ending),
            Stop::Failed(error) => Self::failed(error),
            Stop::LauncherGone { during } => {
                Self { report: SidecarReport::LauncherGone { during }, farewell: None, error: None }
            }
        }
    }
}

/// Why a job does not go on to its next step.
pub(super) enum Stop {
    Ended(Ending),
    LauncherGone {
        /// What was being prepared for it; none when it ran the command.
        during: Option<String>,
    },
    Failed(StepError),
}

impl From<StepError> for Stop {
    fn from(error: StepError) -> Self {
        Self::Failed(error)
    }
}

pub(super) struct Job<'a> {
    pub(super) host: &'a Host,
    pub(super) id: &'a str,
    pub(super) log: &'a Log,
    pub(super) options: &'a Options,
    /// The launcher, once it is there.
    pub(super) launcher: Option<Launcher>,
}

impl Job<'_> {
    pub(super) async fn run(&mut self, listener: Listener) -> Outcome {
        let (launcher, plan, workspace) = match self.meet(listener).await {
            Ok(met) => met,
            Err(stop) => return Outcome::from(stop).before_go(),
        };
        let launcher = self.launcher.insert(launcher);
        let job = JobSteps { host: self.host, id: self.id, log: self.log, options: self.options, plan: &plan };
        let ready = match job.prepare(launcher, workspace).await {
            Ok(ready) => ready,
            Err(stop) => return Outcome::from(stop).before_go(),
        };
        match job.run(launcher, ready).await {
            Ok(()) => Outcome::ended(Ending::Succeeded),
            Err(stop) => stop.into(),
        }
    }

    /// Gets the plan and the launcher, and opens the workspace's download meanwhile.
    async fn meet(&self, listener: Listener) -> Result<(Launcher, SidecarPlan, ByteStream), Stop> {
        let plan = async {
            self.host
                .ask(async |client| client.plan(self.id).await)
                .await
                .map_err(|error| Stop::Failed(StepError::new("fetching the job's plan", error)))
        };
        let workspace = async {
            self.host
                .ask(async |client| client.workspace().await)
                .await
                .map_err(|error| Stop::Failed(StepError::new("restoring the workspace", error)))
        };
        let launcher = async {
            let step = |error| Stop::Failed(StepError::new("waiting for the launcher", error));
            let mut launcher = Launcher::new(listener.accept().await.map_err(|error| step(error.to_string()))?);
            match launcher.next().await? {
                Said::Message(FromLauncher::Hello { version, uid, gid }) if version == API_VERSION => {
                    launcher.set_owner(uid, gid);
                    Ok(launcher)
                }
                Said::Message(FromLauncher::Hello { version, .. }) => {
                    let reason = format!("the launcher is of version {version}, the sidecar of version {API_VERSION}");
                    let _ = launcher.send(&ToLauncher::Refuse { reason: reason.clone() }).await;
                    Err(step(reason))
                }
                other => Err(step(format!("it said {other:?} before Hello"))),
            }
        };
        let (plan, workspace, launcher) = try_join3(plan, workspace, launcher).await?;
        Ok((launcher, plan, workspace))
    }
}

/// All is in its place.
struct Ready {
    place: Place,
    caches: Restored,
    /// The job's variables on top of its container's.
    env: BTreeMap<String, String>,
}

/// The steps that need the plan.
struct JobSteps<'a> {
    host: &'a Host,
    id: &'a str,
    log: &'a Log,
    options: &'a Options,
    plan: &'a SidecarPlan,
}

impl JobSteps<'_> {
    /// Puts everything in its place, while services get ready.
    async fn prepare(&self, launcher: &mut Launcher, workspace: ByteStream) -> Result<Ready, Stop> {
        let place = Place::open(&self.options.workspace, &self.plan.work_dir, launcher.owner())
            .map_err(|error| StepError::local("making the workspace", &error))?;
        let env = hand_over(self.plan, self.options, place.new_owner())?;
        let phase = Phase::default();
        let restoring = restore::all(self.host, self.log, self.plan, &place, workspace, &phase);
        let probing = async {
            let ready = services::wait_for_all(&self.plan.services, &self.options.services, &phase).await;
            ready.map_err(|error| match error {
                NotReady::Unknown(error) => Stop::Failed(error),
                NotReady::TimedOut { service, reason } => {
                    // The controller adds the service's last lines: it can read them, we can't.
                    Stop::Ended(Ending::ServiceNotReady { service, reason, last_lines: String::new() })
                }
            })
        };
        let (caches, ()) = tokio::select! {
            result = try_join(restoring, probing) => result?,
            stop = launcher.until_gone() => return Err(match stop {
                // Who stops a job that takes too long wants to know for what.
                Stop::LauncherGone { .. } => Stop::LauncherGone { during: phase.what() },
                stop => stop,
            }),
        };
        Ok(Ready { place, caches, env })
    }

    async fn run(&self, launcher: &mut Launcher, ready: Ready) -> Result<(), Stop> {
        let running = self.host.command_runs().await;
        running.map_err(|error| StepError::new("reporting that the job runs", error))?;
        let work_dir = self.options.workspace.join(&self.plan.work_dir);
        let work_dir = work_dir.to_string_lossy().into_owned();
        let Ready { place, caches, env } = ready;
        let (command, breaks) = (self.plan.command.clone(), self.plan.breaks.clone());
        launcher.send(&ToLauncher::Go { command, work_dir, env: Hidden(env), breaks }).await?;
        let ended = self.follow(launcher).await.map_err(|stop| no_room(stop, &place));
        if self.host.is_gone() {
            // Nobody takes what the job leaves. It runs until the launcher notices.
            return ended;
        }
        // From here on nobody runs any more, and nothing changes: also when the launcher was killed, for with it all of its
        // container died. What the launcher does now is its own business.
        let mut warnings = Warnings::default();
        let outputs = results::outputs(self.host, self.log, &mut warnings, self.id, &self.options.outputs).await;
        let ended = match outputs {
            Err(error) => ended.and(Err(error.into())),
            Ok(()) => ended,
        };
        self.save(&place, &caches, &mut warnings, ended).await?;
        match warnings.message() {
            Some(message) => Err(Stop::Ended(Ending::Warned { message })),
            None => Ok(()),
        }
    }

    /// Passes the job's output on until it has ended, and says how.
    async fn follow(&self, launcher: &mut Launcher) -> Result<(), Stop> {
        let mut gone = pin!(self.host.gone());
        let mut continued: LocalBoxFuture<'_, Result<(), StepError>> = pending().boxed_local();
        let mut holds = 0;
        loop {
            let said = tokio::select! {
                said = launcher.next() => said?,
                done = &mut continued => {
                    done?;
                    continued = pending().boxed_local();
                    launcher.send(&ToLauncher::Continue).await?;
                    continue;
                }
                () = &mut gone => return Err(StepError::new("waiting for the host", "it did not come back").into()),
            };
            match said {
                Said::Output(frame) => self.log.send(frame).await,
                Said::Message(FromLauncher::Held(at)) => {
                    holds += 1;
                    continued = self.is_held(holds, at).boxed_local();
                }
                Said::Message(message) => return self.judge(message),
            }
        }
    }

    /// Says that the job is held, and returns when it may go on.
    async fn is_held(&self, number: u32, at: HeldAt) -> Result<(), StepError> {
        let held = self.place(at);
        loop {
            let query = HoldQuery { number, held: held.clone(), wait_ms: HOLD_WAIT.as_millis() as u64 };
            let asked = self.host.ask(async |client| client.job_held(self.id, &query).await).await;
            if asked.map_err(|error| StepError::new("holding the job", error))?.continued {
                return Ok(());
            }
        }
    }

    /// Where a job is held, as people are told.
    fn place(&self, at: HeldAt) -> Held {
        let unknown = |number| ShellLine { number, text: String::new() };
        match at {
            HeldAt::Failure { end, line, oom_kills } => match self.judge(FromLauncher::Exited { end, line, oom_kills })
            {
                Err(Stop::Ended(ending)) => Held::Failure { ending },
                // Not reached: it has not ended well.
                _ => Held::After { line: unknown(line.unwrap_or(0)) },
            },
            HeldAt::Before { line } => match (self.shell_line(line), line.saturating_sub(1)) {
                (Some(line), _) => Held::Before { line },
                (None, last) => Held::After { line: self.shell_line(last).unwrap_or_else(|| unknown(last)) },
            },
        }
    }

    /// Reports and saves what is in the working directory, of a job that ended so; returns how it ended after all.
    async fn save(
        &self,
        place: &Place,
        caches: &Restored,
        warnings: &mut Warnings,
        ended: Result<(), Stop>,
    ) -> Result<(), Stop> {
        let dir = match place.work_dir() {
            Ok(dir) => dir,
            Err(error) => {
                let reason = format!("the working directory can't be opened: {error}");
                return self.without_work_dir(&reason, warnings, ended).await;
            }
        };
        results::tests(self.host, self.log, warnings, self.id, &self.plan.test_reports, &dir).await;
        let ended = save::artifacts(self.host, self.log, warnings, &self.plan.save_artifacts, &dir, ended).await;
        caches.save(self.host, self.log, &self.plan.caches, &dir, ended.is_ok()).await;
        ended
    }

    /// The job has removed its working directory. That is its own business, unless it promised something there.
    async fn without_work_dir(
        &self,
        reason: &str,
        warnings: &mut Warnings,
        ended: Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !self.plan.test_reports.is_empty() {
            warnings.say(self.log, format!("the tests are not reported: {reason}")).await;
        }
        let artifacts = &self.plan.save_artifacts;
        for SaveArtifact { id, .. } in artifacts.iter().filter(|artifact| artifact.always) {
            warnings.say(self.log, format!("artifact {id} is not saved: {reason}")).await;
        }
        match artifacts.iter().find(|artifact| !save::may_be_missing(artifact)) {
            Some(SaveArtifact { id, .. }) => {
                ended.and(Err(Stop::Ended(Ending::ArtifactMissing { id: id.clone(), reason: reason.to_owned() })))
            }
            None => ended,
        }
    }

    /// Whether the command succeeded; if not, how the job ended.
    fn judge(&self, last: FromLauncher) -> Result<(), Stop> {
        let image = self.plan.image.clone();
        let ending = match last {
            FromLauncher::Exited { end: ProcessEnd::Code(0), .. } => return Ok(()),
            FromLauncher::Exited { oom_kills: 1.., .. } => Ending::OutOfMemory { limit_bytes: self.plan.memory_bytes },
            FromLauncher::Exited { end: ProcessEnd::Code(code), line, .. } => {
                Ending::Exited { code, line: line.and_then(|line| self.shell_line(line)) }
            }
            FromLauncher::Exited { end: ProcessEnd::Signal(signal), line, .. } => {
                Ending::Signalled { signal, line: line.and_then(|line| self.shell_line(line)) }
            }
            FromLauncher::Failed(Failure::CommandNotFound { command }) => Ending::CommandNotFound { command, image },
            FromLauncher::Failed(Failure::NotExecutable { command, reason }) => {
                Ending::NotExecutable { command, image, reason }
            }
            FromLauncher::Failed(Failure::BadWorkDir { reason }) => {
                let reason = format!("its working directory {:?} can't be entered: {reason}", self.plan.work_dir);
                Ending::StartFailed { image, reason }
            }
            FromLauncher::Failed(Failure::NotStarted { reason }) => Ending::StartFailed { image, reason },
            FromLauncher::Hello { .. } => {
                return Err(StepError::new("running the command", "the launcher said Hello twice").into());
            }
            FromLauncher::Held(_) => {
                return Err(StepError::new("running the command", "a job that has ended is held").into()); // not reached
            }
        };
        Err(Stop::Ended(ending))
    }

    fn shell_line(&self, number: u32) -> Option<ShellLine> {
        let Command::Shell(shell) = &self.plan.command else { return None };
        let line = shell.lines.get((number as usize).checked_sub(1)?)?;
        let text = match line.char_indices().nth(LINE_TEXT_LIMIT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.clone(),
        };
        Some(ShellLine { number, text })
    }
}

/// A command that failed on a full disk mostly failed for want of room: an exit code says nothing of it.
fn no_room(stop: Stop, place: &Place) -> Stop {
    match stop {
        Stop::Ended(ending @ Ending::Exited { code, .. }) if place.is_full() => Stop::Ended(Ending::DiskFull {
            place: WORKSPACE_DISK.to_owned(),
            step: "running the command".to_owned(),
            reason: format!("it {ending}"),
            code: Some(code),
        }),
        stop => stop,
    }
}
