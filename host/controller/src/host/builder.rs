//! How a host is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use monkeyci_engines::{DockerOptions, Engine};
use monkeyci_script::{Compiler, Limits, Runtime, RuntimeOptions};
use monkeyci_storage::journal::{Owner, Patience};
use monkeyci_storage::{BlobStore, Blobs, Journals};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::code::Languages;
use super::driven::Driven;
use super::policy::Policy;
use super::process::Process;
use super::simulated::{LINGER, Substitutes, paced_router};
use super::sinks::{EventSink, Sink};
use super::sources::{ParamSource, SecretSource};
use super::upkeep::Upkeep;
use super::{Host, Inner};
use crate::build_api::{Api, router, socket_router};
use crate::clock::{Clock, MachineClock};
use crate::disk::DiskLimits;
use crate::error::ControllerError;
use crate::home::Home;
use crate::jobs::{EngineChoice, Engines, PATIENCE, Services};
use crate::logs::LogLimits;
use crate::observer::{Observer, Silent};
use crate::serve::{self, ApiOnNetwork, ApiOverTcp, ApiSockets};
use crate::tokens::Tokens;

/// How long a build waits for a person before it is parked: most that are approved at once are.
const PARK_AFTER: Duration = Duration::from_secs(30);

/// How a [`Host`] is made: [`Host::builder`], what is not as by default, and [`open`](Self::open).
///
/// ```no_run
/// use monkeyci_controller::{BlobStore, Host};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::builder("/var/lib/my-ci")
///     .blobs(BlobStore::Url("s3://bucket/ci".to_owned()))
///     .sidecar_program("/usr/lib/my-ci/monkeyci-sidecar")
///     .open()
///     .await?;
/// println!("{} instances", host.usage().instances);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct HostBuilder {
    home: PathBuf,
    blobs: BlobStore,
    log_limits: LogLimits,
    engine: EngineChoice,
    disk: DiskLimits,
    limits: Limits,
    compiler: Option<Compiler>,
    sidecar_program: Option<PathBuf>,
    patience: Duration,
    tcp: Option<ApiOverTcp>,
    observer: Arc<dyn Observer>,
    sources: Sources,
    sinks: Vec<Arc<dyn EventSink>>,
    policy: Option<Arc<dyn Policy>>,
    languages: Option<Arc<Languages>>,
    upkeep: Option<Upkeep>,
    clock: Arc<dyn Clock>,
    park_after: Option<Duration>,
    substitutes: Option<Substitutes>,
}

/// Where parameters and secrets come from, beside what requests bring.
#[derive(Clone, Default)]
pub(super) struct Sources {
    pub(super) params: Vec<Arc<dyn ParamSource>>,
    pub(super) secrets: Vec<Arc<dyn SecretSource>>,
}

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { home, blobs, engine, .. } = self;
        let mut builder = f.debug_struct("HostBuilder");
        builder.field("home", home).field("blobs", blobs).field("engine", engine).finish_non_exhaustive()
    }
}

impl HostBuilder {
    pub(super) fn new(home: PathBuf) -> Self {
        Self {
            home,
            blobs: BlobStore::Local,
            log_limits: LogLimits::default(),
            engine: EngineChoice::Docker(Box::default()),
            disk: DiskLimits::default(),
            limits: Limits::default(),
            compiler: None,
            sidecar_program: None,
            patience: PATIENCE,
            tcp: None,
            observer: Arc::new(Silent),
            sources: Sources::default(),
            sinks: Vec::new(),
            policy: None,
            languages: None,
            upkeep: None,
            clock: MachineClock::new(),
            park_after: Some(PARK_AFTER),
            substitutes: None,
        }
    }

    /// The home directory, as it was named.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where artifacts, caches, logs and workspace archives are kept; in the home by default.
    pub fn blobs(self, blobs: BlobStore) -> Self {
        Self { blobs, ..self }
    }

    /// How much of each log is kept.
    pub fn log_limits(self, log_limits: LogLimits) -> Self {
        Self { log_limits, ..self }
    }

    /// Runs container jobs by Docker or Podman, found so. That is the default, with the default options: it is looked for when the first
    /// container job starts.
    pub fn docker(self, options: DockerOptions) -> Self {
        Self { engine: EngineChoice::Docker(Box::new(options)), ..self }
    }

    /// Runs container jobs by an engine of your own.
    pub fn engine(self, engine: Arc<dyn Engine>) -> Self {
        Self { engine: EngineChoice::Custom(engine), ..self }
    }

    /// What builds may take of the disk.
    pub fn disk(self, disk: DiskLimits) -> Self {
        Self { disk, ..self }
    }

    /// What scripts may use.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Where scripts are compiled. By default in a limited process of this program, if its `main` has called
    /// [`compile_if_child`](monkeyci_script::compile_if_child); otherwise in this process, where hostile scripts take as much memory as
    /// they can get.
    pub fn compiler(self, compiler: Compiler) -> Self {
        Self { compiler: Some(compiler), ..self }
    }

    /// The static program of sidecar and launcher; by default `monkeyci-sidecar` beside this program.
    pub fn sidecar_program(self, program: impl Into<PathBuf>) -> Self {
        Self { sidecar_program: Some(program.into()), ..self }
    }

    /// How long the containers of a job wait for another host when theirs has died: whoever goes on with the build in that time finds the
    /// job running. By default for 15 minutes; for 10 s at least.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Who makes scripts of files in other languages: of the directory of some code, and of the path of a file or a folder of it, the bytes
    /// of a script, or why there are none; `None` where it is no file of these. [`Host::read_script`] asks. The code is a stranger's.
    pub fn languages(
        self,
        make: impl Fn(&Path, &str) -> Option<Result<Vec<u8>, String>> + Send + Sync + 'static,
    ) -> Self {
        Self { languages: Some(Arc::new(make)), ..self }
    }

    /// Serves sidecars over TCP, and beyond loopback with TLS; by default over a Unix socket in the home.
    pub fn tcp(self, tcp: ApiOverTcp) -> Self {
        Self { tcp: Some(tcp), ..self }
    }

    /// Who hears of all that happens in this host's builds, as it happens and before it is on disk. [`Build::events`](super::Build::events) are
    /// for those who may be slower, or come later.
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Has this give builds parameters too. Of several, the first that has one counts.
    pub fn params(mut self, source: impl ParamSource) -> Self {
        self.sources.params.push(Arc::new(source));
        self
    }

    /// Has this give builds secrets too. Of several, the first that has one counts.
    pub fn secrets(mut self, source: impl SecretSource) -> Self {
        self.sources.secrets.push(Arc::new(source));
        self
    }

    /// Tells this of all that happens in the builds that the host drives, once it is on disk.
    pub fn sink(mut self, sink: impl EventSink) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Has this say what builds may do; by default, whatever they ask for.
    pub fn policy(self, policy: impl Policy) -> Self {
        Self { policy: Some(Arc::new(policy)), ..self }
    }

    /// Looks after the home for as long as the host lives: goes on with builds that have lost their hosts, and clears away. By default, nobody
    /// does; whoever opens a home for a moment leaves that to others.
    pub fn upkeep(self, upkeep: Upkeep) -> Self {
        Self { upkeep: Some(upkeep), ..self }
    }

    /// What tells the time; by default, the clocks of the machine.
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Parks builds that have waited for a person for so long while nothing of them runs; 30 s by default, `None` for never. A parked build
    /// has no task, no open file and no directory; it goes on from its journal when somebody has something to say to it, or its time limit is
    /// reached. Its code is had again then: of a repository it is cloned once more, and a directory is as it is then. Nobody
    /// who listens to it or waits for it hears of that. A build whose containers are kept, or whose jobs can be held, is not parked.
    pub fn park_after(self, waited: Option<Duration>) -> Self {
        Self { park_after: waited, ..self }
    }

    /// With these in the place of journal, blob store and script runtime.
    pub(crate) fn substitutes(self, substitutes: Substitutes) -> Self {
        Self { substitutes: Some(substitutes), ..self }
    }

    /// Opens the home directory and sets the script runtime up. No engine is looked for yet.
    ///
    /// # Errors
    /// When the home directory, the journal or the blob store can't be used, the build API can't be served over TLS as it was asked, or a
    /// sink's name can't be one.
    pub async fn open(self) -> Result<Host, ControllerError> {
        let sidecar_program = match self.sidecar_program {
            Some(program) => program,
            None => sidecar_beside_this_program()?,
        };
        let home = Home::open(&self.home)?;
        let tcp = self.tcp.map(|tcp| ApiOnNetwork::of(tcp, &home)).transpose()?;
        let owner = Owner(rand::random());
        let pace = self.substitutes.as_ref().map(|substitutes| substitutes.pace.clone());
        let (journals, blobs, runtime) = match self.substitutes {
            Some(Substitutes { journal, blobs, runtime, .. }) => {
                let patience = Patience { linger: LINGER, ..Patience::default() };
                (Journals::new(journal, owner, patience), blobs, runtime)
            }
            None => {
                let runtime_options = RuntimeOptions { cache_dir: Some(home.compiled()), limits: self.limits };
                let compiler = self.compiler.unwrap_or_else(Compiler::of_this_process);
                // The engine takes a moment, and so does the database: both at once.
                let runtime = tokio::task::spawn_blocking(move || {
                    Runtime::new(runtime_options).map(|runtime| runtime.with_compiler(compiler))
                });
                let path = home.journal();
                let (journals, blobs) = tokio::try_join!(
                    async { Ok::<_, ControllerError>(Journals::sqlite(&path, owner).await?) },
                    async { Ok(Blobs::open(&self.blobs, &home.blobs()).await?) },
                )?;
                (journals, blobs, runtime.await.map_err(|error| ControllerError::Panic(error.to_string()))??)
            }
        };
        let sinks_dir = home.sinks();
        let sinks = self.sinks.into_iter().map(|sink| Sink::open(sink, &sinks_dir)).collect::<Result<_, _>>()?;
        let clock = self.clock;
        let tokens = Arc::new(Tokens::new(clock.clone()));
        let api = Api::new(tokens.clone(), blobs.clone(), self.log_limits);
        let services = Services {
            runtime,
            tokens,
            blobs: blobs.clone(),
            log_limits: self.log_limits,
            engines: Engines::new(self.engine, home.clone(), blobs),
            api: ApiSockets::new(
                paced_router(router(api.clone()), pace.as_ref()),
                socket_router(api.clone(), serve::SILENCE),
                tcp,
            ),
            sidecar_program,
            patience: self.patience,
        };
        let host = Host(Arc::new(Inner {
            home,
            journals,
            api,
            services: Arc::new(services),
            clock,
            disk: self.disk,
            observer: self.observer,
            sources: self.sources,
            sinks,
            policy: self.policy,
            languages: self.languages,
            telling: TaskTracker::new(),
            process: Process::new(owner.to_string()),
            driven: Driven::default(),
            park_after: self.park_after,
            pace,
            closed: CancellationToken::new(),
            runtime: tokio::runtime::Handle::current(),
        }));
        host.catch_up_with_sinks().await?;
        if let Some(upkeep) = self.upkeep {
            host.look_after(upkeep);
        }
        Ok(host)
    }
}

/// The program of sidecar and launcher where it is delivered with this one: `monkeyci-sidecar` beside it.
///
/// # Errors
/// When this program's own path can't be found.
pub fn sidecar_beside_this_program() -> Result<PathBuf, ControllerError> {
    let own =
        std::env::current_exe().map_err(|source| ControllerError::Home { path: "monkeyci-sidecar".into(), source })?;
    Ok(own.with_file_name("monkeyci-sidecar"))
}
