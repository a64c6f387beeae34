//! Container jobs: a pod of the engine, and what its sidecar reports. Whatever dies, there is a typed end.

use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use monkeyci_api::{API_VERSION, Role, Scope, SidecarConfig, SidecarReport};
use monkeyci_build::{ContainerSpec, Ending, JobSpec};
use monkeyci_engines::{Engine, EngineError, Part, PartExit, Pod};
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};

use super::Stop;
use super::plan::{env, plan, services};
use crate::blobs::hex;
use crate::build::Run;
use crate::error::ControllerError;
use crate::home::make_dir;

/// How long a job may take to end after TERM.
const GRACE: Duration = Duration::from_secs(10);
/// How long the sidecar may take to say how the job ended, after its containers began to end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long clearing away may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// What is left of a job that has ended.
pub(super) struct Remains {
    engine: Arc<dyn Engine>,
    pod: Pod,
}

/// Runs the container job to its end. What it leaves is to be cleared away: later, so that the jobs that wait for this one
/// do not wait for that too.
pub(super) async fn run(
    run: &Arc<Run>,
    job: &JobSpec,
    spec: &ContainerSpec,
    attempt: u32,
    mut stop: watch::Receiver<Option<Stop>>,
) -> (Ending, Option<Remains>) {
    let plan = match plan(run, spec) {
        Ok(plan) => plan,
        Err(ending) => return (ending, None),
    };
    let engine = tokio::select! {
        engine = run.controller.engine() => match engine {
            Ok(engine) => engine,
            Err(error) => return (Ending::EngineFailed { reason: error.to_string() }, None),
        },
        reason = stopped(&mut stop) => return (reason.ending(job), None),
    };
    let prepared = prepare(run, job, spec, attempt).await;
    let (pod, token) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return (Ending::EngineFailed { reason: error.to_string() }, None),
    };
    let (running, report) = run.live.watch_pod(&job.id, plan);
    let watch = Watch { run, engine: engine.as_ref(), pod: &pod, spec, up: AtomicBool::new(false) };

    let ending = {
        let mut drive = std::pin::pin!(watch.drive(running, report));
        tokio::select! {
            ending = &mut drive => ending,
            reason = stopped(&mut stop) => {
                run.live.pod(&job.id, |pod| pod.stopping = true);
                watch.stop(drive).await;
                reason.ending(job)
            }
        }
    };

    run.live.unwatch_pod(&job.id);
    run.controller.api.tokens.revoke(&token);
    (ending, Some(Remains { engine, pod }))
}

impl Remains {
    /// Removes the pod, or tells where it is.
    pub(super) async fn clear(self, run: &Run) {
        let Self { engine, pod } = self;
        if run.request.keep {
            run.live.observer.progress(&run.live.id, &pod.job, &format!("kept its containers: {}", pod.key));
            return;
        }
        match tokio::time::timeout(REMOVAL, engine.remove(&pod.key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, pod = pod.key, "a pod could not be removed; the next build tries again");
            }
            Err(_) => tracing::warn!(pod = pod.key, "a pod could not be removed in time; the next build tries again"),
        }
        if let Some(dir) = pod.sidecar_config.parent() {
            // Goes with the build's directory at the latest.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stop.wait_for(Option::is_some).await {
        Ok(stop) => stop.clone().unwrap_or(Stop::Cancelled),
        // The build's loop has gone: that is the end of the job too.
        Err(_) => Stop::Cancelled,
    }
}

/// Makes the token, the sidecar's configuration and the pod's description. Returns the token's id too.
async fn prepare(
    run: &Run,
    job: &JobSpec,
    spec: &ContainerSpec,
    attempt: u32,
) -> Result<(Pod, String), ControllerError> {
    let program = run.controller.sidecar_program()?.to_owned();
    let address = run.api_address().await?;
    let life = Duration::from_millis(job.timeout_ms).saturating_add(Duration::from_secs(600));
    let role = Role::Sidecar { job: job.id.clone() };
    let (token, jti) = run.controller.api.tokens.issue(&run.live.id, role, scopes(&job.id, spec), life)?;
    let config = SidecarConfig {
        version: API_VERSION.to_owned(),
        api: address.url.clone(),
        build: run.live.id.clone(),
        job: job.id.clone(),
        token,
    };
    let dir = run.dir.join("jobs").join(format!("{}-{attempt}", job.id));
    let path = dir.join("config.json");
    write_config(&dir, &path, &config).map_err(|source| ControllerError::Home { path: path.clone(), source })?;
    let pod = Pod {
        key: key(&run.live.id, &job.id, attempt),
        owner: run.controller.home.owner.clone(),
        build: run.live.id.clone(),
        job: job.id.clone(),
        image: spec.image.clone(),
        env: env(run, job, spec, attempt),
        user: spec.user.clone(),
        architecture: spec.architecture.clone(),
        memory_bytes: spec.memory_bytes,
        cpu_millis: spec.cpu_millis,
        network: spec.network,
        network_allow: spec.network_allow.clone(),
        services: services(run, spec)?,
        guard_program: program.clone(),
        sidecar_program: program,
        sidecar_config: path,
        api_dir: address.dir.clone(),
    };
    Ok((pod, jti))
}

/// What the sidecar of this job may do: its own job, its own artifacts and caches, and nothing else.
fn scopes(job: &str, spec: &ContainerSpec) -> Vec<Scope> {
    let mut scopes = vec![Scope::JobReport(job.to_owned()), Scope::LogWrite, Scope::WorkspaceRead];
    scopes.extend(spec.restore_artifacts.iter().map(|artifact| Scope::ArtifactRead(artifact.id.clone())));
    scopes.extend(spec.save_artifacts.iter().map(|artifact| Scope::ArtifactWrite(artifact.id.clone())));
    scopes.extend(spec.caches.iter().map(|cache| Scope::Cache(cache.id.clone())));
    scopes
}

fn write_config(dir: &Path, path: &PathBuf, config: &SidecarConfig) -> std::io::Result<()> {
    make_dir(dir)?;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    serde_json::to_writer(file, config).map_err(std::io::Error::other)
}

/// The pod's key: readable, and unique by the digest of all that names it.
fn key(build: &str, job: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{build}\0{job}\0{attempt}"));
    let digest = hex(&digest[..6]);
    let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = job.chars().take(32).map(clean).collect();
    format!("mci-{}-{digest}", name.trim_matches('-'))
}

/// A pod while it runs.
struct Watch<'a> {
    run: &'a Arc<Run>,
    engine: &'a dyn Engine,
    pod: &'a Pod,
    spec: &'a ContainerSpec,
    /// Whether the engine has started all of it.
    up: AtomicBool,
}

impl Watch<'_> {
    /// Starts the pod and waits for its end. What the sidecar reports counts before what the engine sees: the engine knows
    /// that a container ended, the sidecar knows why.
    async fn drive(&self, running: oneshot::Receiver<()>, mut report: oneshot::Receiver<SidecarReport>) -> Ending {
        let (live, job) = (&self.run.live, &self.pod.job);
        let progress = |message: String| live.observer.progress(&live.id, job, &message);
        if let Err(error) = self.engine.start(self.pod, &progress).await {
            return self.start_failed(error);
        }
        self.up.store(true, Ordering::Relaxed);
        let key = &self.pod.key;
        let mut parts = FuturesUnordered::new();
        // A service that has no readiness may end when it likes.
        let awaited = self.pod.services.iter().filter(|service| !service.readiness.is_empty());
        let services = awaited.map(|service| Part::Service(service.name.clone()));
        for part in [Part::Job, Part::Sidecar].into_iter().chain(services) {
            parts.push(async move { (self.engine.wait(key, &part).await, part) });
        }
        let mut running = std::pin::pin!(running);
        let mut is_running = false;
        loop {
            tokio::select! {
                biased;
                reported = &mut report => return match reported {
                    Ok(reported) => self.reported(reported).await,
                    Err(_) => sidecar_failed("running", "the build API stopped listening to it"),
                },
                _ = &mut running, if !is_running => is_running = true,
                Some((exit, part)) = parts.next() => match part {
                    // A service may end when the job has begun: the job will notice, if it matters.
                    Part::Service(_) if is_running => {}
                    Part::Service(service) => return self.service_ended(service, exit).await,
                    part => return self.part_ended(&part, exit, is_running, report).await,
                },
            }
        }
    }

    /// Job or sidecar ended. The sidecar's report may be on its way.
    async fn part_ended(
        &self,
        part: &Part,
        exit: Result<PartExit, EngineError>,
        is_running: bool,
        report: oneshot::Receiver<SidecarReport>,
    ) -> Ending {
        if let Ok(Ok(reported)) = tokio::time::timeout(LAST_WORDS, report).await {
            return self.reported(reported).await;
        }
        match (part, exit) {
            (Part::Sidecar, Ok(exit)) => {
                let lines = self.last_lines(part).await;
                let reason = match exit.code {
                    137 if exit.out_of_memory => "it ran out of memory".to_owned(),
                    137 => "it was killed from outside".to_owned(),
                    code => format!("it exited with code {code}"),
                };
                sidecar_failed("running", &format!("{reason}{lines}"))
            }
            (Part::Sidecar, Err(EngineError::NoSuchPart(_))) => {
                sidecar_failed("running", "its container was removed from outside")
            }
            // The guard did not become the launcher: its last words say why. (Of the launcher's own failures the sidecar says
            // it.)
            (Part::Job, Ok(PartExit { code: 125..=127, .. })) if !is_running => {
                let lines = self.engine.last_lines(&self.pod.key, part, 20).await.unwrap_or_default();
                Ending::StartFailed { image: self.spec.image.clone(), reason: lines.trim().to_owned() }
            }
            (_, exit) => self.killed(exit),
        }
    }

    /// What became of the job's container, when it did not end by itself.
    fn killed(&self, exit: Result<PartExit, EngineError>) -> Ending {
        match exit {
            Ok(PartExit { out_of_memory: true, .. }) => Ending::OutOfMemory { limit_bytes: self.spec.memory_bytes },
            Ok(PartExit { code, .. }) => Ending::Killed { code },
            Err(EngineError::NoSuchPart(_)) => Ending::Killed { code: 137 },
            Err(error) => Ending::EngineFailed { reason: error.to_string() },
        }
    }

    async fn reported(&self, report: SidecarReport) -> Ending {
        match report {
            SidecarReport::Ended(Ending::ServiceNotReady { service, reason, .. }) => {
                let last_lines = self.last_lines(&Part::Service(service.clone())).await;
                Ending::ServiceNotReady { service, reason, last_lines }
            }
            SidecarReport::Ended(ending) => ending,
            SidecarReport::LauncherGone => {
                let exit = tokio::time::timeout(LAST_WORDS, self.engine.wait(&self.pod.key, &Part::Job)).await;
                match exit {
                    Ok(exit) => self.killed(exit),
                    Err(_) => Ending::Killed { code: 137 },
                }
            }
        }
    }

    async fn service_ended(&self, service: String, exit: Result<PartExit, EngineError>) -> Ending {
        let reason = match exit {
            Ok(exit) => format!("it ended with exit code {}", exit.code),
            Err(error) => error.to_string(),
        };
        let last_lines = self.last_lines(&Part::Service(service.clone())).await;
        Ending::ServiceNotReady { service, reason, last_lines }
    }

    fn start_failed(&self, error: EngineError) -> Ending {
        match error {
            EngineError::ImageNotFound { image, reason } => Ending::ImageNotFound { image, reason },
            EngineError::NoSuchArchitecture { image, architecture, reason } => {
                Ending::NoSuchArchitecture { image, architecture, reason }
            }
            EngineError::StartFailed { image, reason } => Ending::StartFailed { image, reason },
            EngineError::ServiceNotReady { service, reason, last_lines } => {
                Ending::ServiceNotReady { service, reason, last_lines: last_lines.trim_end().to_owned() }
            }
            EngineError::SidecarFailed(reason) => sidecar_failed("starting", &reason),
            error => Ending::EngineFailed { reason: error.to_string() },
        }
    }

    /// The last lines of a container's own output; empty when there are none.
    async fn last_lines(&self, part: &Part) -> String {
        let lines = self.engine.last_lines(&self.pod.key, part, 20).await.unwrap_or_default();
        let lines = lines.trim_end();
        match part {
            Part::Service(_) => lines.to_owned(),
            _ if lines.is_empty() => String::new(),
            _ => format!("; its last words: {lines}"),
        }
    }

    /// Stops the job, and gives it the time to end in an orderly way: then its log is whole. A pod that is still being
    /// started has nothing to end; dropping `drive` stops that, and removal clears what there is.
    async fn stop(&self, drive: impl Future<Output = Ending>) {
        if !self.up.load(Ordering::Relaxed) {
            return;
        }
        let grace = if self.run.hurry.is_cancelled() { Duration::ZERO } else { GRACE };
        let ordered = async {
            let stop = self.engine.stop(&self.pod.key, grace);
            let _ = tokio::join!(stop, tokio::time::timeout(grace + LAST_WORDS, drive));
        };
        tokio::select! {
            () = ordered => {}
            () = self.run.hurry.cancelled() => {}
        }
    }
}

fn sidecar_failed(step: &str, reason: &str) -> Ending {
    Ending::SidecarFailed { step: step.to_owned(), reason: reason.to_owned() }
}
