//! A server that takes builds, and tells what happens in them while it happens.
//!
//! ```text
//! cargo run --example axum_server -- HOME SCRIPT.WASM CODE [ADDRESS]
//!
//! curl localhost:8080/builds -H 'Content-Type: application/json' -H 'Idempotency-Key: delivery-17' -d '{"version": "1.10"}'
//! curl -N localhost:8080/builds/local/app/19c0ffee-4711/events
//! curl -X POST localhost:8080/builds/local/app/19c0ffee-4711/jobs/deploy/approve
//! ```
//!
//! Whoever asks with the same key again gets the same build, also when the server was started anew. A browser's `EventSource` that loses
//! its connection goes on where it was: the id of each event is its place in the build's journal.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures::{StreamExt, TryStreamExt};
use monkeyci_host::{
    Build, BuildRequest, BuildsError, Host, OutsideError, Shutdown, SourceRequest, Standing, SubmitError,
};
use tokio::net::TcpListener;

/// What the server builds, and the host that does.
#[derive(Clone)]
pub struct Server {
    pub host: Host,
    pub script: Bytes,
    pub code: PathBuf,
}

type Name = Path<(String, String, String)>;

impl Server {
    /// The routes. Put your own login before them.
    pub fn router(self) -> Router {
        Router::new()
            .route("/builds", post(submit))
            .route("/builds/{org}/{repo}/{build}", get(record))
            .route("/builds/{org}/{repo}/{build}/events", get(events))
            .route("/builds/{org}/{repo}/{build}/cancel", post(cancel))
            .route("/builds/{org}/{repo}/{build}/jobs/{job}/approve", post(approve))
            .with_state(self)
    }

    /// Serves until `stop` says so. Containers run on then, and whoever starts the server next goes on with their builds.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let host = self.host.clone();
        let stopped = async move {
            stop.await;
            // First: a server waits for its connections, and streams of events end with the host.
            let report = host.shutdown(Shutdown::Leave, Duration::from_secs(10)).await;
            eprintln!("{} builds can be resumed", report.left.len());
        };
        axum::serve(listener, self.router()).with_graceful_shutdown(stopped).await
    }

    async fn build(&self, Path((org, repo, build)): Name) -> Result<Build, Failure> {
        Ok(self.host.build(&format!("{org}/{repo}/{build}")).await?)
    }
}

async fn submit(
    State(server): State<Server>,
    headers: HeaderMap,
    Json(params): Json<BTreeMap<String, String>>,
) -> Result<Response, Failure> {
    let mut request = BuildRequest::new(server.script.clone(), SourceRequest::Dir(server.code.clone())).trigger("http");
    request.inputs.params = params;
    if let Some(key) = headers.get("idempotency-key") {
        let key = key.to_str().map_err(|_| Failure(StatusCode::BAD_REQUEST, "the key is no text".to_owned()))?;
        request = request.key(key);
    }
    // It is on disk when this returns: a server that dies now has not lost it.
    let build = server.host.submit(request).await?;
    let body = Json(serde_json::json!({ "build": build.id() }));
    Ok((StatusCode::ACCEPTED, [("location", format!("/builds/{}", build.id()))], body).into_response())
}

async fn record(State(server): State<Server>, name: Name) -> Result<Response, Failure> {
    Ok(Json(server.build(name).await?.record().await?).into_response())
}

async fn events(State(server): State<Server>, name: Name, headers: HeaderMap) -> Result<Response, Failure> {
    let build = server.build(name).await?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut events = build.events(seen).peekable();
    let is_over = !matches!(build.status().await?, Standing::Running | Standing::Lost);
    if is_over && Pin::new(&mut events).peek().await.is_none() {
        // Whoever has seen the end need not come again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = events.map_ok(|event| {
        let told = sse::Event::default().id(event.seq.to_string()).event(event.body.kind());
        told.data(serde_json::to_string(&event).unwrap_or_default())
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

async fn cancel(State(server): State<Server>, name: Name) -> Result<StatusCode, Failure> {
    let cancelled = server.build(name).await?.cancel("http").await;
    cancelled.map_err(|error| Failure(StatusCode::CONFLICT, error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn approve(
    State(server): State<Server>,
    Path((org, repo, build, job)): Path<(String, String, String, String)>,
) -> Result<StatusCode, Failure> {
    server.build(Path((org, repo, build))).await?.approve(&job, "http").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a request is answered that could not be done.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let status = match error {
            SubmitError::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            SubmitError::Denied { .. } => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<BuildsError> for Failure {
    fn from(error: BuildsError) -> Self {
        let status = match error {
            BuildsError::NoBuild { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<OutsideError> for Failure {
    fn from(error: OutsideError) -> Self {
        Self(StatusCode::CONFLICT, error.to_string())
    }
}

#[allow(dead_code, reason = "this file is a module of a test, too")]
fn main() -> Result<(), Box<dyn Error>> {
    // First of all: in the process that compiles a script, this does not return.
    monkeyci_host::compile_if_child();
    let mut arguments = std::env::args().skip(1);
    let (Some(home), Some(script), Some(code)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: axum_server HOME SCRIPT.WASM CODE [ADDRESS]".into());
    };
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = Host::builder(home).open().await?;
        let server = Server { host, script: std::fs::read(script)?.into(), code: code.into() };
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}", listener.local_addr()?);
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        Ok(server.serve(listener, stop).await?)
    })
}
