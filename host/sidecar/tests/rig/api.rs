//! The build API as far as a sidecar sees it, on a Unix socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use monkeyci_api::{
    CACHE_HEADER, Continued, DIGEST_HEADER, HoldQuery, LOG_FROM_HEADER, LogDecoder, Problem, SidecarPlan,
    SidecarReport, Stored,
};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use super::HANGS;

/// What the API knows, and what it was told.
#[derive(Default)]
pub struct State {
    pub plan: Option<SidecarPlan>,
    pub workspace: Option<Vec<u8>>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    pub caches: BTreeMap<String, Vec<u8>>,
    /// Whether caches are found under keys that only start alike.
    pub caches_are_older: bool,
    /// What the job exposed.
    pub outputs: Option<Vec<u8>>,
    /// The job's test reports.
    pub tests: Vec<Vec<u8>>,
    /// Requests that are answered with 422.
    pub refused: Vec<String>,
    pub log: Vec<u8>,
    /// How many bytes of output are in it.
    pub logged: u64,
    /// Whether nobody is told what is kept of logs, as if each answer got lost.
    pub says_nothing_of_logs: bool,
    /// Downloads that break off in the midst, the first time.
    pub cut_off: Vec<String>,
    pub running: bool,
    /// Where the job is held, and was.
    pub held: Vec<HoldQuery>,
    /// How often it may go on.
    pub continued: u32,
    pub result: Option<SidecarReport>,
    /// Requests in the order they came, but for logs.
    pub requests: Vec<String>,
    /// Whether logs are answered with 413.
    pub log_refused: bool,
    /// Requests that are answered with 500.
    pub broken: Vec<String>,
    /// Requests that are answered with 507, and how often before they go well.
    pub failing: BTreeMap<String, u32>,
    /// The digests that downloads come with, by path.
    pub digests: BTreeMap<String, String>,
    /// Bytes of logs are counted and not kept.
    pub log_counted: Option<u64>,
    /// Requests that are answered when all of them have come, and with 500 if they don't.
    pub together: Vec<String>,
    met: Option<Arc<Barrier>>,
}

pub struct Api {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl Api {
    pub fn start(socket: &Path) -> Self {
        let mut tar = Vec::new();
        let empty = tempfile::tempdir().unwrap();
        monkeyci_archive::pack_workspace(empty.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut tar).unwrap();
        let state = Arc::new(Mutex::new(State { workspace: Some(tar), ..State::default() }));
        let mut api = Self { socket: socket.to_owned(), state, runtime: None };
        api.serve();
        api
    }

    fn serve(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(&self.socket).unwrap() });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&self.state));
        runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
        self.runtime = Some(runtime);
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Goes away, with all connections.
    pub fn stop(&mut self) {
        self.runtime.take().unwrap().shutdown_timeout(HANGS);
    }

    /// Comes back, with all that it knows.
    pub fn come_back(&mut self) {
        std::fs::remove_file(&self.socket).unwrap();
        self.serve();
    }
}

/// Takes a log, and says after each frame up to where it is kept.
async fn take_log(state: Arc<Mutex<State>>, mut place: u64, mut body: Body) -> Response {
    let (kept, places) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut decoder = LogDecoder::default();
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap();
            let mut state = state.lock().unwrap();
            if let Some(count) = &mut state.log_counted {
                *count += data.len() as u64;
            }
            decoder.push(&data);
            while let Some(frame) = decoder.next_frame().unwrap() {
                place += frame.bytes.len() as u64;
                if place > state.logged {
                    state.logged = place;
                    if state.log_counted.is_none() {
                        let mut encoded = BytesMut::new();
                        frame.encode(&mut encoded);
                        state.log.extend_from_slice(&encoded);
                    }
                }
                if !state.says_nothing_of_logs {
                    let _ = kept.send(place);
                }
            }
        }
    });
    let places = futures::stream::unfold(places, async |mut places| {
        let place: u64 = places.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::copy_from_slice(&place.to_be_bytes())), places))
    });
    Body::from_stream(places).into_response()
}

/// Answers when the job may go on; the first time it is asked, at once that it may not yet.
async fn hold(state: Arc<Mutex<State>>, query: HoldQuery) -> Response {
    let number = query.number;
    let is_asked_again = {
        let mut state = state.lock().unwrap();
        let is_asked_again = state.held.last().is_some_and(|last| last.number == number);
        match state.held.last() {
            Some(last) if is_asked_again => assert_eq!(last.held, query.held),
            _ => state.held.push(query),
        }
        is_asked_again
    };
    if !is_asked_again {
        return axum::Json(Continued { continued: false }).into_response();
    }
    while state.lock().unwrap().continued < number {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    axum::Json(Continued { continued: true }).into_response()
}

async fn handle(Shared(state): Shared<Arc<Mutex<State>>>, request: Request<Body>) -> Response {
    assert_eq!(request.headers()["authorization"], "Bearer secret");
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix("/v1/builds/org/repo/1").unwrap().to_owned();
    if path == "/jobs/test/logs" {
        if state.lock().unwrap().log_refused {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        let from = head.headers[LOG_FROM_HEADER].to_str().unwrap().parse().unwrap();
        return take_log(state, from, body).await;
    }
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let body = body.to_bytes().to_vec();
    if path == "/jobs/test/held" {
        return hold(state, serde_json::from_slice(&body).unwrap()).await;
    }
    let request = format!("{} {path}", head.method);
    let met = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let all = state.together.len();
        let together = state.together.contains(&request);
        together.then(|| state.met.get_or_insert_with(|| Arc::new(Barrier::new(all))).clone())
    };
    if let Some(met) = met
        && tokio::time::timeout(HANGS, met.wait()).await.is_err()
    {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut state = state.lock().unwrap();
    if state.broken.contains(&request) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if let Some(times @ 1..) = state.failing.get_mut(&request) {
        *times -= 1;
        return StatusCode::INSUFFICIENT_STORAGE.into_response();
    }
    if state.refused.contains(&request) {
        let problem = Problem { status: 422, title: "no".to_owned(), detail: "this is not for me".to_owned() };
        return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(problem)).into_response();
    }
    if let Some(cut) = state.cut_off.iter().position(|cut| *cut == request) {
        state.cut_off.remove(cut);
        let half = state.workspace.as_ref().map_or(0, |workspace| workspace.len() / 2);
        let half = Bytes::copy_from_slice(&state.workspace.as_ref().unwrap()[..half]);
        let broken = [Ok(half), Err(std::io::Error::other("cut off"))];
        return Body::from_stream(futures::stream::iter(broken)).into_response();
    }
    let stored = |size: usize| axum::Json(Stored { size: size as u64, digest: String::new() }).into_response();
    let found = |bytes: Option<&Vec<u8>>| match bytes {
        Some(bytes) => match state.digests.get(&path) {
            Some(digest) => ([(DIGEST_HEADER, digest.clone())], bytes.clone()).into_response(),
            None => bytes.clone().into_response(),
        },
        None => StatusCode::NOT_FOUND.into_response(),
    };
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match (&head.method, segments.as_slice()) {
        (&Method::GET, ["jobs", "test", "plan"]) => axum::Json(state.plan.clone().unwrap()).into_response(),
        (&Method::POST, ["jobs", "test", "running"]) => {
            state.running = true;
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::POST, ["jobs", "test", "result"]) => {
            state.result = Some(serde_json::from_slice(&body).unwrap());
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::GET, ["workspace"]) => found(state.workspace.as_ref()),
        (&Method::GET, ["artifacts", id]) => found(state.artifacts.get(*id)),
        (&Method::GET, ["caches", id]) => {
            let kind = if state.caches_are_older { "other" } else { "exact" };
            ([(CACHE_HEADER, kind)], found(state.caches.get(*id))).into_response()
        }
        (&Method::POST, ["jobs", "test", "outputs"]) => {
            state.outputs = Some(body);
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::POST, ["jobs", "test", "test-reports"]) => {
            state.tests.push(body);
            StatusCode::NO_CONTENT.into_response()
        }
        (&Method::PUT, ["artifacts", id]) => {
            let size = body.len();
            state.artifacts.insert((*id).to_owned(), body);
            stored(size)
        }
        (&Method::PUT, ["caches", id]) => {
            let size = body.len();
            state.caches.insert((*id).to_owned(), body);
            stored(size)
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
