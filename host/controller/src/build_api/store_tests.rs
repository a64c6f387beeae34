//! What comes out of the store is what went in, or an error that says so; and what is kept of logs.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_api::{
    Body, BuildInfo, ByteStream, Client, ClientError, LogDecoder, LogFrame, LogStream, Role, Scope, SidecarPlan,
};
use monkeyci_archive::WorkspaceFiles;
use monkeyci_build::{BuildState, CacheSpec, Event, EventBody, Input, JobDraft, Source, check};
use monkeyci_storage::{Blobs, names};

use super::{Api, router, socket_router, tests, workspace_files};
use crate::clock::MachineClock;
use crate::disk::DiskLimits;
use crate::hang_guard;
use crate::inputs::Inputs;
use crate::logs::LogLimits;
use crate::logs::Masking;
use crate::observer::Observer;
use crate::running::{BuildDirs, BuildHandle};
use crate::serve::{Listener, SILENCE, in_process};
use crate::source::SourceRequest;
use crate::tokens::Tokens;

const BUILD: &str = "org/repo/1";

/// An API that serves a build with the job `mine`, which has the cache `kept`.
struct Rig {
    api: Arc<Api>,
    live: Arc<BuildHandle>,
    seen: Arc<Seen>,
    /// The store is in `blobs` of it, the code in `code`.
    dir: tempfile::TempDir,
}

/// What an observer sees of logs.
#[derive(Default)]
struct Seen {
    bytes: AtomicU64,
    text: Mutex<Vec<u8>>,
}

impl Observer for Seen {
    fn log(&self, _build: &str, _job: Option<&str>, frame: &LogFrame) {
        self.bytes.fetch_add(frame.bytes.len() as u64, Ordering::Relaxed);
        self.text.lock().expect("no panic").extend_from_slice(&frame.bytes);
    }
}

impl Rig {
    fn new(limits: LogLimits) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (code, blobs) = (dir.path().join("code"), dir.path().join("blobs"));
        for dir in [&code, &blobs] {
            std::fs::create_dir(dir).expect("a directory");
        }
        std::fs::write(code.join("file"), "content").expect("a file");
        let api = Api::new(Arc::new(Tokens::new(MachineClock::new())), Blobs::local(&blobs).expect("a store"), limits);
        let inputs = Inputs::default();
        let masking = Masking::new(&inputs).expect("masks");
        let source = SourceRequest::Dir(code.clone());
        let (state, seen) = (running(&["mine", "another"]), Arc::new(Seen::default()));
        let (live, inbox) = BuildHandle::new(BUILD, &source, inputs, masking, seen.clone(), state);
        let source = Source { branch: Some("main".to_owned()), ..Source::default() };
        let _ = live.info.set(BuildInfo { id: BUILD.to_owned(), trigger: "test".to_owned(), source });
        let workspace = Dir::open_ambient_dir(&code, ambient_authority()).expect("a directory");
        let (files, outputs) = (WorkspaceFiles::all(), dir.path().join("outputs"));
        let _ = live.dirs.set(BuildDirs { path: code, files, history: None, workspace, outputs });
        live.watch_pod("mine", plan());
        api.register(live.clone());
        tokio::spawn(live.clone().take_in_all(inbox));
        Self { api, live, seen, dir }
    }

    fn token(&self, job: &str) -> monkeyci_api::Token {
        let scopes = vec![
            Scope::ArtifactRead("out".to_owned()),
            Scope::ArtifactWrite("out".to_owned()),
            Scope::Cache("kept".to_owned()),
            Scope::WorkspaceRead,
            Scope::LogWrite,
        ];
        let role = Role::Sidecar { job: job.to_owned() };
        self.api.tokens.issue(BUILD, (role, 1), scopes, Duration::from_secs(3600)).expect("a token")
    }

    fn client(&self) -> Client {
        Client::in_process(in_process(router(self.api.clone())), BUILD, self.token("mine")).expect("a client")
    }

    /// Changes one bit of the only file below `dir` of the store.
    fn corrupt(&self, dir: &str) -> PathBuf {
        let mut path = self.dir.path().join("blobs").join(dir);
        while path.is_dir() {
            path = std::fs::read_dir(&path).expect("a directory").next().expect("an entry").expect("an entry").path();
        }
        let mut bytes = std::fs::read(&path).expect("a file");
        bytes[0] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// The frames of the stored log.
    async fn stored(&self) -> Vec<LogFrame> {
        let mut decoder = LogDecoder::default();
        for part in 0.. {
            let name = names::log(BUILD, Some("mine"), part);
            let Some(mut bytes) = self.api.blobs.get(&name).await.expect("a store") else { break };
            while let Some(chunk) = bytes.try_next().await.expect("bytes") {
                decoder.push(&chunk);
            }
        }
        std::iter::from_fn(|| decoder.next_frame().expect("frames")).collect()
    }
}

/// A build of which these jobs run.
fn running(jobs: &[&str]) -> BuildState {
    let mut state = BuildState::new(NonZeroUsize::new(jobs.len()).expect("not 0"));
    let drafts: Vec<_> = jobs.iter().map(|job| JobDraft::action(*job)).collect();
    let specs = check(&drafts, &[]).expect("no faults").graph.into_jobs();
    let before = [
        EventBody::BuildTriggered { build: BUILD.to_owned(), trigger: "test".to_owned() },
        EventBody::BuildCheckedOut { source: Source::default() },
        EventBody::ScriptDefined { jobs: specs, removed: vec![], params: vec![] },
    ];
    let started = jobs.iter().map(|job| EventBody::JobStarted { job: (*job).to_owned(), attempt: 1 });
    for (seq, body) in (1..).zip(before.into_iter().chain(started)) {
        drop(state.step(Input::Event(&Event { seq, time_ms: seq, body })));
    }
    state
}

fn plan() -> SidecarPlan {
    let cache = CacheSpec { id: "kept".to_owned(), key: "k".to_owned(), ..CacheSpec::default() };
    SidecarPlan { caches: vec![cache], ..tests::plan() }
}

fn frame(stream: LogStream, bytes: Bytes) -> Bytes {
    let mut encoded = BytesMut::new();
    LogFrame { stream, time_ms: 1, bytes }.encode(&mut encoded);
    encoded.freeze()
}

fn log_of(frames: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> Body {
    Body::wrap_stream(stream::iter(frames.into_iter().map(Ok::<_, std::io::Error>)))
}

async fn outcome(bytes: ByteStream) -> Result<Vec<u8>, ClientError> {
    Ok(bytes.try_collect::<Vec<Bytes>>().await?.concat())
}

#[track_caller]
fn changed(outcome: Result<Vec<u8>, ClientError>) {
    let error = outcome.expect_err("it was changed");
    assert!(matches!(error, ClientError::Changed { .. }), "{error:?}");
    assert!(error.to_string().contains("the store has changed it"), "{error}");
}

#[tokio::test]
async fn an_artifact_that_the_store_has_changed_is_an_error() {
    let rig = Rig::new(LogLimits::default());
    let client = rig.client();
    client.save_artifact("out", Body::from("content")).await.expect("saved");
    let bytes = client.artifact("out").await.expect("an answer").expect("an artifact");
    assert_eq!(outcome(bytes).await.expect("right"), b"content");
    rig.corrupt("artifacts");
    changed(outcome(client.artifact("out").await.expect("an answer").expect("an artifact")).await);
}

#[tokio::test]
async fn an_artifact_that_is_only_in_the_store_is_not_there() {
    let rig = Rig::new(LogLimits::default());
    let name = names::artifact(&rig.live.id, "out", 1);
    rig.api.blobs.put_whole(&name, Bytes::from("content").into()).await.expect("stored");
    assert!(rig.client().artifact("out").await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_workspace_that_the_store_has_changed_is_an_error() {
    let rig = Rig::new(LogLimits::default());
    rig.live.pack_workspace(&rig.api.blobs).await.expect("packed");
    outcome(rig.client().workspace().await.expect("an answer")).await.expect("right");
    rig.corrupt("workspaces");
    changed(outcome(rig.client().workspace().await.expect("an answer")).await);
}

/// A script's client.
fn script(rig: &Rig) -> Client {
    let (role, scopes) = (Role::Script { job: Some("mine".to_owned()) }, vec![Scope::FilesRead, Scope::ArtifactsRead]);
    let token = rig.api.tokens.issue(BUILD, (role, 1), scopes, Duration::from_secs(3600)).expect("a token");
    Client::in_process(in_process(router(rig.api.clone())), BUILD, token).expect("a client")
}

#[tokio::test]
async fn no_link_of_the_workspace_leads_into_git_s_own_directory() {
    let rig = Rig::new(LogLimits::default());
    let code = rig.dir.path().join("code");
    std::fs::create_dir_all(code.join(".git/refs")).expect("a directory");
    std::fs::write(code.join(".git/config"), "s3cret").expect("written");
    for (link, to) in [("conf", ".git/config"), ("git", ".git"), ("twice", "conf"), ("kept", "file")] {
        std::os::unix::fs::symlink(to, code.join(link)).expect("a link");
    }
    let client = script(&rig);
    let invalid = |error: ClientError| {
        assert_eq!(error.status(), Some(400), "{error}");
        assert!(error.to_string().contains(".git"), "{error}");
    };
    for path in ["conf", "git/config", "twice", ".git/config"] {
        invalid(client.file(path).await.err().expect(path));
    }
    for path in ["git", "git/refs", ".git"] {
        invalid(client.dir(path).await.expect_err(path));
    }
    invalid(client.stat("git/config").await.expect_err("in it"));
    assert_eq!(client.stat("conf").await.expect("a link").kind.as_deref(), Some("symlink"));
    assert_eq!(client.stat("none/at/all").await.expect("nothing").kind, None);
    let kept = client.file("kept").await.expect("an honest link");
    assert_eq!(outcome(kept.bytes).await.expect("read"), b"content");
}

#[tokio::test]
async fn readers_that_nobody_reads_hold_no_thread_and_there_are_so_many_of_them() {
    let rig = Rig::new(LogLimits::default());
    let mut archive = Vec::new();
    let large = vec![b'x'; 4 << 20];
    monkeyci_archive::pack_file("large".as_ref(), 4 << 20, &large[..], &mut archive).expect("packed");
    rig.client().save_artifact("out", Body::from(archive)).await.expect("saved");
    let client = script(&rig);
    let mut open = Vec::new();
    let refused = loop {
        match client.artifact_file("out", "large").await {
            Ok(reader) => open.push(reader),
            Err(error) => break error,
        }
        assert!(open.len() < 1000, "there is a limit");
    };
    assert!(refused.status() == Some(429) && refused.to_string().contains("readers"), "{refused}");
    let (files, other) = (client.file("file").await, tokio::task::spawn_blocking(|| ()));
    assert_eq!(files.err().and_then(|error| error.status()), Some(429));
    hang_guard::ends("a free thread", other).await.expect("it ran");
    let one = open.pop().expect("a reader");
    assert_eq!(outcome(one.bytes).await.expect("read").len(), 4 << 20);
    client.file("file").await.expect("there is room again");
}

#[tokio::test]
async fn a_glob_says_what_it_can_not_read() {
    let rig = Rig::new(LogLimits::default());
    let code = rig.dir.path().join("code");
    let files = WorkspaceFiles::of_working_tree([]);
    let workspace = Dir::open_ambient_dir(&code, ambient_authority()).expect("a directory");
    let dirs =
        BuildDirs { path: code.clone(), files, history: None, workspace, outputs: rig.dir.path().join("outputs") };
    std::fs::write(code.join(".gitignore"), "x*y?z\n".repeat(100_000)).expect("written");
    let error = workspace_files::glob(&dirs, &["**".to_owned()]).expect_err("too long");
    assert!(format!("{error:?}").contains("has more patterns than are read"), "{error:?}");
    std::fs::remove_file(code.join(".gitignore")).expect("removed");
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a-\xff.odd");
    std::fs::write(code.join(odd), "x").expect("written");
    let error = workspace_files::glob(&dirs, &["*.odd".to_owned()]).expect_err("no text");
    assert!(format!("{error:?}").contains("its name is not UTF-8"), "{error:?}");
    assert_eq!(workspace_files::glob(&dirs, &["f*".to_owned()]).expect("a list"), ["file"]);
    // What can't be opened is an error, and not nothing.
    std::fs::rename(&code, rig.dir.path().join("moved")).expect("moved");
    let error = workspace_files::glob(&dirs, &["**".to_owned()]).expect_err("not there");
    assert!(format!("{error:?}").contains("can't be read"), "{error:?}");
    let none_free = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
    let error = workspace_files::failed("src".as_ref(), &none_free);
    assert!(format!("{error:?}").contains("the host has too many files open"), "{error:?}");
}

#[tokio::test]
async fn a_workspace_with_git_needs_a_repository() {
    let rig = Rig::new(LogLimits::default());
    let error = rig.live.pack_workspace_with_git(&rig.api.blobs).await.expect_err("there is none");
    assert!(error.to_string().contains("in no git repository"), "{error}");
}

#[tokio::test]
async fn a_cache_that_the_store_has_changed_is_an_error_once_and_then_gone() {
    let rig = Rig::new(LogLimits::default());
    let client = rig.client();
    client.save_cache("kept", Body::from("content")).await.expect("saved");
    let hit = client.cache("kept").await.expect("an answer").expect("a cache");
    assert_eq!(outcome(hit.archive).await.expect("right"), b"content");
    let path = rig.corrupt("caches");
    changed(outcome(client.cache("kept").await.expect("an answer").expect("a cache").archive).await);
    hang_guard::until("its removal", || !path.exists()).await;
    assert!(client.cache("kept").await.expect("an answer").is_none());
}

#[tokio::test]
async fn an_artifact_may_be_sent_again_by_its_job_and_only_as_it_was() {
    let rig = Rig::new(LogLimits::default());
    let client = rig.client();
    let first = client.save_artifact("out", Body::from("content")).await.expect("saved");
    assert_eq!(client.save_artifact("out", Body::from("content")).await.expect("the same"), first);
    let other = client.save_artifact("out", Body::from("another")).await.expect_err("not the same");
    assert_eq!(other.status(), Some(409));
    let another =
        Client::in_process(in_process(router(rig.api.clone())), BUILD, rig.token("another")).expect("a client");
    let other = another.save_artifact("out", Body::from("content")).await.expect_err("not its own");
    assert_eq!(other.status(), Some(409));
}

#[tokio::test]
async fn what_a_sidecar_saves_draws_on_the_disk_of_its_build_and_what_is_refused_gives_its_part_back() {
    let rig = Rig::new(LogLimits::default());
    let journal = rig.dir.path().to_owned();
    rig.live.disk.set(DiskLimits { of_build: 20_000, reserve: 0 }, journal);
    let client = rig.client();
    let refused = |error: ClientError| {
        assert_eq!(error.status(), Some(429));
        assert!(error.to_string().contains("the build's disk"), "{error}");
    };
    refused(client.save_cache("kept", Body::from(vec![b'x'; 30_000])).await.expect_err("too large"));
    refused(client.save_artifact("out", Body::from(vec![b'x'; 30_000])).await.expect_err("too large"));
    client.save_artifact("out", Body::from(vec![b'x'; 8000])).await.expect("it fits");
    refused(client.save_cache("kept", Body::from(vec![b'x'; 8000])).await.expect_err("both do not"));
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_can_be_made_again() {
    let rig = Rig::new(LogLimits::default());
    let socket = rig.dir.path().join("api");
    std::fs::create_dir(&socket).expect("a directory");
    let _listener = Listener::unix(&socket, "api.sock", socket_router(rig.api.clone(), SILENCE)).expect("a socket");
    let client = Client::unix(&socket.join("api.sock"), BUILD, rig.token("mine")).expect("a client");
    let half = stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("broken"))]);
    client.save_artifact("out", Body::wrap_stream(half)).await.expect_err("broken");
    let again = async {
        loop {
            match client.save_artifact("out", Body::from("whole")).await {
                Err(error) if error.is_passing() => tokio::time::sleep(Duration::from_millis(10)).await,
                other => break other.expect("saved"),
            }
        }
    };
    hang_guard::ends("the first upload", again).await;
    let bytes = client.artifact("out").await.expect("an answer").expect("an artifact");
    assert_eq!(outcome(bytes).await.expect("right"), b"whole");
}

#[tokio::test]
async fn a_log_within_its_limits_is_kept_as_it_is_also_if_it_is_one_line_of_noise() {
    let rig = Rig::new(LogLimits::default());
    // 6 MiB: more than one part. No line feed, and no UTF-8.
    let noise = |i: u8| Bytes::from(vec![0x80 | i; 64 << 10]);
    rig.client()
        .send_log(Some("mine"), log_of((0..96).map(move |i| frame(LogStream::Stdout, noise(i)))))
        .await
        .expect("taken");
    let stored = rig.stored().await;
    assert_eq!(stored.len(), 96);
    assert!(stored.iter().zip(0..).all(|(frame, i)| frame.bytes == noise(i)));
}

#[tokio::test]
async fn of_a_long_log_start_and_end_are_kept_and_watchers_see_all_of_it() {
    let limits = LogLimits { head: 1 << 20, tail: 256 << 10, ..LogLimits::default() };
    let rig = Rig::new(limits);
    let line = |i: u32| Bytes::from(format!("{i:>9} of this job's lines\n"));
    let lines = 200_000;
    rig.client()
        .send_log(Some("mine"), log_of((0..lines).map(move |i| frame(LogStream::Stderr, line(i)))))
        .await
        .expect("taken");

    let all: Vec<u8> = (0..lines).flat_map(line).collect();
    assert!(*rig.seen.text.lock().expect("no panic") == all);

    let stored = rig.stored().await;
    let size: usize = stored.iter().map(|frame| monkeyci_api::LOG_FRAME_HEADER + frame.bytes.len()).sum();
    assert!((limits.head..limits.head + limits.tail + 4096).contains(&size), "{size}");
    let marker = stored.iter().position(|frame| frame.stream == LogStream::Host).expect("a marker");
    let text = |frames: &[LogFrame]| frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect::<Vec<u8>>();
    let (head, tail) = (text(&stored[..marker]), text(&stored[marker + 1..]));
    assert!(all.starts_with(&head) && all.ends_with(&tail));
    let said = String::from_utf8_lossy(&stored[marker].bytes).into_owned();
    assert!(
        said.contains(&format!("({} bytes) of this log are left out", all.len() - head.len() - tail.len())),
        "{said}"
    );
    assert!(said.contains("the first 1.0 MiB and the last 256.0 KiB"), "{said}");
}

#[tokio::test]
async fn what_the_store_does_not_take_of_a_log_is_shown_all_the_same() {
    let rig = Rig::new(LogLimits::default());
    // Where the directory of logs should be.
    std::fs::write(rig.dir.path().join("blobs/logs"), "in the way").expect("a file");
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    let frames = (0..160).map(move |_| frame(LogStream::Stdout, chunk.clone()));
    let end = rig.client().send_log(Some("mine"), log_of(frames)).await.expect_err("it is said at the end");
    assert_eq!(end.status(), Some(507));
    assert_eq!(rig.seen.bytes.load(Ordering::Relaxed), 10 << 20);
}

#[tokio::test]
async fn what_has_arrived_of_a_log_is_in_the_store_soon_though_the_job_still_runs() {
    let rig = Rig::new(LogLimits { written_every: Duration::from_millis(50), ..LogLimits::default() });
    let first = stream::iter([Ok::<_, std::io::Error>(frame(LogStream::Stdout, Bytes::from_static(b"first")))]);
    let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
    let second = stream::once(async {
        let _ = wait.await;
        Ok(frame(LogStream::Stdout, Bytes::from_static(b"second")))
    });
    let client = rig.client();
    let sending =
        tokio::spawn(
            async move { client.send_log(Some("mine"), Body::wrap_stream(first.chain(second.boxed()))).await },
        );
    let arrives = async {
        while rig.stored().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    hang_guard::ends("the wait for the first", arrives).await;
    assert_eq!(rig.stored().await.len(), 1);
    let _ = go_on.send(());
    sending.await.expect("no panic").expect("taken");
    let texts: Vec<_> = rig.stored().await.into_iter().map(|frame| frame.bytes).collect();
    assert_eq!(texts, ["first", "second"]);
}
