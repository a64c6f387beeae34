//! The build API: one router, for scripts and sidecars. Its handlers speak to a build through its handle.

mod admission;
mod artifacts;
mod blobs;
mod events;
mod files;
mod inputs;
mod jobs;
mod junit;
mod logs;
mod outputs;
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
use axum::routing::{get, post, put};
use monkeyci_storage::Blobs;

use self::readers::{ReaderLimits, Readers};
use crate::logs::LogLimits;
use crate::running::LiveBuild;
use crate::serve;
use crate::tokens::Tokens;

/// A request that waits for something to happen waits no longer than this, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A submission may declare thousands of jobs, and a wait name all 100,000 jobs of a graph.
const SUBMISSION_LIMIT: usize = 16 << 20;
/// What a guest can hand over in one call, which is 4 MiB.
const OUTPUT_LIMIT: usize = 4 << 20;
/// The file with a container job's outputs.
const OUTPUTS_LIMIT: usize = 1 << 20;

/// Bodies that are not streamed may have this many bytes: an event's payload of 64 KiB, as JSON in JSON.
const BODY_LIMIT: usize = 256 * 1024;

/// What the handlers work with.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) blobs: Blobs,
    pub(crate) log_limits: LogLimits,
    pub(crate) readers: Readers,
    builds: RwLock<HashMap<String, Arc<LiveBuild>>>,
}

impl Api {
    pub(crate) fn new(tokens: Arc<Tokens>, blobs: Blobs, log_limits: LogLimits) -> Arc<Self> {
        let readers = Readers::new(ReaderLimits::default());
        Arc::new(Self { tokens, blobs, log_limits, readers, builds: RwLock::default() })
    }

    /// Serves a build from now on.
    pub(crate) fn register(&self, build: Arc<LiveBuild>) {
        self.builds.write().unwrap_or_else(PoisonError::into_inner).insert(build.id.clone(), build);
    }

    /// Stops serving a build; its tokens open nothing any more.
    pub(crate) fn deregister(&self, build: &str) {
        self.readers.forget(build);
        self.builds.write().unwrap_or_else(PoisonError::into_inner).remove(build);
    }

    fn build(&self, id: &str) -> Option<Arc<LiveBuild>> {
        self.builds.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// The router. Every route's handler starts by asking [`admission::admit`].
pub(crate) fn router(api: Arc<Api>) -> Router {
    let build = Router::new()
        .route("/", get(script::read_build))
        .route("/params/{name}", get(inputs::read_param))
        .route("/params", get(inputs::list_params))
        .route("/secrets", get(inputs::list_secrets))
        .route("/secrets/{name}", get(inputs::read_secret))
        .route("/secrets/{name}/reveal", post(inputs::reveal))
        .route("/events", post(script::publish_event))
        .route("/events/next", post(events::read_events))
        .route("/reports", post(script::add_report))
        .route("/logs", post(logs::write_define_log))
        .route("/files/{name}", get(files::read_file))
        .route("/dirs/{name}", get(files::read_dir))
        .route("/stats/{name}", get(files::stat))
        .route("/globs", post(files::glob))
        .route("/hashes", post(files::hash))
        .route("/outputs/{name}", put(files::write_output).post(files::write_output).layer(limit(OUTPUT_LIMIT)))
        .route("/jobs", post(submit::submit).layer(limit(SUBMISSION_LIMIT)))
        .route("/waits", post(submit::wait).layer(limit(SUBMISSION_LIMIT)))
        .route("/jobs/{job}", get(jobs::read_job))
        .route("/jobs/{job}/outputs", post(results::report_outputs).layer(limit(OUTPUTS_LIMIT)))
        .route("/jobs/{job}/test-reports", post(results::report_tests))
        .route("/jobs/{job}/logs", post(logs::write_job_log))
        .route("/jobs/{job}/plan", get(jobs::read_plan))
        .route("/jobs/{job}/running", post(jobs::report_running))
        .route("/jobs/{job}/result", post(jobs::report_result))
        .route("/workspace", get(blobs::read_workspace))
        .route("/artifacts", get(artifacts::list))
        .route("/artifacts/{id}/files", get(artifacts::file_names))
        .route("/artifacts/{id}/files/{path}", get(artifacts::read_file).put(artifacts::create))
        .route("/artifacts/{id}/outputs/{path}", post(artifacts::save_output))
        .route("/artifacts/{id}", get(blobs::read_artifact).merge(put(blobs::save_artifact)))
        .route("/caches/{id}", get(blobs::read_cache).merge(put(blobs::save_cache)));
    Router::new()
        .nest("/v1/builds/{org}/{repo}/{build}", build)
        .fallback(serve::no_such_path)
        .method_not_allowed_fallback(serve::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::map_response(serve::in_words))
        .with_state(api)
}

fn limit(bytes: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(bytes)
}
