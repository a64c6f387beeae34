//! The readers of strangers' bytes that nothing outside of this crate can name, one by one, for the fuzz targets (`tests/fuzz`). No
//! part of what this crate offers.
//!
//! Each of them returns whether what it was given is taken, and not refused; nothing else may come of it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::Body;
use cap_std::fs::Dir;
use http::{Request, header};
use monkeyci_api::scope_table::{BUILD, Case, OTHER, OWN};
use monkeyci_api::{BuildInfo, Claims, Client, ROUTES, Role, Standing, grants};
use monkeyci_archive::WorkspaceFiles;
use monkeyci_build::{BuildState, EventBody, JobDraft, check};
use monkeyci_script::{Action, Limits, Recording, Runtime, RuntimeOptions, Script};
use monkeyci_storage::Blobs;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::build_api::{Api, outputs, router, socket_router};
use crate::clock::MachineClock;
use crate::inputs::Inputs;
use crate::junit;
use crate::lock::lock;
use crate::logs::{LogLimits, Masking};
use crate::observer::Silent;
use crate::running::{BuildDirs, BuildHandle};
use crate::serve::in_process;
use crate::source::{GitAuth, SourceRequest};
use crate::tokens::Tokens;

/// A test report, as a job hands it in.
pub fn test_report(bytes: &[u8]) -> bool {
    let Ok(text) = junit::decode(bytes) else { return false };
    let Ok(summary) = junit::parse(&text, str::to_owned) else { return false };
    assert!(summary.failures.len() <= monkeyci_build::TestSummary::FAILURES, "more failures than are kept");
    true
}

/// The file with a container job's outputs.
pub fn outputs_file(bytes: &[u8]) -> bool {
    let Ok(results) = outputs::parse(bytes) else { return false };
    assert!(results.outputs.len() <= outputs::COUNT, "more outputs than are kept");
    assert!(results.outputs.values().all(|value| value.len() <= outputs::VALUE), "a value that is too long");
    true
}

/// A token: as it comes, which is never one of ours; and as the claims of one that is.
pub fn token(bytes: &[u8]) -> bool {
    let tokens = Tokens::new(MachineClock::new());
    let text = String::from_utf8_lossy(bytes);
    assert!(tokens.check(&text).is_err(), "a token that nobody signed");
    let Ok(claims) = serde_json::from_slice::<Claims>(bytes) else { return false };
    let Ok(signed) = tokens.sign(&claims) else { return false };
    let read = tokens.check(signed.expose());
    let ours = claims.iss == monkeyci_api::ISSUER && claims.aud == monkeyci_api::AUDIENCE;
    assert_eq!(read.is_ok(), ours, "whose it is");
    let opens = |case: Case| case.admits(&claims, Standing::Runs).is_ok();
    read.is_ok() && Case::all().step_by(7).filter(|case| opens(*case)).count() > 0
}

/// What a tree of a repository holds: the first two bytes are the length of what follows them, the content of its `.gitattributes`;
/// the rest is a tree object, as it is. It is committed, cloned and checked out.
pub fn git_tree(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_at_checked(2) else { return false };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let (attributes, tree) = rest.split_at(length.min(rest.len()));
    let Ok(dir) = tempfile::tempdir() else { return false };
    let repository = dir.path().join("repository");
    if commit(&repository, attributes, tree).is_err() {
        return false; // git itself does not take it
    }
    let url = repository.display().to_string();
    let request = SourceRequest::Git { url, reference: None, auth: GitAuth::default() };
    let checkout = dir.path().join("checkout");
    let taken = request.check_out(&checkout, &CancellationToken::new()).is_ok();
    let beside = dir.path().read_dir().map(|entries| entries.count());
    assert_eq!(beside.ok(), Some(1 + usize::from(taken)), "something was written beside the checkout");
    taken
}

fn commit(repository: &Path, attributes: &[u8], tree: &[u8]) -> Result<(), git2::Error> {
    let repository = git2::Repository::init(repository)?;
    for known in [&b""[..], b"one\n", b"target"] {
        repository.blob(known)?;
    }
    let (attributes, odb) = (repository.blob(attributes)?, repository.odb()?);
    let below = odb.write(git2::ObjectType::Tree, tree)?;
    let entry = |mode: &str, name: &str, id: git2::Oid| [format!("{mode} {name}\0").as_bytes(), id.as_bytes()].concat();
    let root = [entry("100644", ".gitattributes", attributes), entry("40000", "sub", below)].concat();
    let root = odb.write(git2::ObjectType::Tree, &root)?;
    let who = "a <a@b> 1700000000 +0000";
    let text = format!("tree {root}\nauthor {who}\ncommitter {who}\n\nfuzzed\n");
    let commit = odb.write(git2::ObjectType::Commit, text.as_bytes())?;
    repository.reference("refs/heads/main", commit, true, "")?;
    repository.set_head("refs/heads/main")
}

/// A request to the build API, as a socket brings it: a byte for the route, one for the bearer, one for the length of a name in the
/// path, the name, and the body. The answer is never the host's own failure.
pub fn api_request(bytes: &[u8]) -> bool {
    let [route, who, length, rest @ ..] = bytes else { return false };
    let (name, body) = rest.split_at(usize::from(*length).min(rest.len()));
    let route = &ROUTES[usize::from(*route) % ROUTES.len()];
    let name = String::from_utf8_lossy(name);
    let path = format!("/v1/builds/{BUILD}{}", route.path_to([&name, "file"]));
    let cases: Vec<Case> = Case::all().filter(|case| case.route.id == route.id).collect();
    let claims = cases[usize::from(*who) % cases.len()].claims();
    let body = body.to_vec();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
    runtime.block_on(async {
        let Some(served) = served(Inputs::default()).await else { return false };
        let Some(()) = served.work().await else { return false };
        let router = socket_router(served.api.clone(), Duration::from_secs(60));
        let Ok(token) = served.tokens.sign(&claims) else { return false };
        let request = Request::builder()
            .method(http::Method::from(route.verb))
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
            .body(Body::from(body));
        let Ok(request) = request else { return false };
        // One that waits for something to happen is given up.
        let answer = tokio::time::timeout(Duration::from_millis(100), router.oneshot(request)).await;
        let Ok(Ok(answer)) = answer else { return false };
        let status = answer.status();
        assert_ne!(status, http::StatusCode::INTERNAL_SERVER_ERROR, "a failure without words");
        let whole = axum::body::to_bytes(answer.into_body(), 64 << 20);
        let _ = tokio::time::timeout(Duration::from_secs(60), whole).await;
        status.is_success()
    })
}

/// What a script calls: `program` is one for the script of `tests/call-script`, whose bytes `script` has. What stands in it before the
/// first action is `define`; the action that is run is called `own`.
pub fn host_calls(script: &[u8], program: &[u8]) -> bool {
    static LOADED: OnceLock<Option<(Runtime, Script)>> = OnceLock::new();
    // One after the other, so that it can be told what is left of each.
    static TURN: Mutex<()> = Mutex::new(());
    let load = || {
        let define_time = Duration::from_millis(300);
        let limits = Limits { memory_bytes: 32 << 20, calls: 2000, handles: 500, define_time, ..Limits::default() };
        let runtime = Runtime::new(RuntimeOptions { cache_dir: None, limits }).ok()?;
        let script = runtime.load(script).ok()?;
        Some((runtime, script))
    };
    let _turn = lock(&TURN);
    let Some((runtime, script)) = LOADED.get_or_init(load) else { return false };
    let params = [("program".to_owned(), String::from_utf8_lossy(program).into_owned())].into();
    let Ok(tokio) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
    let taken = tokio.block_on(async {
        let served = served(Inputs { params, ..Inputs::default() }).await?;
        let creates = ["kept".to_owned()];
        let client = |role: Role, scopes| {
            let attempt = u32::from(role.job().is_some());
            let token = served.tokens.issue(BUILD, (role, attempt), scopes, Duration::from_secs(60)).ok()?;
            Client::in_process(in_process(router(served.api.clone())), BUILD, token).ok()
        };
        let info = BuildInfo { id: BUILD.to_owned(), trigger: "fuzz".to_owned(), source: Default::default() };
        let defining = client(Role::Script { job: None }, grants::define())?;
        let defined = script.define(&defining, info).await.ok()?;
        served.work().await?;
        let acting = client(Role::Script { job: Some(OWN.to_owned()) }, grants::action(OWN, &creates, []))?;
        let action = Action { job: OWN, creates: &creates, ..Action::default() };
        let acted =
            script.act(&acting, &defined.transcript, action, Duration::from_millis(100), &Recording::default()).await;
        Some(defined.failed.is_none() && acted.ended.is_ok())
    });
    assert_eq!((runtime.live_instances(), runtime.taken_memory()), (0, 0), "something is left of an instance");
    taken.unwrap_or(false)
}

/// A build API of one build.
struct Served {
    /// What it serves is in there.
    _dir: tempfile::TempDir,
    tokens: Arc<Tokens>,
    api: Arc<Api>,
    live: Arc<BuildHandle>,
}

impl Served {
    /// From now on two jobs run.
    async fn work(&self) -> Option<()> {
        let jobs = check(&[OWN, OTHER].map(JobDraft::action), &[]).ok()?.graph.into_jobs();
        let defined = EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] };
        self.live.record(defined).await.ok()?;
        for job in [OWN, OTHER] {
            self.live.record(EventBody::JobStarted { job: job.to_owned(), attempt: 1 }).await.ok()?;
        }
        Some(())
    }
}

/// An API that serves one build, whose code is checked out.
async fn served(inputs: Inputs) -> Option<Served> {
    let dir = tempfile::tempdir().ok()?;
    let tokens = Arc::new(Tokens::new(MachineClock::new()));
    let api = Api::new(tokens.clone(), Blobs::local(dir.path()).ok()?, LogLimits::default());
    let masking = Masking::new(&inputs).ok()?;
    let (source, state) = (SourceRequest::Dir(dir.path().to_owned()), BuildState::new(NonZeroUsize::MIN));
    let info = BuildInfo { id: BUILD.to_owned(), trigger: "fuzz".to_owned(), source: Default::default() };
    let (live, inbox) = BuildHandle::new(BUILD, &source, inputs, masking, Arc::new(Silent), state);
    tokio::spawn(live.clone().take_in_all(inbox));
    let triggered = EventBody::BuildTriggered { build: BUILD.to_owned(), trigger: "fuzz".to_owned() };
    let checked_out = EventBody::BuildCheckedOut { source: Default::default() };
    for event in [triggered, checked_out] {
        live.record(event).await.ok()?;
    }
    let (path, outputs) = (dir.path().join("code"), dir.path().join("outputs"));
    std::fs::create_dir(&path).ok()?;
    std::fs::write(path.join("file"), "content").ok()?;
    let workspace = Dir::open_ambient_dir(&path, cap_std::ambient_authority()).ok()?;
    let _ = live.dirs.set(BuildDirs { path, files: WorkspaceFiles::all(), history: None, workspace, outputs });
    let _ = live.info.set(info);
    api.register(live.clone());
    Some(Served { _dir: dir, tokens, api, live })
}
