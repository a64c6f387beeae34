//! Container jobs: a pod of the engine, and what its sidecar reports. Whatever dies, there is a typed end.

mod verdict;
mod watch;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use monkeyci_api::{API_VERSION, Role, Scope, SidecarConfig};
use monkeyci_build::{ContainerSpec, Ending, JobSpec};
use monkeyci_engines::{Engine, EngineError, Pod};
use sha2::{Digest, Sha256};
use tokio::sync::watch::Receiver;

use super::Stop;
use super::plan::{env, plan, services};
use crate::blobs::hex;
use crate::build::Run;
use crate::error::ControllerError;
use crate::home::make_dir;
use crate::lease::{self, AGAIN, LEASE};
use watch::{Patience, Watch};

/// How long a job may take to end after TERM.
const GRACE: Duration = Duration::from_secs(10);
/// How long the sidecar may take after the end of a job's command, to save and report what is left of it.
const SAVING: Duration = Duration::from_secs(5 * 60);
/// How long clearing away may take.
const REMOVAL: Duration = Duration::from_secs(60);
/// How long an engine may be away when somebody wants the job out of the way, and has waited for it before.
const PARTING: Duration = Duration::from_secs(10);

/// What is left of a job that has ended.
pub(super) struct Remains {
    engine: Arc<dyn Engine>,
    pod: Pod,
    /// How long the engine may be away.
    lease: Duration,
}

/// Runs the container job to its end. What it leaves is to be cleared away: later, so that the jobs that wait for this one
/// do not wait for that too.
pub(super) async fn run(
    run: &Arc<Run>,
    job: &JobSpec,
    spec: &ContainerSpec,
    attempt: u32,
    mut stop: Receiver<Option<Stop>>,
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
    run.say_not_enforced(engine.as_ref()).await;
    let prepared = prepare(run, job, spec, attempt).await;
    let (pod, token) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return (Ending::EngineFailed { reason: error.to_string() }, None),
    };
    let (running, report) = run.live.watch_pod(&job.id, plan);
    let watch = Watch::new(&run.live, &run.hurry, engine.as_ref(), &pod, Patience::default());

    let (ending, lease) = {
        let mut drive = std::pin::pin!(watch.drive(running, report));
        tokio::select! {
            ending = &mut drive => (ending, LEASE),
            reason = stopped(&mut stop) => {
                run.live.pod(&job.id, |pod| pod.stopping.cancel());
                let lease = if watch.stop(drive).await { LEASE } else { PARTING };
                (reason.ending(job), lease)
            }
        }
    };

    run.live.unwatch_pod(&job.id);
    run.controller.api.tokens.revoke(&token);
    (ending, Some(Remains { engine, pod, lease }))
}

impl Remains {
    /// Removes the pod, or tells where it is.
    pub(super) async fn clear(self, run: &Run) {
        let Self { engine, pod, lease } = self;
        if run.request.keep {
            run.live.observer.progress(&run.live.id, &pod.job, &format!("kept its containers: {}", pod.key));
            return;
        }
        let removal = async {
            loop {
                match engine.remove(&pod.key).await {
                    // It may be back in a moment.
                    Err(EngineError::Gone(_)) => tokio::time::sleep(AGAIN).await,
                    removed => return removed.err().map(|error| error.to_string()),
                }
            }
        };
        let in_a_hurry = async {
            run.hurry.cancelled().await;
            lease::over(engine.as_ref(), PARTING).await
        };
        let failed = tokio::select! {
            failed = removal => failed,
            reason = lease::over(engine.as_ref(), lease) => Some(reason),
            reason = in_a_hurry => Some(reason),
            () = tokio::time::sleep(REMOVAL) => Some(format!("it took longer than {} s", REMOVAL.as_secs())),
        };
        if let Some(reason) = failed {
            let left = format!("its containers ({}) could not be removed and are left behind: {reason}", pod.key);
            run.say(Some(&pod.job), &format!("{left}; `monkeyci-host gc` removes them, and so does the next build"))
                .await;
        }
        if let Some(dir) = pod.sidecar_config.parent() {
            // Goes with the build's directory at the latest.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

async fn stopped(stop: &mut Receiver<Option<Stop>>) -> Stop {
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
    // The job's own limit begins before this; a minute more is for what is slow.
    let life = Duration::from_millis(job.timeout_ms).saturating_add(GRACE + SAVING + Duration::from_secs(60));
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
