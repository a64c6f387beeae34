//! The host: what all builds of a process share, and the facade of the library. With its own files, the only one that joins the rooms.

mod apart;
mod build;
mod builder;
mod bundles;
mod cleaning;
mod code;
mod drive;
mod driven;
mod events;
mod inside;
mod logs;
mod parked;
mod plan;
mod policy;
mod process;
mod rerun;
mod resume;
mod shutdown;
mod simulated;
mod sinks;
mod sources;
mod upkeep;
mod values;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use monkeyci_build::Checked;
use monkeyci_limits::{Area, Limit, Per};
use monkeyci_script::Limits;
use monkeyci_storage::Journals;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use build::{Build, CancelError, WaitError};
pub use builder::{HostBuilder, sidecar_beside_this_program};
pub use bundles::{BundlingError, Imported};
pub use cleaning::{Removed, Retention};
pub use code::{CodeError, CodeFile};
pub use drive::SubmitError;
pub use events::EventsError;
pub use logs::{BuildLogError, LogPiece, LogPieces};
pub use policy::{Capability, Policy, Verdict};
pub use shutdown::{Shutdown, ShutdownReport};
pub(crate) use simulated::{Pace, Substitutes};
pub use sinks::EventSink;
pub use sources::{BoxError, BuildContext, ParamSource, SecretSource, SourceError};
pub use upkeep::{Upkeep, Upkept};

use self::apart::Apart;
use self::builder::Sources;
use self::driven::Driven;
use self::process::Process;
use self::sinks::Sink;
use crate::build_api::{self, Api};
use crate::builds::{Builds, BuildsError};
use crate::bundle;
use crate::clock::Clock;
use crate::disk::{self, DiskLimits};
use crate::error::ControllerError;
use crate::home::Home;
use crate::jobs::{self, CheckError, Services, Sweep, Swept};
use crate::logs::LogLimits;
use crate::observer::Observer;
use crate::running::{self, BuildRequest};
use crate::serve;
use crate::source;

/// Runs builds, and knows those that ran: a home directory with its journal and its stores, an engine, and what runs scripts.
///
/// It is cheap to clone, and all clones are one host. Several hosts in a process do not know of each other; several of one home share its
/// builds, as several processes do. A host belongs to the runtime of tokio in which it was opened. Dropping it stops no build:
/// [`shutdown`](Self::shutdown) does.
///
/// ```no_run
/// use monkeyci_controller::{BuildRequest, Host, Shutdown, SourceRequest};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::builder("/var/lib/my-ci").open().await?;
/// let request = BuildRequest::new(std::fs::read("script.wasm")?, SourceRequest::Dir(".".into()));
/// // On disk when this returns; and asked again with the same key, it gives the same build.
/// let build = host.submit(request.key("delivery-17")).await?;
/// println!("{} has begun", build.id());
/// let report = build.wait().await?;
/// println!("{}: {:?}", report.build, report.status);
/// host.shutdown(Shutdown::Drain, std::time::Duration::from_secs(60)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

/// What the clones of a host share.
struct Inner {
    home: Home,
    journals: Journals,
    api: Arc<Api>,
    services: Arc<Services>,
    clock: Arc<dyn Clock>,
    disk: DiskLimits,
    observer: Arc<dyn Observer>,
    sources: Sources,
    sinks: Vec<Arc<Sink>>,
    /// Those who tell the sinks.
    telling: TaskTracker,
    policies: Vec<Arc<dyn Policy>>,
    languages: Option<Arc<code::Languages>>,
    process: Process,
    driven: Driven,
    /// How long a build has waited for a person when it is parked; `None` if none is.
    park_after: Option<Duration>,
    /// Who lets attempts begin, in a simulation.
    pace: Option<Arc<dyn Pace>>,
    /// Set when the host has shut down: whoever listens to events hears no more.
    closed: CancellationToken,
    /// The runtime that it belongs to.
    runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("home", &self.home.root()).finish_non_exhaustive()
    }
}

/// What the builds of a host use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Instances that are alive.
    pub instances: usize,
    /// Bytes of memory that they and what belongs to them have taken.
    pub memory: usize,
    /// Builds that it drives.
    pub builds: usize,
    /// Builds that wait for a person, and of which nothing is here but what their journals do not have.
    pub parked: usize,
}

impl Host {
    /// A host of this home directory, which is made if it is not there. Everything else has a default.
    pub fn builder(home: impl Into<std::path::PathBuf>) -> HostBuilder {
        HostBuilder::new(home.into())
    }

    /// The build of this id, `org/repo/build`: whether it runs here, runs in another process, has lost its host, or is over.
    ///
    /// # Errors
    /// When there is none.
    pub async fn build(&self, id: &str) -> Result<Build, BuildsError> {
        if self.0.driven.find(id).is_some() || self.0.home.is_live(id) || self.is_written(id).await? {
            return Ok(self.handle(id));
        }
        Err(BuildsError::NoBuild { build: id.to_owned(), home: self.0.home.root().to_owned() })
    }

    /// The builds of the home, to find, list and look at.
    pub fn builds(&self) -> Builds {
        Builds::of(self.0.home.clone(), self.0.journals.shared())
    }

    /// What tells this host the time of day, in milliseconds since the Unix epoch.
    pub fn day_ms(&self) -> u64 {
        self.0.clock.day_ms()
    }

    /// The home directory.
    pub fn home(&self) -> &std::path::Path {
        self.0.home.root()
    }

    /// Whether it takes new builds: it does until it shuts down.
    pub fn is_open(&self) -> bool {
        self.0.driven.is_open().is_ok()
    }

    /// What builds use now.
    pub fn usage(&self) -> Usage {
        let runtime = &self.0.services.runtime;
        let (builds, parked) = self.0.driven.count();
        Usage { instances: runtime.live_instances(), memory: runtime.taken_memory(), builds, parked }
    }

    /// The ids of the builds that it drives now: those that wait for a person, and are parked, are none of them.
    pub fn driven(&self) -> Vec<String> {
        self.0.driven.ids()
    }

    /// Waits until it drives one of them no more: it is over, parked, or let go of. What happens from this call on counts, also before the
    /// future is polled.
    pub fn drives_fewer(&self) -> impl Future<Output = ()> {
        self.0.driven.fewer()
    }

    /// The build API's router, for a server of the embedder's. It looks at tokens before it reads bodies; how many connections there are,
    /// how long heads may take, and TLS, are that server's business.
    pub fn build_api(&self) -> Router {
        self.0.services.api.router()
    }

    /// Removes what no live build of this home owns: containers, networks, volumes, directories. What a build needs to go on whose host
    /// has died stays as long as its containers wait for another one. Nothing of other homes, and nothing foreign, is touched.
    ///
    /// # Errors
    /// When there is no engine, or something could not be removed.
    pub async fn collect_garbage(&self, sweep: Sweep) -> Result<Swept, ControllerError> {
        self.0.services.engines.collect_garbage(sweep).await
    }

    /// Asks the script of `request` for its jobs and checks their graph, without running anything. What `define` prints
    /// goes to `observer`; events that it publishes go nowhere.
    ///
    /// # Errors
    /// See [`CheckError`].
    pub async fn check(&self, request: &BuildRequest, observer: Arc<dyn Observer>) -> Result<Checked, CheckError> {
        let (org, repo) = request.source.org_and_repo();
        let id = format!("{org}/{repo}/check-{:08x}", rand::random::<u32>());
        let apart = Apart::begin(self, &id, request, request.inputs.clone(), observer)?;
        let live = apart.live();
        apart.ask(jobs::check(&self.0.services, request, &live)).await
    }

    /// Whether something of a build is in the journal.
    async fn is_written(&self, id: &str) -> Result<bool, ControllerError> {
        Ok(self.0.journals.database().head(id).await?.is_some())
    }
}

/// How long the last words of stopped jobs may take to be stored.
const LOGS: Duration = Duration::from_secs(5);
/// How long the end of a build waits for those who follow its logs.
const LISTENING: Duration = Duration::from_secs(2);

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
        crate::logs::limits(logs),
        source::limits(),
        monkeyci_archive::limits(),
        monkeyci_mask::limits(),
        monkeyci_storage::limits(),
        jobs::limits(),
        bundle::limits(),
        Area { name: "the end of a build", limits: end },
        monkeyci_engines::limits(),
    ]
}
