//! Container jobs: a pod of the engine, and what its sidecar reports. Whatever dies, there is a typed end.

mod budget;
mod cleanup;
mod kept;
mod plan;
mod services;
mod verdict;
mod watch;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use monkeyci_api::{API_VERSION, Role, Scope, SidecarConfig, grants};
use monkeyci_build::{ContainerSpec, Ending, EventBody, JobSpec, NetworkMode, Results, ServiceSpec, StopReason};
use monkeyci_engines::Pod;
use monkeyci_storage::hex;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;

use super::JobContext;
use super::attempts::BegunBy;
use super::lease::LEASE;
use crate::error::ControllerError;
use crate::home::{BuildDir, JOBS, make_dir};
use crate::tokens::Adopted;
pub(crate) use budget::limits;
use cleanup::PodCleanup;
pub(crate) use kept::{kept_in, kept_jobs, kept_pod};
pub(crate) use plan::{LateValues, late_values, secret_env};
use plan::{env, plan};
pub(super) use services::ServiceLogs;
use watch::{Patience, Watch};

/// What a sidecar is told.
const CONFIG: &str = "config.json";

/// How long a job may take to end after TERM.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long the sidecar may take after the end of a job's command, to save and report what is left of it.
pub(super) const SAVING: Duration = Duration::from_secs(5 * 60);
/// How long an engine may be away when somebody wants the job out of the way, and has waited for it before.
pub(super) const PARTING: Duration = Duration::from_secs(10);

/// How long containers wait for another host when theirs has died, where nobody says otherwise: time enough to notice it, and to start a
/// machine anew.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Runs the container job to its end. What it leaves is to be cleared away: later, so that the jobs that wait for this one
/// do not wait for that too.
pub(super) async fn run(
    context: &JobContext,
    job: &JobSpec,
    spec: &ContainerSpec,
    (attempt, begun): (u32, BegunBy),
    mut stop: Receiver<Option<StopReason>>,
) -> (Ending, Option<PodCleanup>) {
    let is_taken_over = begun == BegunBy::Another;
    let planned = plan(context, &job.id, spec).and_then(|plan| Ok((plan, secret_env(&context.live.inputs, spec)?)));
    let planned = match planned {
        // Of one that another process has begun there is something in the engine.
        Err(ending) if !is_taken_over => return (ending, None),
        planned => planned,
    };
    let engine = tokio::select! {
        biased;
        engine = context.services.engines.get() => match engine {
            Ok(engine) => engine,
            Err(error) => return (Ending::EngineFailed { reason: error.to_string() }, None),
        },
        reason = stopped(&mut stop) => {
            return (reason.ending_while(job, Some("looking for the container engine".to_owned())), None);
        }
    };
    let cleanup = PodCleanup {
        engine: engine.clone(),
        key: key(&context.live.id, &job.id, attempt),
        job: job.id.clone(),
        services: spec.services.clone(),
        dir: directory(&context.dir, &job.id, attempt),
        attempt,
        logs: None,
        lease: LEASE,
    };
    let (plan, service_env) = match planned {
        Ok(planned) => planned,
        Err(ending) => return (ending, Some(cleanup)),
    };
    context.say_not_enforced(engine.as_ref()).await;
    // Where it was packed before, this is done at once.
    let packed = match spec.with_git {
        true => context.live.pack_workspace_with_git(&context.services.blobs).await,
        false => context.live.pack_workspace(&context.services.blobs).await,
    };
    if let Err(error) = packed {
        let reason = format!("the workspace could not be packed: {error}");
        return (Ending::EngineFailed { reason }, is_taken_over.then_some(cleanup));
    }
    // Before its token counts: whoever comes with that finds the plan.
    let (running, report) = context.live.watch_pod(&job.id, plan);
    let prepared = prepare(context, job, spec, (attempt, begun), service_env).await;
    let (pod, _adopted) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            context.live.unwatch_pod(&job.id);
            return (Ending::EngineFailed { reason: error.to_string() }, is_taken_over.then_some(cleanup));
        }
    };
    let (say, mut said) = mpsc::unbounded_channel::<String>();
    let watch = Watch::new(&context.live, &context.force, engine.as_ref(), &pod, Patience::default()).telling(say);
    let logs = ServiceLogs::follow(context, &engine, (&pod.key, &job.id, attempt), &spec.services, watch.started());
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
                biased;
                driven = driven => driven.unwrap_or(Ending::EngineFailed { reason }),
                ending = async { saying.await; std::future::pending().await } => ending,
            };
            if ending.status().is_failed()
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
            biased;
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
    (ending, Some(PodCleanup { logs: logs.filter(|_| watch_started), lease, ..cleanup }))
}

async fn stopped(stop: &mut Receiver<Option<StopReason>>) -> StopReason {
    match stop.wait_for(Option::is_some).await {
        Ok(stop) => stop.clone().unwrap_or(StopReason::Cancelled),
        // The build's loop has gone: that is the end of the job too.
        Err(_) => StopReason::Cancelled,
    }
}

/// Makes the token, the sidecar's configuration and the pod's description. Where another process has made them, they stay, and its token
/// counts as long as what comes with the pod is held.
async fn prepare(
    context: &JobContext,
    job: &JobSpec,
    spec: &ContainerSpec,
    (attempt, begun): (u32, BegunBy),
    secret_env: BTreeMap<String, BTreeMap<String, String>>,
) -> Result<(Pod, Option<Adopted>), ControllerError> {
    let program = context.services.sidecar_program()?.to_owned();
    let address = context.api_address().await?;
    // The job's own limit begins before this; a minute more is for what is slow.
    let life = Duration::from_millis(job.timeout_ms).saturating_add(GRACE + SAVING + Duration::from_secs(60));
    let role = Role::Sidecar { job: job.id.clone() };
    let dir = directory(&context.dir, &job.id, attempt);
    let path = dir.join(CONFIG);
    let before = if begun == BegunBy::Another { begun_with(&path) } else { None };
    let adopted = match before {
        Some(config) => {
            let adopted = context.services.tokens.adopt(&config.token, &context.live.id, (&role, attempt));
            let strange = || ControllerError::Token(format!("the one in {} is not the job's own", path.display()));
            Some(adopted.ok_or_else(strange)?)
        }
        None => {
            let token =
                context.services.tokens.issue(&context.live.id, (role, attempt), scopes(&job.id, spec), life)?;
            let config = SidecarConfig {
                version: API_VERSION.to_owned(),
                api: address.url.clone(),
                ca: address.ca.clone(),
                build: context.live.id.clone(),
                job: job.id.clone(),
                token,
                patience_ms: u64::try_from(context.services.patience.as_millis()).unwrap_or(u64::MAX),
            };
            write_private(&path, &config)?;
            None
        }
    };
    let service_env = write_service_env(&dir, &secret_env)?;
    let no_network = context.request.confined.no_network;
    let pod = Pod {
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
        network: if no_network { NetworkMode::None } else { spec.network },
        network_allow: if no_network { Vec::new() } else { spec.network_allow.clone() },
        services: spec.services.clone(),
        service_env,
        guard_program: program.clone(),
        sidecar_program: program,
        sidecar_config: path,
        api_dir: address.dir.clone(),
    };
    Ok((pod, adopted))
}

/// Whether the sidecar of an attempt that another process has begun finds this one: what it was told is there, and it looks for the build
/// API where that will be.
pub(in crate::jobs) fn finds_us(context: &JobContext, dir: &BuildDir, job: &str, attempt: u32) -> bool {
    begun_with(&directory(&dir.path, job, attempt).join(CONFIG)).is_some_and(|config| {
        let is_there = dir.has_api || !config.api.starts_with("unix:");
        is_there && config.version == API_VERSION && context.services.api.is_at(&config.api, config.ca.as_deref())
    })
}

/// Whether one finds this process that was not begun, or of which there may be parts: nothing was handed out to it yet, or what leads here.
pub(in crate::jobs) fn may_find_us(context: &JobContext, dir: &BuildDir, job: &str, attempt: u32) -> bool {
    let config = directory(&dir.path, job, attempt).join(CONFIG);
    begun_with(&config).is_none() || finds_us(context, dir, job, attempt)
}

/// What the containers of an attempt have of the build's directory.
pub(crate) fn directory(build: &Path, job: &str, attempt: u32) -> PathBuf {
    build.join(JOBS).join(format!("{job}-{attempt}"))
}

/// The configuration of a sidecar that another process has made. One that was not written whole was never handed out.
fn begun_with(path: &Path) -> Option<SidecarConfig> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// What the sidecar of this job may do: its own job, its own artifacts and caches, and nothing else.
fn scopes(job: &str, spec: &ContainerSpec) -> Vec<Scope> {
    let restores = spec.restore_artifacts.iter().map(|artifact| &artifact.id);
    let saves = spec.save_artifacts.iter().map(|artifact| &artifact.id);
    grants::sidecar(job, restores, saves, spec.caches.iter().map(|cache| &cache.id))
}

/// Writes the variables of services that are secrets, each service's to a file in what the job has of the build's directory.
pub(crate) fn write_service_env(
    dir: &Path,
    secret_env: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<BTreeMap<String, PathBuf>, ControllerError> {
    let write = |(service, env): (&String, &BTreeMap<String, String>)| {
        let path = dir.join(format!("service-{service}.json"));
        write_private(&path, env)?;
        Ok((service.clone(), path))
    };
    secret_env.iter().map(write).collect()
}

/// Takes the secrets of services out of these files again, which stay: a container that is started once more has them mounted.
pub(crate) fn forget_service_env(
    dir: &Path,
    services: &[ServiceSpec],
) -> Result<BTreeMap<String, PathBuf>, ControllerError> {
    let had_some = services.iter().filter(|service| !service.secret_env.is_empty());
    write_service_env(dir, &had_some.map(|service| (service.name.clone(), BTreeMap::new())).collect())
}

/// Writes a file that nobody else may read. A container that has the one before mounted keeps that.
fn write_private(path: &Path, content: &impl Serialize) -> Result<(), ControllerError> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        make_dir(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut file, content).map_err(std::io::Error::other)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| ControllerError::Home { path: path.to_owned(), source })
}

/// The pod's key: readable, and unique by the digest of all that names it.
pub(crate) fn key(build: &str, job: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{build}\0{job}\0{attempt}"));
    let digest = hex(&digest[..6]);
    let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = job.chars().take(32).map(clean).collect();
    format!("mci-{}-{digest}", name.trim_matches('-'))
}
