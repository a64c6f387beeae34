//! What the sidecar of a simulated pod does: it speaks to the host by the build API, as the real one does, and waits for a host that is away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use monkeyci_api::{Client, ClientError, SidecarConfig, SidecarPlan, SidecarReport};
use monkeyci_archive::pack_files;
use monkeyci_build::{DEFAULT_JOB_TIMEOUT_MS, Ending, JobSpec, LateValue};
use monkeyci_storage::Watcher;

use super::fault::JobFault;
use super::pods::{Ends, Exit, Stage, running_ms};
use super::world::World;
use crate::clock::millis;

/// How often it looks for a host that is away, in milliseconds.
const AGAIN_MS: u64 = 250;
/// How long the workspace takes to come at most, in milliseconds.
const RESTORING_MS: u64 = 5000;
/// How long a command takes to end that has heard TERM, at most, in milliseconds.
const ENDING_MS: u64 = 3000;
/// What a sidecar exits with that has waited in vain for a host, and its launcher.
const IN_VAIN: (i64, i64) = (75, 125);
/// TERM.
const TERM: i32 = 15;

/// Why a sidecar goes no further.
enum Stop {
    /// To report this, when its job's container has exited so.
    Report(SidecarReport, Exit),
    /// No host came.
    InVain,
    /// The pod is gone, or its containers died.
    Dead,
}

/// A pod's sidecar, as it is seen here.
struct Sidecar {
    world: Arc<World>,
    key: String,
    attempt: u32,
    fault: Option<JobFault>,
    config: SidecarConfig,
    /// Of the host that is there.
    client: Option<Client>,
}

/// The life of a pod's sidecar, or the rest of it where a host has died meanwhile.
pub(super) async fn live(world: Arc<World>, key: String) {
    let found = world.pods(|pods| pods.get(&key).map(|pod| (pod.pod.clone(), pod.attempt, pod.fault)));
    let Some((pod, attempt, fault)) = found else { return };
    let config = std::fs::read(&pod.sidecar_config).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let Some(config) = config else {
        return ends(&world, &key, |ends| (ends.sidecar, ends.job) = (Some(Exit::Code(1)), Some(Exit::Code(125))));
    };
    let mut sidecar = Sidecar { world: world.clone(), key: key.clone(), attempt, fault, config, client: None };
    match sidecar.goes_on().await {
        Ok(()) | Err(Stop::Dead) => {}
        Err(Stop::InVain) => {
            let (code, launcher) = IN_VAIN;
            ends(&world, &key, |ends| {
                ends.sidecar = Some(Exit::Code(code));
                ends.job.get_or_insert(Exit::Code(launcher));
            });
        }
        Err(Stop::Report(report, exit)) => sidecar.reports(report, exit).await,
    }
}

fn ends(world: &World, key: &str, change: impl FnOnce(&mut Ends)) {
    world.pods(|pods| pods.get(key).map(|pod| pod.ends.change(change)));
}

impl Sidecar {
    /// From where it is to the end of its job.
    async fn goes_on(&mut self) -> Result<(), Stop> {
        let job = self.config.job.clone();
        let stage = self.world.pods(|pods| pods.get(&self.key).map(|pod| pod.stage)).ok_or(Stop::Dead)?;
        let plan = self.ask("fetching the job's plan", |client| {
            let job = job.clone();
            async move { client.plan(&job).await }.boxed()
        });
        let plan = plan.await?;
        let until_ms = match stage {
            Stage::Runs { until_ms } => until_ms,
            Stage::Made | Stage::Prepares => self.prepares(&plan).await?,
        };
        let (ended, exit) = self.runs(until_ms).await?;
        self.hands_in(&plan, ended, exit).await
    }

    /// Gets what the job starts from, and says that its command runs. Gives when that will end.
    async fn prepares(&mut self, plan: &SidecarPlan) -> Result<u64, Stop> {
        let job = self.config.job.clone();
        let of = format!("{job}/{}", self.attempt);
        let restoring_ms = self.world.chance.spread("restores", &of, RESTORING_MS);
        let mut stop = self.stopped()?;
        let is_stopped = tokio::select! {
            biased;
            _ = stop.until(Option::is_some) => true,
            () = self.world.after(restoring_ms) => false,
        };
        if is_stopped {
            let during = Some("restoring the workspace".to_owned());
            return Err(Stop::Report(SidecarReport::LauncherGone { during }, Exit::Code(143)));
        }
        for artifact in &plan.restore_artifacts {
            let id = artifact.id.clone();
            let found = self.ask("restoring an artifact", |client| restored(client, id.clone()).boxed()).await?;
            if !found && !artifact.if_there {
                let report = SidecarReport::Ended(Ending::ArtifactNotThere { id });
                return Err(Stop::Report(report, Exit::Code(125)));
            }
        }
        let runs = self.ask("reporting that the job runs", |client| {
            let job = job.clone();
            async move { client.job_running(&job).await }.boxed()
        });
        runs.await?;
        let limit_ms = self.spec(|spec| spec.timeout_ms).unwrap_or(DEFAULT_JOB_TIMEOUT_MS);
        let takes_ms = running_ms(&self.world, &job, self.attempt, limit_ms);
        let until_ms = match self.fault {
            Some(JobFault::Hangs) => self.world.while_ill(u64::MAX),
            _ => self.world.now_ms() + takes_ms,
        };
        self.world.pods(|pods| pods.get_mut(&self.key).map(|pod| pod.stage = Stage::Runs { until_ms }));
        if let Some(JobFault::EngineAway(seconds)) = self.fault {
            self.world.note(format_args!("the engine is away for {seconds} s"));
            let until_ms = self.world.while_ill(self.world.now_ms() + seconds * 1000);
            self.world.away_until.set(until_ms);
            let world = self.world.clone();
            // Who waits for it looks again then.
            tokio::spawn(async move {
                world.until(until_ms).await;
                world.away_until.change(|_| ());
            });
        }
        Ok(until_ms)
    }

    /// The job's command, until it ends: how, and how its container exits.
    async fn runs(&mut self, until_ms: u64) -> Result<(Ending, Exit), Stop> {
        let mut stop = self.stopped()?;
        let grace = tokio::select! {
            biased;
            grace = stop.until(Option::is_some) => Some(grace.ok().flatten().ok_or(Stop::Dead)?),
            () = self.world.until(until_ms), if until_ms < u64::MAX => None,
        };
        let job = &self.config.job;
        let Some(grace) = grace else { return self.ends_by_itself() };
        let ending_ms = self.world.chance.spread("ends", job, ENDING_MS);
        if self.fault == Some(JobFault::Hangs) || ending_ms > millis(grace) {
            self.world.after(millis(grace)).await;
            return Err(Stop::Report(SidecarReport::LauncherGone { during: None }, Exit::Code(137)));
        }
        self.world.after(ending_ms).await;
        Ok((Ending::Signalled { signal: TERM, line: None }, Exit::Code(143)))
    }

    /// How the command ends that nobody stops.
    fn ends_by_itself(&self) -> Result<(Ending, Exit), Stop> {
        let dies = |job: Exit, sidecar: Exit| {
            ends(&self.world, &self.key, |ends| (ends.job, ends.sidecar) = (Some(job), Some(sidecar)));
            Err(Stop::Dead)
        };
        match self.fault {
            Some(JobFault::Exit(code)) => Ok((Ending::Exited { code, line: None }, Exit::Code(code.into()))),
            Some(JobFault::OutOfMemory) => {
                let limit_bytes = self.spec(|spec| spec.container()?.memory_bytes).flatten();
                let report = SidecarReport::Ended(Ending::OutOfMemory { limit_bytes });
                Err(Stop::Report(report, Exit::OutOfMemory))
            }
            Some(JobFault::Killed) => Err(Stop::Report(SidecarReport::LauncherGone { during: None }, Exit::Code(137))),
            Some(JobFault::Lost) => dies(Exit::Gone, Exit::Gone),
            Some(JobFault::SidecarDies) => dies(Exit::Code(125), Exit::Code(137)),
            _ => Ok((Ending::Succeeded, Exit::Code(0))),
        }
    }

    /// Hands in what the job leaves, and reports how it ended.
    async fn hands_in(&mut self, plan: &SidecarPlan, ended: Ending, exit: Exit) -> Result<(), Stop> {
        let job = self.config.job.clone();
        // Its launcher exits at once; a sidecar that has much to save does not.
        ends(&self.world, &self.key, |ends| ends.job = Some(exit));
        let ok = ended == Ending::Succeeded;
        let outputs: Vec<String> = if ok { self.outputs() } else { Vec::new() };
        if !outputs.is_empty() {
            let file: String = outputs.iter().map(|name| format!("{name}=simulated\n")).collect();
            let said = self.ask("exposing outputs", |client| {
                let (job, file) = (job.clone(), file.clone().into_bytes());
                async move { client.report_outputs(&job, file).await }.boxed()
            });
            said.await?;
        }
        let mut ended = ended;
        for artifact in plan.save_artifacts.iter().filter(|artifact| artifact.always || artifact.on_failure != ok) {
            let id = artifact.id.clone();
            if self.fault == Some(JobFault::NotSaved) {
                if !artifact.always && !artifact.if_there && !artifact.on_failure {
                    ended = Ending::ArtifactMissing { id, reason: "the simulation has it missing".to_owned() };
                    break;
                }
                continue;
            }
            let archive = archive_of(&artifact.path);
            let saved = self.ask("saving an artifact", |client| {
                let (id, archive) = (id.clone(), archive.clone());
                async move { client.save_artifact(&id, archive.into()).await.map(drop) }.boxed()
            });
            saved.await?;
        }
        Err(Stop::Report(SidecarReport::Ended(ended), exit))
    }

    /// Says how the job ended, and ends.
    async fn reports(&mut self, report: SidecarReport, exit: Exit) {
        let job = self.config.job.clone();
        ends(&self.world, &self.key, |ends| ends.job = ends.job.or(Some(exit)));
        if let Some(JobFault::Late(seconds)) = self.fault {
            self.world.after(seconds * 1000).await;
        }
        let times = if self.fault == Some(JobFault::Twice) { 2 } else { 1 };
        for _ in 0..times {
            self.world.note(format_args!("{job}, attempt {}, reports its end", self.attempt));
            // One that comes too late is refused: then there is nobody to tell.
            let told = self.ask("reporting", |client| {
                let (job, report) = (job.clone(), report.clone());
                async move { client.job_result(&job, &report).await }.boxed()
            });
            if let Err(Stop::InVain) = told.await {
                break;
            }
        }
        ends(&self.world, &self.key, |ends| ends.sidecar = ends.sidecar.or(Some(Exit::Code(0))));
    }

    /// Asks the host, and waits for one where none is there. What is refused ends the job.
    async fn ask<T>(
        &mut self,
        step: &str,
        ask: impl Fn(Client) -> BoxFuture<'static, Result<T, ClientError>> + Send,
    ) -> Result<T, Stop> {
        let give_up_ms = self.world.now_ms().saturating_add(self.config.patience_ms);
        loop {
            self.is_there()?;
            let error = match self.client() {
                Some(client) => match ask(client).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                None => ClientError::Unreachable("there is no host".to_owned()),
            };
            if !error.is_away() && !error.is_passing() {
                self.is_there()?;
                let (step, reason) = (step.to_owned(), error.to_string());
                let report = SidecarReport::Ended(Ending::SidecarFailed { step, reason });
                return Err(Stop::Report(report, Exit::Code(125)));
            }
            if self.world.now_ms() >= give_up_ms {
                return Err(Stop::InVain);
            }
            self.world.after(AGAIN_MS).await;
        }
    }

    /// A client of the host that is there.
    fn client(&mut self) -> Option<Client> {
        if self.client.is_none() {
            let handler = self.world.host()?.in_process();
            self.client = Client::in_process(handler, &self.config.build, self.config.token.clone()).ok();
        }
        self.client.clone()
    }

    /// # Errors
    /// When the pod has been removed, or its containers have ended.
    fn is_there(&self) -> Result<(), Stop> {
        let is_there = self.world.pods(|pods| pods.get(&self.key).is_some_and(|pod| pod.ends.get().sidecar.is_none()));
        if is_there { Ok(()) } else { Err(Stop::Dead) }
    }

    fn stopped(&self) -> Result<Watcher<Option<Duration>>, Stop> {
        self.world.pods(|pods| pods.get(&self.key).map(|pod| pod.stop.watch())).ok_or(Stop::Dead)
    }

    fn spec<T>(&self, look: impl FnOnce(&JobSpec) -> T) -> Option<T> {
        let live = self.world.host()?.live(&self.config.build)?;
        let state = live.state();
        state.graph().get(&self.config.job).map(look)
    }

    /// The outputs of the job that others read.
    fn outputs(&self) -> Vec<String> {
        let Some(live) = self.world.host().and_then(|host| host.live(&self.config.build)) else { return Vec::new() };
        let state = live.state();
        let read = state.graph().jobs().iter().filter_map(JobSpec::container).flat_map(|spec| spec.late_env.values());
        let mut outputs: Vec<String> = read
            .filter_map(|value| match value {
                LateValue::Output { job, output } if *job == self.config.job => Some(output.clone()),
                _ => None,
            })
            .collect();
        outputs.sort();
        outputs.dedup();
        outputs
    }
}

/// Gets an artifact. Whether it is there.
async fn restored(client: Client, id: String) -> Result<bool, ClientError> {
    match client.artifact(&id).await? {
        Some(bytes) => bytes.try_for_each(|_| async { Ok(()) }).await.map(|()| true),
        None => Ok(false),
    }
}

/// An artifact with one small file.
fn archive_of(path: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    let name = if path.is_empty() || path == "." { "simulated" } else { path };
    // What can't name a file is saved as an archive of nothing.
    let _ = pack_files([(Path::new(name), b"simulated\n".as_slice())], &mut archive);
    archive
}
