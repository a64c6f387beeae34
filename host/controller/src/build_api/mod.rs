//! The build API: one router, for scripts and sidecars. Its handlers speak to a build through its handle.

mod admission;
mod artifacts;
mod blobs;
mod budget;
mod events;
mod files;
mod inputs;
mod jobs;
mod logs;
pub(crate) mod outputs;
mod pace;
mod readers;
mod results;
mod script;
#[cfg(test)]
mod store_tests;
mod submit;
#[cfg(test)]
mod tests;
mod workspace_files;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{MethodFilter, MethodRouter, on};
use monkeyci_api::{MAX_OUTPUTS, ROUTES, Route, RouteId, Verb};
use monkeyci_storage::{Blobs, Watcher};
use tokio::time::{Instant, timeout_at};

use self::admission::{Door, at_the_door};
pub(crate) use self::budget::limits;
use self::pace::Pace;
use self::readers::{ReaderLimits, Readers};
use crate::logs::LogLimits;
use crate::running::BuildHandle;
use crate::serve::{self, Refusal};
use crate::tokens::Tokens;

/// A request that waits for something to happen waits no longer than this, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A submission may declare thousands of jobs, and a wait name all 100,000 jobs of a graph.
const SUBMISSION_LIMIT: usize = 16 << 20;
/// What a guest can hand over in one call, which is 4 MiB.
const OUTPUT_LIMIT: usize = 4 << 20;

/// Bodies that are not streamed may have this many bytes: an event's payload of 64 KiB, as JSON in JSON.
const BODY_LIMIT: usize = 256 * 1024;

/// Looks each time that something happens in a build until it finds something, for so long. What has happened `since` then counts.
async fn wait_for<T>(
    mut since: Watcher<u64>,
    wait_ms: u64,
    look: impl Fn() -> Result<Option<T>, Refusal>,
) -> Result<Option<T>, Refusal> {
    let end = Instant::now() + Duration::from_millis(wait_ms).min(LONGEST_WAIT);
    loop {
        since.has_seen();
        let found = look()?;
        if found.is_some() || !matches!(timeout_at(end, since.changed()).await, Ok(Ok(()))) {
            return Ok(found);
        }
    }
}

/// What the handlers work with.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) blobs: Blobs,
    pub(crate) log_limits: LogLimits,
    pub(crate) readers: Readers,
    builds: RwLock<HashMap<String, Arc<Served>>>,
}

/// A build that calls.
#[derive(Debug)]
struct Served {
    build: Arc<BuildHandle>,
    pace: Pace,
}

impl Api {
    pub(crate) fn new(tokens: Arc<Tokens>, blobs: Blobs, log_limits: LogLimits) -> Arc<Self> {
        let readers = Readers::new(ReaderLimits::default());
        Arc::new(Self { tokens, blobs, log_limits, readers, builds: RwLock::default() })
    }

    /// Serves a build from now on.
    pub(crate) fn register(&self, build: Arc<BuildHandle>) {
        let (id, served) = (build.id.clone(), Served { build, pace: Pace::default() });
        self.builds.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(served));
    }

    /// Stops serving a build; its tokens open nothing any more.
    pub(crate) fn deregister(&self, build: &str) {
        self.readers.forget(build);
        self.builds.write().unwrap_or_else(PoisonError::into_inner).remove(build);
    }

    #[cfg(test)]
    pub(crate) fn build(&self, id: &str) -> Option<Arc<BuildHandle>> {
        Some(self.served(id)?.build.clone())
    }

    fn served(&self, id: &str) -> Option<Arc<Served>> {
        self.builds.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// The router for calls in process: what [`ROUTES`] lists, and nothing else. Every route's handler starts by asking
/// [`admission::admit`].
pub(crate) fn router(api: Arc<Api>) -> Router {
    routed(api, |_, handler| handler)
}

/// The same for whoever comes by a socket: before anything of a body is read, its bearer has to be known, and a body may not bring
/// nothing for longer than `silence`.
pub(crate) fn socket_router(api: Arc<Api>, silence: Duration) -> Router {
    routed(api.clone(), move |route, handler| {
        let is_log = matches!(route.id, RouteId::WriteDefineLog | RouteId::WriteJobLog);
        let door = Door { api: api.clone(), silence: (!is_log).then_some(silence) };
        handler.route_layer(from_fn_with_state(door, at_the_door))
    })
}

fn routed(api: Arc<Api>, entered: impl Fn(&Route, MethodRouter<Arc<Api>>) -> MethodRouter<Arc<Api>>) -> Router {
    let build =
        ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, entered(route, handler(route))));
    Router::new()
        .nest("/v1/builds/{org}/{repo}/{build}", build)
        .fallback(serve::no_such_path)
        .method_not_allowed_fallback(serve::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(map_response(serve::in_words))
        .with_state(api)
}

/// What answers at a route.
fn handler(route: &Route) -> MethodRouter<Arc<Api>> {
    let verb = match route.verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
    };
    match route.id {
        RouteId::ReadBuild => on(verb, script::read_build),
        RouteId::ListParams => on(verb, inputs::list_params),
        RouteId::ReadParam => on(verb, inputs::read_param),
        RouteId::ListSecrets => on(verb, inputs::list_secrets),
        RouteId::ReadSecret => on(verb, inputs::read_secret),
        RouteId::RevealSecret => on(verb, inputs::reveal),
        RouteId::PublishEvent => on(verb, script::publish_event),
        RouteId::ReadEvents => on(verb, events::read_events),
        RouteId::AddReport => on(verb, script::add_report),
        RouteId::WriteDefineLog => on(verb, logs::write_define_log),
        RouteId::ReadFile => on(verb, files::read_file),
        RouteId::ReadDir => on(verb, files::read_dir),
        RouteId::ReadStat => on(verb, files::stat),
        RouteId::FindFiles => on(verb, files::glob),
        RouteId::HashFiles => on(verb, files::hash),
        RouteId::WriteOutput => on(verb, files::write_output).layer(limit(OUTPUT_LIMIT)),
        RouteId::ExtendOutput => on(verb, files::extend_output).layer(limit(OUTPUT_LIMIT)),
        RouteId::SubmitJobs => on(verb, submit::submit).layer(limit(SUBMISSION_LIMIT)),
        RouteId::WaitForJobs => on(verb, submit::wait).layer(limit(SUBMISSION_LIMIT)),
        RouteId::ReadJob => on(verb, jobs::read_job),
        RouteId::ReadPlan => on(verb, jobs::read_plan),
        RouteId::ReportRunning => on(verb, jobs::report_running),
        RouteId::ReportHeld => on(verb, jobs::report_held),
        RouteId::ReportOutputs => on(verb, results::report_outputs).layer(limit(MAX_OUTPUTS as usize)),
        RouteId::ReportTests => on(verb, results::report_tests),
        RouteId::ReportResult => on(verb, jobs::report_result),
        RouteId::WriteJobLog => on(verb, logs::write_job_log),
        RouteId::ReadWorkspace => on(verb, blobs::read_workspace),
        RouteId::ListArtifacts => on(verb, artifacts::list),
        RouteId::ListArtifactFiles => on(verb, artifacts::file_names),
        RouteId::ReadArtifactFile => on(verb, artifacts::read_file),
        RouteId::CreateArtifact => on(verb, artifacts::create),
        RouteId::SaveOutput => on(verb, artifacts::save_output),
        RouteId::ReadArtifact => on(verb, blobs::read_artifact),
        RouteId::SaveArtifact => on(verb, blobs::save_artifact),
        RouteId::ReadCache => on(verb, blobs::read_cache),
        RouteId::SaveCache => on(verb, blobs::save_cache),
    }
}

fn limit(bytes: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(bytes)
}
