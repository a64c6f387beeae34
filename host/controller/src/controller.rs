//! The controller: what all builds of a process share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use monkeyci_api::{Client, Role, Scope, paths};
use monkeyci_build::JobSpec;
use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError};
use monkeyci_script::{Compiler, Limits, Runtime, RuntimeOptions};
use tokio::sync::OnceCell;

use crate::error::ControllerError;
use crate::home::{Home, make_dir};
use crate::lease::{self, LEASE};
use crate::live::LiveBuild;
use crate::log_store::LogLimits;
use crate::server::{Api, Listener, in_process, router};
use monkeyci_storage::Journal;
use monkeyci_storage::{BlobStore, Blobs, names};

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
    /// What scripts may use.
    pub limits: Limits,
    /// Where scripts are compiled: in this process, or in a limited one.
    pub compiler: Compiler,
    /// The static program of sidecar and launcher.
    pub sidecar_program: PathBuf,
    /// Serve sidecars over TCP; none serves them over a Unix socket.
    pub tcp: Option<ApiOverTcp>,
}

/// Where the build API listens when sidecars run on other machines.
#[derive(Clone, Debug)]
pub struct ApiOverTcp {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The host name or address by which sidecars reach it.
    pub advertise: String,
}

/// What [`Controller::collect_garbage`] removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Remove nothing, and say what would be.
    pub dry_run: bool,
    /// Remove also what builds with `keep` have left on purpose.
    pub kept: bool,
}

/// What runs container jobs.
#[derive(Clone)]
pub enum EngineChoice {
    /// Docker or Podman, through their API.
    Docker(DockerOptions),
    /// An engine of the embedder's.
    Custom(Arc<dyn Engine>),
}

impl std::fmt::Debug for EngineChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Docker(options) => f.debug_tuple("Docker").field(options).finish(),
            Self::Custom(engine) => f.debug_tuple("Custom").field(&engine.describe()).finish(),
        }
    }
}

/// Runs builds. One per process is enough.
#[derive(Debug)]
pub struct Controller {
    pub(crate) options: ControllerOptions,
    pub(crate) home: Home,
    pub(crate) journal: Journal,
    pub(crate) runtime: Runtime,
    pub(crate) api: Arc<Api>,
    router: Router,
    engine: OnceCell<Readied>,
    tcp: OnceCell<(Listener, String)>,
}

/// An engine that was found, with what earlier processes left behind removed.
struct Readied(Arc<dyn Engine>);

impl std::fmt::Debug for Readied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.describe())
    }
}

/// How sidecars reach the build API.
#[derive(Clone, Debug)]
pub(crate) struct ApiAddress {
    /// For the sidecar's configuration.
    pub(crate) url: String,
    /// The directory to mount, if it is a Unix socket.
    pub(crate) dir: Option<PathBuf>,
}

impl Controller {
    /// Opens the home directory and sets the script runtime up. No engine is looked for yet.
    ///
    /// # Errors
    /// When the home directory, the journal or the blob store can't be used.
    pub async fn open(options: ControllerOptions) -> Result<Self, ControllerError> {
        let home = Home::open(&options.home)?;
        let runtime_options = RuntimeOptions { cache_dir: Some(home.compiled()), limits: options.limits.clone() };
        let compiler = options.compiler.clone();
        // The engine takes a moment, and so does the database: both at once.
        let runtime = tokio::task::spawn_blocking(move || {
            Runtime::new(runtime_options).map(|runtime| runtime.with_compiler(compiler))
        });
        let path = home.journal();
        let (journal, blobs) =
            tokio::try_join!(async { Ok::<_, ControllerError>(Journal::open(&path).await?) }, async {
                Ok(Blobs::open(&options.blobs, &home.blobs()).await?)
            },)?;
        let runtime = runtime.await.map_err(|error| ControllerError::Panic(error.to_string()))??;
        let api = Api::new(blobs, options.log_limits);
        let router = router(api.clone());
        Ok(Self { options, home, journal, runtime, api, router, engine: OnceCell::new(), tcp: OnceCell::new() })
    }

    /// The journal of this home.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The script runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The build API's router, for a server of the embedder's.
    pub fn build_api(&self) -> Router {
        self.router.clone()
    }

    /// A client for the script of a build: for `define`, or for the action of one job. Returns the token's id too.
    pub(crate) fn script_client(
        &self,
        build: &LiveBuild,
        job: Option<&JobSpec>,
        life: std::time::Duration,
    ) -> Result<(Client, String), ControllerError> {
        let mut scopes = vec![
            Scope::BuildRead,
            Scope::ParamsRead,
            Scope::SecretsRead,
            Scope::EventsWrite,
            Scope::JobsRead,
            Scope::FilesRead,
            Scope::LogWrite,
        ];
        if let Some(job) = job {
            scopes.extend([Scope::EventsRead, Scope::JobsSubmit, Scope::ArtifactsRead, Scope::OutputsWrite]);
            scopes.push(Scope::JobReport(job.id.clone()));
            scopes.extend(job.creates_artifacts.iter().cloned().map(Scope::ArtifactWrite));
            scopes.extend(build.inputs.reveal.iter().cloned().map(Scope::SecretReveal));
        }
        let role = Role::Script { job: job.map(|job| job.id.clone()) };
        let (token, jti) = self.api.tokens.issue(&build.id, role, scopes, life)?;
        let client = Client::in_process(in_process(self.router.clone()), &build.id, token)
            .map_err(|error| ControllerError::Token(error.to_string()))?;
        Ok((client, jti))
    }

    /// The engine: found on first use, and cleared of what killed processes of this home have left.
    pub(crate) async fn engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        let readied = self.engine.get_or_try_init(|| async {
            let engine = self.find_engine().await?;
            let swept = tokio::select! {
                swept = self.sweep(engine.as_ref(), Sweep::default()) => swept.map_err(|error| error.to_string()),
                reason = lease::over(engine.as_ref(), LEASE) => Err(reason),
            };
            // A leftover that can't be removed is no reason not to build.
            match swept {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => tracing::info!("removed what a killed build had left: {}", removed.join(", ")),
                Err(reason) => tracing::warn!("what earlier builds left behind could not be removed: {reason}"),
            }
            Ok(Readied(engine))
        });
        readied.await.map(|readied| readied.0.clone())
    }

    /// Removes what no live build of this home owns: containers, networks, volumes, directories. Returns the names of what was
    /// removed, or would be. Nothing of other homes, and nothing foreign, is touched.
    ///
    /// # Errors
    /// When there is no engine, or something could not be removed.
    pub async fn collect_garbage(&self, sweep: Sweep) -> Result<Vec<String>, ControllerError> {
        let engine = self.find_engine().await?;
        self.sweep(engine.as_ref(), sweep).await
    }

    async fn find_engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match &self.options.engine {
            EngineChoice::Docker(options) => Arc::new(DockerEngine::connect(options.clone()).await?),
            EngineChoice::Custom(engine) => engine.clone(),
        })
    }

    async fn sweep(&self, engine: &dyn Engine, sweep: Sweep) -> Result<Vec<String>, ControllerError> {
        let run = self.home.run();
        let fail = |source| ControllerError::Home { path: run.clone(), source };
        // In this order: a build takes its lock before it makes anything, so what is there now and has no lock later is dead.
        let known = engine.builds(&self.home.owner).await?;
        let (live, dead) = self.home.live_builds(!sweep.kept).map_err(fail)?;
        let leftovers = known.difference(&live).cloned().collect();
        let mut removed = engine.sweep(&self.home.owner, &leftovers, sweep.dry_run).await?;
        for dir in dead {
            if !sweep.dry_run {
                if let Ok(build) = std::fs::read_to_string(dir.join("build")) {
                    self.api.blobs.remove(&names::workspace(&build)).await?;
                }
                match std::fs::remove_dir_all(&dir) {
                    // Somebody else sweeps too.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    other => other.map_err(|source| ControllerError::Home { path: dir.clone(), source })?,
                }
            }
            removed.push(dir.display().to_string());
        }
        Ok(removed)
    }

    /// Makes the build API reachable for the sidecars of a build: on a Unix socket in the build's own directory (the listener
    /// lives as long as the build), or on the controller's TCP address.
    pub(crate) async fn listen(&self, dir: &Path) -> Result<(ApiAddress, Option<Listener>), ControllerError> {
        let Some(tcp) = &self.options.tcp else {
            let dir = dir.join("api");
            make_dir(&dir).map_err(|source| ControllerError::Home { path: dir.clone(), source })?;
            let listener = Listener::unix(&dir, "api.sock", self.router.clone())?;
            let url = format!("unix:{}", paths::API_SOCKET);
            return Ok((ApiAddress { url, dir: Some(dir) }, Some(listener)));
        };
        let (_, url) = self
            .tcp
            .get_or_try_init(|| async {
                let (listener, address) = Listener::tcp(tcp.listen, self.router.clone()).await?;
                Ok::<_, ControllerError>((listener, format!("http://{}:{}", tcp.advertise, address.port())))
            })
            .await?;
        Ok((ApiAddress { url: url.clone(), dir: None }, None))
    }

    /// The sidecar's program.
    pub(crate) fn sidecar_program(&self) -> Result<&Path, ControllerError> {
        let path = self.options.sidecar_program.as_path();
        if path.is_file() { Ok(path) } else { Err(ControllerError::NoSidecar(path.to_owned())) }
    }
}
