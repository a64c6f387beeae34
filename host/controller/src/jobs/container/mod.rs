//! Container jobs: a pod of the engine, and what its sidecar reports. Whatever dies, there is a typed end.

mod budget;
mod cleanup;
mod plan;
mod services;
mod verdict;
mod watch;

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use monkeyci_api::{API_VERSION, Role, Scope, SidecarConfig, grants};
use monkeyci_build::{ContainerSpec, Ending, EventBody, JobSpec, Results, Status, StopReason};
use monkeyci_engines::Pod;
use monkeyci_storage::hex;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;

use super::JobContext;
use super::lease::LEASE;
use crate::error::ControllerError;
use crate::home::make_dir;
pub(crate) use budget::limits;
use cleanup::PodCleanup;
use plan::{env, plan, secret_env};
use services::ServiceLogs;
use watch::{Patience, Watch};

/// How long a job may take to end after TERM.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long the sidecar may take after the end of a job's command, to save and report what is left of it.
pub(super) const SAVING: Duration = Duration::from_secs(5 * 60);
/// How long an engine may be away when somebody wants the job out of the way, and has waited for it before.
pub(super) const PARTING: Duration = Duration::from_secs(10);

/// Runs the container job to its end. What it leaves is to be cleared away: later, so that the jobs that wait for this one
/// do not wait for that too.
pub(super) async fn run(
    context: &JobContext,
    job: &JobSpec,
    spec: &ContainerSpec,
    attempt: u32,
    mut stop: Receiver<Option<StopReason>>,
) -> (Ending, Option<PodCleanup>) {
    let (plan, service_env) = match plan(context, spec).and_then(|plan| Ok((plan, secret_env(context, spec)?))) {
        Ok(planned) => planned,
        Err(ending) => return (ending, None),
    };
    let engine = tokio::select! {
        engine = context.services.engines.get() => match engine {
            Ok(engine) => engine,
            Err(error) => return (Ending::EngineFailed { reason: error.to_string() }, None),
        },
        reason = stopped(&mut stop) => {
            return (reason.ending_while(job, Some("looking for the container engine".to_owned())), None);
        }
    };
    context.say_not_enforced(engine.as_ref()).await;
    // Where it was packed before, this is done at once.
    let packed = match spec.with_git {
        true => context.live.pack_workspace_with_git(&context.services.blobs).await,
        false => context.live.pack_workspace(&context.services.blobs).await,
    };
    if let Err(error) = packed {
        return (Ending::EngineFailed { reason: format!("the workspace could not be packed: {error}") }, None);
    }
    let prepared = prepare(context, job, spec, attempt, service_env).await;
    let pod = match prepared {
        Ok(pod) => pod,
        Err(error) => return (Ending::EngineFailed { reason: error.to_string() }, None),
    };
    let (running, report) = context.live.watch_pod(&job.id, plan);
    let (say, mut said) = mpsc::unbounded_channel::<String>();
    let watch = Watch::new(&context.live, &context.force, engine.as_ref(), &pod, Patience::default()).telling(say);
    let logs = ServiceLogs::follow(context, &engine, &pod, watch.started());
    let saying = async {
        while let Some(line) = said.recv().await {
            context.say(Some(&job.id), &line).await;
        }
    };

    let (ending, lease) = {
        // Whatever happens there, the pod is to be removed.
        let driven = async {
            let reason = "a part of the host stopped by a fault of its own".to_owned();
            let driven = AssertUnwindSafe(watch.drive(running, report)).catch_unwind();
            let ending = tokio::select! {
                driven = driven => driven.unwrap_or(Ending::EngineFailed { reason }),
                ending = async { saying.await; std::future::pending().await } => ending,
            };
            if matches!(ending.status(), Status::Failure | Status::Error)
                && let Some(dead) = watch.dead_services().await
            {
                let mut results = Results::default();
                results.warn(&dead);
                let results = Box::new(results);
                context.record(EventBody::JobResults { job: job.id.clone(), attempt, results }).await;
            }
            ending
        };
        let mut drive = std::pin::pin!(driven);
        tokio::select! {
            ending = &mut drive => (ending, LEASE),
            reason = stopped(&mut stop) => {
                context.live.pod(&job.id, |pod| pod.stopping.cancel());
                let lease = if watch.stop(drive).await { LEASE } else { PARTING };
                (reason.ending_while(job, watch.phase()), lease)
            }
        }
    };

    let watch_started = watch.started().is_cancelled();
    while let Ok(line) = said.try_recv() {
        context.say(Some(&job.id), &line).await;
    }
    context.live.unwatch_pod(&job.id);
    let logs = logs.filter(|_| watch_started);
    (ending, Some(PodCleanup { engine, pod, logs, lease }))
}

async fn stopped(stop: &mut Receiver<Option<StopReason>>) -> StopReason {
    match stop.wait_for(Option::is_some).await {
        Ok(stop) => stop.clone().unwrap_or(StopReason::Cancelled),
        // The build's loop has gone: that is the end of the job too.
        Err(_) => StopReason::Cancelled,
    }
}

/// Makes the token, the sidecar's configuration and the pod's description.
async fn prepare(
    context: &JobContext,
    job: &JobSpec,
    spec: &ContainerSpec,
    attempt: u32,
    secret_env: BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Pod, ControllerError> {
    let program = context.services.sidecar_program()?.to_owned();
    let address = context.api_address().await?;
    // The job's own limit begins before this; a minute more is for what is slow.
    let life = Duration::from_millis(job.timeout_ms).saturating_add(GRACE + SAVING + Duration::from_secs(60));
    let role = Role::Sidecar { job: job.id.clone() };
    let token = context.services.tokens.issue(&context.live.id, (role, attempt), scopes(&job.id, spec), life)?;
    let config = SidecarConfig {
        version: API_VERSION.to_owned(),
        api: address.url.clone(),
        build: context.live.id.clone(),
        job: job.id.clone(),
        token,
    };
    let dir = context.dir.join("jobs").join(format!("{}-{attempt}", job.id));
    let path = dir.join("config.json");
    write_private(&path, &config)?;
    let mut service_env = BTreeMap::new();
    for (service, env) in secret_env {
        let path = dir.join(format!("service-{service}.json"));
        write_private(&path, &env)?;
        service_env.insert(service, path);
    }
    Ok(Pod {
        key: key(&context.live.id, &job.id, attempt),
        owner: context.services.engines.owner().to_owned(),
        build: context.live.id.clone(),
        job: job.id.clone(),
        image: spec.image.clone(),
        env: env(context, job, spec, attempt),
        user: spec.user.clone(),
        architecture: spec.architecture.clone(),
        memory_bytes: spec.memory_bytes,
        cpu_millis: spec.cpu_millis,
        shm_bytes: spec.shm_bytes,
        pull: spec.pull,
        entrypoint_of_image: spec.entrypoint_of_image,
        network: spec.network,
        network_allow: spec.network_allow.clone(),
        services: spec.services.clone(),
        service_env,
        guard_program: program.clone(),
        sidecar_program: program,
        sidecar_config: path,
        api_dir: address.dir.clone(),
    })
}

/// What the sidecar of this job may do: its own job, its own artifacts and caches, and nothing else.
fn scopes(job: &str, spec: &ContainerSpec) -> Vec<Scope> {
    let restores = spec.restore_artifacts.iter().map(|artifact| &artifact.id);
    let saves = spec.save_artifacts.iter().map(|artifact| &artifact.id);
    grants::sidecar(job, restores, saves, spec.caches.iter().map(|cache| &cache.id))
}

/// Writes a file that nobody else may read.
fn write_private(path: &Path, content: &impl Serialize) -> Result<(), ControllerError> {
    let write = || {
        path.parent().map_or(Ok(()), make_dir)?;
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        serde_json::to_writer(file, content).map_err(std::io::Error::other)
    };
    write().map_err(|source| ControllerError::Home { path: path.to_owned(), source })
}

/// The pod's key: readable, and unique by the digest of all that names it.
fn key(build: &str, job: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{build}\0{job}\0{attempt}"));
    let digest = hex(&digest[..6]);
    let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = job.chars().take(32).map(clean).collect();
    format!("mci-{}-{digest}", name.trim_matches('-'))
}
