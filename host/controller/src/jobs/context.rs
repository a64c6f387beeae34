//! What the jobs of a build share, and what those of all builds of a host do.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use monkeyci_api::{Client, Role, grants};
use monkeyci_build::{EventBody, JobSpec, StopReason};
use monkeyci_script::Runtime;
use monkeyci_storage::Blobs;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use super::define::Loaded;
use super::engine::Engines;
use super::told::ToldActions;
use super::{EarlierBuild, attempts, checkout, define, refine};
use crate::error::ControllerError;
use crate::logs::LogLimits;
use crate::running::{BuildHandle, BuildRequest, Effects, Task};
use crate::serve::{ApiAddress, ApiSockets, Listener};
use crate::tokens::Tokens;

/// What the jobs of all builds of a host share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) runtime: Runtime,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) blobs: Blobs,
    pub(crate) log_limits: LogLimits,
    pub(crate) engines: Engines,
    pub(crate) api: ApiSockets,
    /// The static program of sidecar and launcher.
    pub(crate) sidecar_program: PathBuf,
    /// How long the containers of a job wait for another host when theirs has died.
    pub(crate) patience: Duration,
}

impl Services {
    /// A client for the script of a build: for `define`, or for an attempt of one job.
    pub(super) fn script_client(
        &self,
        build: &BuildHandle,
        job: Option<(&JobSpec, u32)>,
        life: Duration,
    ) -> Result<Client, ControllerError> {
        let scopes = match job {
            None => grants::define(),
            Some((job, _)) => grants::action(&job.id, &job.creates_artifacts, &build.inputs.reveal),
        };
        let role = Role::Script { job: job.map(|(job, _)| job.id.clone()) };
        let bearer = (role, job.map_or(0, |(_, attempt)| attempt));
        let token = self.tokens.issue(&build.id, bearer, scopes, life)?;
        Client::in_process(self.api.in_process(), &build.id, token)
            .map_err(|error| ControllerError::Token(error.to_string()))
    }

    /// The sidecar's program.
    pub(super) fn sidecar_program(&self) -> Result<&Path, ControllerError> {
        let path = self.sidecar_program.as_path();
        if path.is_file() { Ok(path) } else { Err(ControllerError::NoSidecar(path.to_owned())) }
    }
}

/// What the jobs of a build share.
pub(crate) struct JobContext {
    pub(super) services: Arc<Services>,
    pub(super) live: Arc<BuildHandle>,
    pub(super) request: BuildRequest,
    /// The build's own directory.
    pub(super) dir: PathBuf,
    /// Set when stopped jobs get no time to end any more.
    pub(super) force: CancellationToken,
    pub(super) loaded: OnceLock<Loaded>,
    /// What actions in flight were told before.
    pub(crate) told: ToldActions,
    /// What digests are keyed with that stand in the journal.
    pub(super) digest_key: Arc<str>,
    /// Whether what can't be gone on with runs again.
    again: AtomicBool,
    listening: OnceCell<(ApiAddress, Option<Listener>)>,
    pub(super) said_not_enforced: OnceCell<()>,
    /// The build of which this one is one more run.
    earlier: OnceLock<EarlierBuild>,
}

impl JobContext {
    pub(crate) fn new(
        services: Arc<Services>,
        live: Arc<BuildHandle>,
        request: BuildRequest,
        dir: PathBuf,
        force: CancellationToken,
        digest_key: &str,
    ) -> Self {
        let (loaded, listening, said_not_enforced) = (OnceLock::new(), OnceCell::new(), OnceCell::new());
        let (told, digest_key, again) = (ToldActions::default(), Arc::from(digest_key), AtomicBool::new(false));
        let earlier = OnceLock::new();
        Self {
            services,
            live,
            request,
            dir,
            force,
            loaded,
            told,
            digest_key,
            again,
            listening,
            said_not_enforced,
            earlier,
        }
    }

    /// Says of which build this one is one more run, before anything is done.
    pub(crate) fn runs_again(&self, earlier: EarlierBuild) {
        // Once for a build.
        let _ = self.earlier.set(earlier);
    }

    /// The build of which this one is one more run.
    pub(super) fn earlier(&self) -> Option<&EarlierBuild> {
        self.earlier.get()
    }

    /// Breaks off the connections of sidecars: what is not answered is said to the host that goes on with the build.
    pub(crate) fn cut_connections(&self) {
        if let Some((_, Some(listener))) = self.listening.get() {
            listener.cut();
        }
    }

    /// What can't be gone on with is begun again.
    pub(crate) fn begins_again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }

    /// Whether that is so.
    pub(super) fn is_again(&self) -> bool {
        self.again.load(Ordering::Relaxed)
    }

    /// How sidecars reach the build API; it is made reachable on first use.
    pub(super) async fn api_address(&self) -> Result<&ApiAddress, ControllerError> {
        Ok(&self.listening.get_or_try_init(|| self.services.api.listen(&self.dir)).await?.0)
    }

    /// Has an event written down, unless the build or the attempt that it is of is over.
    pub(super) async fn record(&self, body: EventBody) {
        if let Err(refused) = self.live.record(body).await {
            tracing::debug!(%refused, "an event came too late");
        }
    }

    /// The same, and waits until it is on disk: something outside of this host follows.
    pub(super) async fn record_durably(&self, body: EventBody) {
        if let Err(refused) = self.live.record_durably(body).await {
            tracing::debug!(%refused, "an event came too late");
        }
    }
}

impl Effects for JobContext {
    fn check_out(self: Arc<Self>) -> Task {
        Box::pin(async move { checkout::run(&self).await })
    }

    fn define(self: Arc<Self>) -> Task {
        Box::pin(async move { define::run(&self).await })
    }

    fn refine(self: Arc<Self>, job: String, attempt: u32) -> Task {
        Box::pin(async move { refine::run(&self, job, attempt).await })
    }

    fn run(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task {
        Box::pin(async move { attempts::run(&self, job, attempt, stop).await })
    }

    fn go_on(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task {
        Box::pin(async move { attempts::go_on(&self, job, attempt, stop).await })
    }
}
