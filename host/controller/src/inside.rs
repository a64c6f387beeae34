//! Inside a job: a program, a shell say, in the container of a job that runs, or of a failed one that was kept.

mod error;
mod inputs;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use monkeyci_api::{Handed, Hidden, paths};
use monkeyci_build::{BuildState, ContainerSpec, Ending, Event, JobState, Readiness, Requested, ServiceSpec, Status};
use monkeyci_engines::{Engine, Session, TerminalSize};

pub use error::ShellError;

use crate::builds::Builds;
use crate::home::Held;
use crate::inputs::Inputs;
use crate::jobs::{Engines, directory, forget_service_env, kept_in, kept_pod, key, write_service_env};
use crate::running::Needed;
use inputs::ServiceEnv;

/// How long services have to end when the last one leaves.
const GRACE: Duration = Duration::from_secs(2);

/// What a program exits with that was killed: with its container, say.
const KILLED: i64 = 137;
/// How often it is looked whether a job has begun, or has ended where a program in its container was killed, and the pause between.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// What to run in a job's container: [`ShellRequest::new`], and then whatever else is to be said of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShellRequest {
    /// The job.
    pub job: String,
    /// The program and its arguments; a shell of the image when empty.
    pub command: Vec<String>,
    /// Its terminal; none when `None`.
    pub terminal: Option<TerminalSize>,
    /// Variables that count before the job's.
    pub env: BTreeMap<String, String>,
    /// Whether the secrets of the job and its services are there: those that are given then, which have to be those that the build began with.
    pub with_secrets: bool,
    /// Secrets, and parameters that a secret stands in: no journal has them.
    pub inputs: Inputs,
    /// Whether what was kept stays so in the end.
    pub keep: bool,
}

impl ShellRequest {
    /// A shell of the image in the container of this job: without a terminal, and without the job's secrets.
    pub fn new(job: impl Into<String>) -> Self {
        Self { job: job.into(), ..Self::default() }
    }

    /// With this program and its arguments.
    pub fn command(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }
}

/// A program that runs in a job's container.
pub struct Shell {
    /// What goes in and comes out.
    pub session: Session,
    engine: Arc<dyn Engine>,
    builds: Builds,
    pod: PodOfJob,
    /// What was kept, while it is looked into; `None` of a job that runs.
    kept: Option<Held>,
    keep: bool,
}

/// What became of a program in a job's container, and of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// The job runs on.
    Running,
    /// The job has ended meanwhile, and what ran in its container with it.
    Ended,
    /// The containers are kept.
    Kept,
    /// They are removed.
    Removed,
}

/// The pod of a job's last attempt.
struct PodOfJob {
    build: String,
    job: String,
    attempt: u32,
    key: String,
    services: Vec<ServiceSpec>,
}

/// Runs a program in the container of a job of `build`; see [`Build::shell`](crate::Build::shell).
pub(crate) async fn open(
    builds: Builds,
    engines: &Engines,
    build: &str,
    request: ShellRequest,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<Shell, ShellError> {
    let job = &request.job;
    let (events, state) = builds.begun(build, job).await?;
    let (spec, known) = job_of(&state, build, job)?;
    let pod = PodOfJob {
        build: build.to_owned(),
        job: job.clone(),
        attempt: known.attempt,
        key: key(build, job, known.attempt),
        services: spec.services.clone(),
    };
    let runs = known.status == Status::Running && builds.is_live(build)?;
    let kept = if runs { None } else { Some(builds.kept(&pod, known, &events)?) };
    let (mut handed, service_env) = builds.handed((build, &request), (&events, &state), spec, kept.is_some())?;
    let engine = engines.find().await?;
    let opened = async {
        if let Some(kept) = &kept {
            let addresses = wake(&*engine, (&pod, &kept.path), &service_env, progress).await?;
            handed.ready = ready(&pod.services, &addresses);
            handed.hosts = addresses;
        }
        Ok(engine.exec(&pod.key, handed, request.terminal).await?)
    };
    match opened.await {
        Ok(session) => Ok(Shell { session, engine, builds, pod, kept, keep: request.keep }),
        Err(error) => {
            // What has been woken for nobody rests again. Why nobody gets in says more than what comes of that.
            if kept.as_ref().is_some_and(Held::is_last) {
                let _ = engine.rest(&pod.key, &pod.services, GRACE).await;
            }
            Err(error)
        }
    }
}

/// Starts services and job again, which find these secrets and no others. They are on disk for as long as that takes.
async fn wake(
    engine: &dyn Engine,
    (pod, dir): (&PodOfJob, &Path),
    service_env: &ServiceEnv,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<BTreeMap<String, IpAddr>, ShellError> {
    let dir = directory(dir, &pod.job, pod.attempt);
    let mut files = forget_service_env(&dir, &pod.services)?;
    files.extend(write_service_env(&dir, service_env)?);
    let woken = engine.wake(&pod.key, &pod.services, &files, progress).await;
    forget_service_env(&dir, &pod.services)?;
    let without = files.into_keys().filter(|service| !service_env.contains_key(service)).collect::<Vec<_>>();
    woken.map_err(|source| match without.is_empty() {
        true => source.into(),
        false => ShellError::WithoutSecrets { job: pod.job.clone(), services: without, source: Box::new(source) },
    })
}

/// What has to be given for a program in the container of a job that is to have its secrets, and those of its services.
pub(crate) async fn needed(builds: &Builds, build: &str, job: &str) -> Result<Needed, ShellError> {
    let (events, state) = builds.begun(build, job).await?;
    let (spec, _) = job_of(&state, build, job)?;
    Ok(Requested::of(&events).map_or_else(Needed::default, |requested| inputs::needed(spec, requested)))
}

impl Builds {
    /// The build, as soon as the command of the job runs, if it is being prepared: a moment is waited for that. It may be about to be
    /// written down.
    async fn begun(&self, build: &str, job: &str) -> Result<(Vec<Event>, BuildState), ShellError> {
        let (mut seen, mut known) = (0, None);
        for _ in 0..LOOKS {
            let is_live = self.is_live(build)?;
            known = self.beyond(build, &mut seen).await?.or(known);
            let is_early = known.as_ref().is_some_and(|(_, state)| {
                job_of(state, build, job).is_ok_and(|(_, job)| job.status == Status::Running && !job.command_runs)
            });
            if let Some(known) = known.take_if(|_| !is_early || !is_live) {
                return Ok(known);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(ShellError::Early { job: job.to_owned() })
    }

    /// What was kept of a job that does not run.
    fn kept(&self, pod: &PodOfJob, known: &JobState, events: &[Event]) -> Result<Held, ShellError> {
        let gone = || ShellError::Gone { build: pod.build.clone(), job: pod.job.clone(), failed: has_failed(known) };
        let path = self.of_home().path_of(&pod.build);
        if !kept_pod(&path, &pod.job, pod.attempt) && self.of_home().kept_whole(&pod.build, events).is_none() {
            return Err(gone());
        }
        Held::hold(&path, &pod.key).map_err(|source| ShellError::Home { path, source })?.ok_or_else(gone)
    }

    /// What the program is handed over.
    fn handed(
        &self,
        (build, request): (&str, &ShellRequest),
        (events, state): (&[Event], &BuildState),
        spec: &ContainerSpec,
        kept: bool,
    ) -> Result<(Handed, ServiceEnv), ShellError> {
        let (late, service_env) = inputs::late(self.of_home(), (build, request), events, state, spec)?;
        let mut env = late.env;
        env.insert(paths::OUTPUTS_ENV.to_owned(), paths::OUTPUTS.to_owned());
        if !kept {
            // The job has them, and uses them.
            let path = |variable: &String| format!("{}/{variable}", paths::JOB_FILES);
            env.extend(late.files.keys().map(|variable| (variable.clone(), path(variable))));
        }
        env.extend(request.env.clone());
        let work_dir = Path::new(paths::WORKSPACE).join(&spec.work_dir);
        let handed = Handed {
            program: request.command.clone(),
            env: Hidden(env),
            files: Hidden(if kept { late.files } else { BTreeMap::new() }),
            only_these_files: kept,
            work_dir: work_dir.to_string_lossy().into_owned(),
            ..Handed::default()
        };
        Ok((handed, service_env))
    }
}

impl Shell {
    /// The code that the program exited with, and what becomes of the containers: those that were kept are removed with their files, unless
    /// they are to stay, somebody else is in them, or the build still runs. To be called when the session's output has ended.
    ///
    /// # Errors
    /// When the engine does not say the code, or something can't be removed.
    pub async fn end(self) -> Result<(i64, Left), ShellError> {
        let code = self.session.control.exit_code().await;
        let was_killed = !matches!(&code, Ok(code) if *code != KILLED);
        match self.close(was_killed).await? {
            Left::Ended => Ok((code.unwrap_or(KILLED), Left::Ended)),
            left => Ok((code?, left)),
        }
    }

    /// The same for whoever does not wait for the program's end: it has no code then, and ends with what was kept, or with its job.
    ///
    /// # Errors
    /// When something can't be removed.
    pub async fn leave(self) -> Result<Left, ShellError> {
        self.close(false).await
    }

    /// What becomes of the containers. A program that was killed may have been so with them.
    async fn close(self, was_killed: bool) -> Result<Left, ShellError> {
        let Self { session: _, engine, builds, pod, kept, keep } = self;
        let Some(held) = kept else {
            let has_ended = was_killed && pod.has_ended(&builds).await?;
            return Ok(if has_ended { Left::Ended } else { Left::Running });
        };
        let is_ours = kept_pod(&held.path, &pod.job, pod.attempt);
        if keep || !is_ours || !held.is_last() || builds.is_live(&pod.build)? {
            if held.is_last() {
                engine.rest(&pod.key, &pod.services, GRACE).await?;
            }
            return Ok(Left::Kept);
        }
        engine.remove(&pod.key).await?;
        let dir = directory(&held.path, &pod.job, pod.attempt);
        let home = |path: std::path::PathBuf| |source| ShellError::Home { path, source };
        std::fs::remove_dir_all(&dir).map_err(home(dir))?;
        // One that has lost its host before its end has more there, which it needs to go on.
        if kept_in(&held.path).is_empty() && builds.of_home().kept(&pod.build).is_some() {
            let path = held.path.clone();
            held.remove().map_err(home(path))?;
        }
        Ok(Left::Removed)
    }
}

impl PodOfJob {
    /// Whether the job has ended: it may be about to be written down.
    async fn has_ended(&self, builds: &Builds) -> Result<bool, ShellError> {
        let mut seen = 0;
        for _ in 0..LOOKS {
            if let Some((_, state)) = builds.beyond(&self.build, &mut seen).await?
                && state.job(&self.job).is_none_or(|job| job.attempt != self.attempt || job.status != Status::Running)
            {
                return Ok(true);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(false)
    }
}

/// A container job of a build, and what is known of it.
fn job_of<'a>(state: &'a BuildState, build: &str, job: &str) -> Result<(&'a ContainerSpec, &'a JobState), ShellError> {
    let Some((spec, known)) = state.jobs().find(|(spec, _)| spec.id == job) else {
        let jobs = state.jobs().filter(|(spec, _)| spec.container().is_some()).map(|(spec, _)| spec.id.clone());
        return Err(ShellError::NoJob { build: build.to_owned(), job: job.to_owned(), jobs: jobs.collect() });
    };
    let container = spec.container().ok_or_else(|| ShellError::NoContainer { job: job.to_owned() })?;
    if let Some(from) = known.ending.as_ref().and_then(Ending::reused_from) {
        return Err(ShellError::Reused { build: build.to_owned(), job: job.to_owned(), from: from.to_owned() });
    }
    if known.attempt == 0 || known.started_ms.is_none() {
        return Err(ShellError::NeverRan { build: build.to_owned(), job: job.to_owned() });
    }
    Ok((container, known))
}

fn has_failed(known: &JobState) -> bool {
    known.ending.as_ref().is_some_and(|ending| ending.status().is_failed())
}

/// The ports that services are to listen to, where they are now.
fn ready(services: &[ServiceSpec], addresses: &BTreeMap<String, IpAddr>) -> Vec<(SocketAddr, u64)> {
    let mut ready = Vec::new();
    for service in services {
        let Some(address) = addresses.get(&service.name) else { continue };
        ready.extend(service.readiness.iter().filter_map(|readiness| match readiness {
            Readiness::Port(port) => Some((SocketAddr::new(*address, *port), service.ready_timeout_ms)),
            Readiness::Command(_) => None,
        }));
    }
    ready
}
