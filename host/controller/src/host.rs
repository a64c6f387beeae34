//! The host: what all builds of a process share. With its own files, the only one that joins the rooms.

mod resume;
mod retention;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use retention::Retention;

use axum::Router;
use monkeyci_build::{BuildState, Checked};
use monkeyci_limits::{Area, Limit, Per};
use monkeyci_script::{Compiler, Limits, Runtime, RuntimeOptions};
use monkeyci_storage::journal::Owner;
use monkeyci_storage::{BlobStore, Blobs, BuildJournal, Journals, names};
use tokio::sync::mpsc;

use crate::build_api::{self, Api, router, socket_router};
use crate::clock::{MachineClock, SteadyTime, now_ms};
use crate::control::{self, Inside};
use crate::disk::{self, DiskLimits};
use crate::error::ControllerError;
use crate::home::{BuildDir, Home};
use crate::jobs::{self, CheckError, EngineChoice, Engines, JobContext, Services, Sweep, Swept};
use crate::logs::{self, LogLimits, Masking};
use crate::observer::Observer;
use crate::running::{self, Begin, BuildHandle, BuildReport, BuildRequest, Cancel, Digests, Driver, Outcome, Record};
use crate::serve::{self, ApiOverTcp, ApiSockets};
use crate::source::{self, SourceRequest};
use crate::tokens::Tokens;

/// How long the last words of stopped jobs may take to be stored.
const LOGS: Duration = Duration::from_secs(5);
/// How long the end of a build waits for those who follow its logs.
const LISTENING: Duration = Duration::from_secs(2);

/// How a [`Controller`] is made.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// The home directory: journal, blobs, compile cache. It is made if it is not there.
    pub home: PathBuf,
    /// Where artifacts, caches, logs and workspace archives are kept.
    pub blobs: BlobStore,
    /// How much of each log is kept.
    pub log_limits: LogLimits,
    /// What runs container jobs. It is looked for when the first container job starts.
    pub engine: EngineChoice,
    /// What builds may take of the disk.
    pub disk: DiskLimits,
    /// What scripts may use.
    pub limits: Limits,
    /// Where scripts are compiled: in this process, or in a limited one.
    pub compiler: Compiler,
    /// The static program of sidecar and launcher.
    pub sidecar_program: PathBuf,
    /// How long the containers of a job wait for another host when theirs has died: whoever goes on with the build in that time finds the
    /// job running. They wait for 10 s at least.
    pub patience: Duration,
    /// Serve sidecars over TCP; none serves them over a Unix socket.
    pub tcp: Option<ApiOverTcp>,
}

/// Runs builds. One per process is enough.
#[derive(Debug)]
pub struct Controller {
    home: Home,
    journals: Journals,
    api: Arc<Api>,
    services: Arc<Services>,
    clock: Arc<MachineClock>,
    disk: DiskLimits,
}

impl Controller {
    /// Opens the home directory and sets the script runtime up. No engine is looked for yet.
    ///
    /// # Errors
    /// When the home directory, the journal or the blob store can't be used, or the build API would be served where others can listen.
    pub async fn open(options: ControllerOptions) -> Result<Self, ControllerError> {
        options.tcp.as_ref().map_or(Ok(()), ApiOverTcp::check)?;
        let home = Home::open(&options.home)?;
        let runtime_options = RuntimeOptions { cache_dir: Some(home.compiled()), limits: options.limits };
        let compiler = options.compiler;
        // The engine takes a moment, and so does the database: both at once.
        let runtime = tokio::task::spawn_blocking(move || {
            Runtime::new(runtime_options).map(|runtime| runtime.with_compiler(compiler))
        });
        let path = home.journal();
        let owner = Owner(rand::random());
        let (journals, blobs) =
            tokio::try_join!(async { Ok::<_, ControllerError>(Journals::sqlite(&path, owner).await?) }, async {
                Ok(Blobs::open(&options.blobs, &home.blobs()).await?)
            },)?;
        let runtime = runtime.await.map_err(|error| ControllerError::Panic(error.to_string()))??;
        let clock = MachineClock::new();
        let tokens = Arc::new(Tokens::new(clock.clone()));
        let api = Api::new(tokens.clone(), blobs.clone(), options.log_limits);
        let services = Services {
            runtime,
            tokens,
            blobs: blobs.clone(),
            log_limits: options.log_limits,
            engines: Engines::new(options.engine, home.clone(), blobs),
            api: ApiSockets::new(router(api.clone()), socket_router(api.clone(), serve::SILENCE), options.tcp),
            sidecar_program: options.sidecar_program,
            patience: options.patience,
        };
        Ok(Self { home, journals, api, services: Arc::new(services), clock, disk: options.disk })
    }

    /// The journals of this home.
    pub fn journals(&self) -> &Journals {
        &self.journals
    }

    /// The script runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.services.runtime
    }

    /// The build API's router, for a server of the embedder's. It looks at tokens before it reads bodies; how many connections there are,
    /// how long heads may take, and TLS, are that server's business.
    pub fn build_api(&self) -> Router {
        self.services.api.router()
    }

    /// Removes what no live build of this home owns: containers, networks, volumes, directories. What a build needs to go on whose host
    /// has died stays as long as its containers wait for another one. Nothing of other homes, and nothing foreign, is touched.
    ///
    /// # Errors
    /// When there is no engine, or something could not be removed.
    pub async fn collect_garbage(&self, sweep: Sweep) -> Result<Swept, ControllerError> {
        self.services.engines.collect_garbage(sweep).await
    }

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
        let masking = masking(&request)?;
        for name in masking.unmaskable() {
            tracing::warn!("the secret {name:?} is too short to be masked in logs");
        }
        let id = build_id(&request.source);
        let key = if request.inputs.secrets.is_empty() { String::new() } else { self.home.digest_key()? };
        let requested = request.requested(&masking, &Digests { key: &key, build: &id });
        let begin = Begin::New(Box::new(requested));
        let dir = self.home.build_dir(&id)?;
        let (begun, inbox) = self.begin(&id, request, masking, observer, dir, &cancel);
        let time = SteadyTime::begin(self.clock.clone());
        self.drive(begun, inbox, self.journals.begin(&id), begin, time, cancel).await
    }

    /// What a build needs in this process.
    fn begin(
        &self,
        id: &str,
        request: BuildRequest,
        masking: Masking,
        observer: Arc<dyn Observer>,
        dir: BuildDir,
        cancel: &Cancel,
    ) -> (Begun, mpsc::Receiver<Record>) {
        let state = BuildState::new(request.max_running);
        let (live, inbox) = BuildHandle::new(id, &request.source, request.inputs.clone(), masking, observer, state);
        live.disk.set(self.disk, dir.path.clone());
        let (services, path, force) = (self.services.clone(), dir.path.clone(), cancel.force.clone());
        let context = Arc::new(JobContext::new(services, live.clone(), request.clone(), path, force));
        (Begun { live, context, request, dir }, inbox)
    }

    /// Drives a build to its end.
    async fn drive(
        &self,
        begun: Begun,
        inbox: mpsc::Receiver<Record>,
        journal: BuildJournal,
        begin: Begin,
        time: SteadyTime,
        cancel: Cancel,
    ) -> Result<BuildReport, ControllerError> {
        let Begun { live, context, request, dir } = begun;
        let id = live.id.clone();
        self.api.register(live.clone());
        let inside = Inside { live: live.clone(), blobs: self.services.blobs.clone() };
        let control = control::listen(&dir.path, inside)?;
        let driver = Driver::new(live.clone(), journal, context, &request, time);
        let (outcome, driven) = driver.drive(inbox, begin, &cancel).await;
        live.writing.close();
        if tokio::time::timeout(LOGS, live.writing.wait()).await.is_err() {
            tracing::warn!("the end of a log could not be stored");
        }
        live.logs.close();
        // Whoever follows a log may hear it to its end, if they listen.
        let _ = tokio::time::timeout(LISTENING, live.logs.listening.wait()).await;
        drop(control);
        self.api.deregister(&id);
        let kept_jobs: Vec<String> = jobs::kept_in(&dir.path).into_iter().map(|kept| kept.job).collect();
        let kept = self.leave(&id, dir, request.keep, !kept_jobs.is_empty()).await;
        driven?;
        let Outcome { status, jobs, failure, reports, warnings, duration_ms } = outcome;
        Ok(BuildReport { build: id, status, jobs, failure, reports, warnings, duration_ms, kept, kept_jobs })
    }

    /// Asks the script of `request` for its jobs and checks their graph, without running anything. What `define` prints
    /// goes to `observer`; events that it publishes go nowhere.
    ///
    /// # Errors
    /// See [`CheckError`].
    pub async fn check(&self, request: &BuildRequest, observer: Arc<dyn Observer>) -> Result<Checked, CheckError> {
        let (org, repo) = request.source.org_and_repo();
        let id = format!("{org}/{repo}/check-{:08x}", rand::random::<u32>());
        let state = BuildState::new(NonZeroUsize::MIN);
        let masking = masking(request)?;
        let (live, inbox) = BuildHandle::new(&id, &request.source, request.inputs.clone(), masking, observer, state);
        self.api.register(live.clone());
        let result = tokio::select! {
            result = jobs::check(&self.services, request, &live) => result,
            never = async {
                live.clone().take_in_all(inbox).await;
                std::future::pending().await
            } => never,
        };
        self.api.deregister(&id);
        // Nothing that is only a check stays in the store.
        self.services.blobs.remove_below(&names::logs(&id)).await.map_err(ControllerError::from)?;
        result
    }

    /// Clears away what only a running build needs. Returns its directory, if it was to be kept.
    async fn leave(&self, build: &str, mut dir: BuildDir, keep: bool, kept_jobs: bool) -> Option<PathBuf> {
        if keep {
            let kept = dir.path.clone();
            return match dir.keep() {
                Ok(()) => Some(kept),
                Err(error) => {
                    tracing::warn!(%error, path = %kept.display(), "the build's directory can't be kept");
                    None
                }
            };
        }
        if let Err(error) = self.services.blobs.remove_below(&names::workspaces(build)).await {
            tracing::warn!(%error, "the workspace archive could not be removed");
        }
        if kept_jobs && let Err(error) = dir.keep() {
            tracing::warn!(%error, path = %dir.path.display(), "the build's directory can't be kept");
        }
        None
    }
}

/// A build in this process, before its driver is.
struct Begun {
    live: Arc<BuildHandle>,
    context: Arc<JobContext>,
    request: BuildRequest,
    dir: BuildDir,
}

fn masking(request: &BuildRequest) -> Result<Masking, ControllerError> {
    Masking::new(&request.inputs).map_err(|error| ControllerError::Secret(error.to_string()))
}

/// An id for a new build: organisation and repository from the source, then the time and a random part.
fn build_id(source: &SourceRequest) -> String {
    let (org, repo) = source.org_and_repo();
    format!("{org}/{repo}/{:x}-{:04x}", now_ms(), rand::random::<u16>())
}

/// What a host that is set up so lets builds take, and its parts of each other: the constants that are enforced, and why they are
/// what they are.
pub fn limits(scripts: &Limits, logs: &LogLimits, disk: &DiskLimits) -> Vec<Area> {
    let end = vec![
        Limit::time("storing a build's last words", Per::Build, LOGS, "a store that hangs must not hold its end up"),
        Limit::time(
            "whoever follows a log at a build's end",
            Per::Build,
            LISTENING,
            "they hear it to its end, if they listen",
        ),
    ];
    vec![
        monkeyci_script::limits(scripts),
        build_api::limits(),
        monkeyci_api::limits(),
        monkeyci_build::limits(),
        disk::limits(disk),
        serve::limits(),
        running::limits(),
        logs::limits(logs),
        source::limits(),
        monkeyci_archive::limits(),
        monkeyci_mask::limits(),
        monkeyci_storage::limits(),
        jobs::limits(),
        Area { name: "the end of a build", limits: end },
        monkeyci_engines::limits(),
    ]
}
