//! What comes of a daemon that hangs up, or says nothing any more: a double that speaks just enough of Docker's API.

#[path = "conformance/hang_guard.rs"]
mod hang_guard;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hang_guard::HANGS;
use monkeyci_build::{Readiness, ServiceSpec};
use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError, Part, Pod};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// What the daemon does with a request that it does not hang up on.
enum Answer {
    /// Status and body.
    Whole(&'static str, &'static str),
    /// The beginning of a body, and then nothing for ever.
    Begun(&'static str),
    HangUp,
}

const VERSION: Answer = Answer::Whole("200 OK", r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#);

struct Daemon {
    engine: DockerEngine,
    directory: TempDir,
}

impl Daemon {
    /// One whose answers are waited for.
    async fn new(answer: fn(&str) -> Answer) -> Self {
        Self::with_patience(HANGS, answer).await
    }

    /// One that gets this long to answer.
    async fn with_patience(request: Duration, answer: fn(&str) -> Answer) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer));
            }
        });
        let options = DockerOptions {
            socket: Some(format!("unix://{}", socket.display())),
            request,
            pull_stall: Duration::from_millis(300),
            ..DockerOptions::default()
        };
        Self { engine: DockerEngine::connect(options).await.expect("it answers"), directory }
    }

    fn pod(&self) -> Pod {
        let file = self.directory.path().join("file");
        std::fs::write(&file, "content").expect("a file can be written");
        Pod {
            key: "pod".to_owned(),
            owner: "owner".to_owned(),
            build: "a/b/1".to_owned(),
            job: "job".to_owned(),
            image: "debian:12".to_owned(),
            architecture: None,
            user: None,
            env: BTreeMap::new(),
            memory_bytes: None,
            cpu_millis: None,
            shm_bytes: None,
            pull: Default::default(),
            entrypoint_of_image: false,
            network: Default::default(),
            network_allow: Vec::new(),
            services: Vec::new(),
            service_env: BTreeMap::new(),
            sidecar_program: file.clone(),
            guard_program: file.clone(),
            sidecar_config: file,
            api_dir: None,
        }
    }
}

async fn serve(mut stream: UnixStream, answer: fn(&str) -> Answer) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.is_ok_and(|read| read == 0) {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let line = request.lines().next().unwrap_or_default();
    let answer = answer(line);
    let text = match answer {
        Answer::Whole(status, body) => {
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }
        Answer::Begun(body) => {
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len())
        }
        Answer::HangUp => return,
    };
    let _ = stream.write_all(text.as_bytes()).await;
    if matches!(answer, Answer::Begun(_)) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_daemon_that_hangs_up_is_gone_whatever_it_was_asked() {
    let daemon = Daemon::new(|line| match line {
        line if line.contains("/version") => VERSION,
        _ => Answer::HangUp,
    })
    .await;
    let engine = &daemon.engine;
    let errors = [
        engine.start(&daemon.pod(), &|_| {}).await.err(),
        engine.wait("pod", &Part::Job).await.err(),
        engine.stop("pod", Duration::ZERO).await.err(),
        engine.last_lines("pod", &Part::Sidecar, 1).await.err(),
        engine.remove("pod").await.err(),
        engine.sweep("owner", &Default::default(), true).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(EngineError::Gone(_))), "{error:?}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_lost_while_a_job_runs_is_gone() {
    // It accepts to wait, and is killed: the answer ends before it has begun.
    let daemon = Daemon::new(|line| match line {
        line if line.contains("/version") => VERSION,
        line if line.contains("/wait") => Answer::Whole("200 OK", ""),
        _ => Answer::Whole("200 OK", "{}"),
    })
    .await;
    let error = daemon.engine.wait("pod", &Part::Job).await.err();
    assert!(matches!(error, Some(EngineError::Gone(_))), "{error:?}");
}

#[tokio::test]
async fn a_daemon_that_stops_in_the_middle_of_its_answers_is_gone() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let daemon = Daemon::with_patience(PATIENCE, |line| match line {
        line if line.contains("/version") => VERSION,
        _ => Answer::Begun(" "),
    })
    .await;
    let engine = &daemon.engine;
    let mut errors = vec![
        engine.answers().await.err(),
        engine.start(&daemon.pod(), &|_| {}).await.err(),
        engine.last_lines("pod", &Part::Sidecar, 1).await.err(),
        engine.remove("pod").await.err(),
        engine.sweep("owner", &Default::default(), true).await.err(),
    ];
    // The same where the pod is not there yet, so that all that it needs is asked for.
    let daemon = Daemon::with_patience(PATIENCE, |line| match line {
        line if line.contains("/version") => VERSION,
        line if line.contains("/containers/pod-") => Answer::Whole("404 Not Found", r#"{"message":"not here"}"#),
        _ => Answer::Begun(" "),
    })
    .await;
    errors.push(daemon.engine.start(&daemon.pod(), &|_| {}).await.err());
    for error in errors {
        assert!(matches!(error, Some(EngineError::Gone(_))), "{error:?}");
    }
}

#[tokio::test]
async fn a_pull_without_progress_is_given_up() {
    let daemon = Daemon::new(|line| match line {
        line if line.contains("/version") => VERSION,
        line if line.contains("/info") => Answer::Whole("200 OK", "{}"),
        line if line.starts_with("GET") => Answer::Whole("404 Not Found", r#"{"message":"not here"}"#),
        line if line.contains("/images/create") => Answer::Begun("{\"status\":\"Pulling from library/debian\"}\n"),
        _ => Answer::Begun(" "),
    })
    .await;
    let error = daemon.engine.start(&daemon.pod(), &|_| {}).await.err();
    match error {
        Some(EngineError::RegistryUnavailable { image, reason }) => {
            assert_eq!((image.as_str(), reason.as_str()), ("debian:12", "the pull made no progress for 0.3 s"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_daemon_that_can_not_list_networks_while_a_container_ends_is_asked_again_and_not_for_ever() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    static WENT: AtomicU32 = AtomicU32::new(2);
    // All addresses are in use, by networks that no pod has.
    let daemon = Daemon::new(|line| match line {
        line if line.contains("/version") => VERSION,
        line if line.contains("/info") => Answer::Whole("200 OK", "{}"),
        line if line.contains("/images/") && line.contains("/json") => Answer::Whole("200 OK", "{}"),
        line if line.contains("/volumes/create") => Answer::Whole(
            "201 Created",
            r#"{"Name":"v","Driver":"local","Mountpoint":"/v","Scope":"local","Labels":{"monkeyci.pod":"pod"},"Options":{}}"#,
        ),
        line if line.contains("/containers/create") => {
            Answer::Whole("201 Created", r#"{"Id":"c","Warnings":[]}"#)
        }
        line if line.contains("/networks/create") => {
            Answer::Whole("403 Forbidden", r#"{"message":"Pool overlaps with other one on this address space"}"#)
        }
        line if line.contains("/networks") => {
            let asked = ASKED.fetch_add(1, Ordering::Relaxed);
            match asked < WENT.load(Ordering::Relaxed) {
                true => Answer::Whole(
                    "500 Internal Server Error",
                    r#"{"message":"read /proc/16368/cgroup: no such process"}"#,
                ),
                false => Answer::Whole("200 OK", "[]"),
            }
        }
        line if line.starts_with("GET") => Answer::Whole("404 Not Found", r#"{"message":"not here"}"#),
        _ => Answer::Whole("200 OK", "{}"),
    })
    .await;
    for (went, told) in [(2, "all addresses of "), (u32::MAX, "/proc/16368/cgroup")] {
        WENT.store(went, Ordering::Relaxed);
        let error = daemon.engine.start(&daemon.pod(), &|_| {}).await.err();
        assert!(matches!(&error, Some(EngineError::Refused { reason, .. }) if reason.contains(told)), "{error:?}");
    }
}

#[tokio::test]
async fn a_daemon_is_asked_to_give_a_job_its_whole_grace() {
    static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let daemon = Daemon::new(|line| match line {
        line if line.contains("/version") => VERSION,
        line => {
            ASKED.lock().expect("a lock").push(line.to_owned());
            Answer::Whole("204 No Content", "")
        }
    })
    .await;
    for grace in [0, 10_000, 1_001] {
        daemon.engine.stop("pod", Duration::from_millis(grace)).await.expect("stopped");
    }
    let asked = ASKED.lock().expect("a lock").clone();
    let seconds =
        |line: &String| line.split_once("/stop?t=").map(|(_, rest)| rest.split(['&', ' ']).next().map(str::to_owned));
    assert_eq!(asked.iter().filter_map(|line| seconds(line)?).collect::<Vec<_>>(), ["0", "10", "2"], "{asked:?}");
}

#[tokio::test]
async fn a_ready_command_does_not_run_where_the_user_of_a_service_can_not_be_told() {
    static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let daemon = Daemon::new(|line| match line {
        line if line.contains("/version") => VERSION,
        line if line.contains("/wait") => Answer::Begun(" "),
        line if line.contains("/json") => Answer::Whole(
            "200 OK",
            r#"{"State":{"Running":true},"Config":{"Labels":{"monkeyci.pod":"pod"}},"Args":["guard","{}}"]}"#,
        ),
        line => {
            ASKED.lock().expect("a lock").push(line.to_owned());
            Answer::Whole("500 Internal Server Error", r#"{"message":"no"}"#)
        }
    })
    .await;
    let service = ServiceSpec {
        name: "db".to_owned(),
        image: "debian:12".to_owned(),
        argv: None,
        env: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        readiness: vec![Readiness::Command(vec!["true".to_owned()])],
        ready_timeout_ms: 1_000,
    };
    let error = daemon.engine.wake("pod", &[service], &BTreeMap::new(), &|_| {}).await.err();
    assert!(
        matches!(&error, Some(EngineError::Refused { what, reason }) if what.contains("pod-svc-db") && reason.contains("guard")),
        "{error:?}"
    );
    assert_eq!(*ASKED.lock().expect("a lock"), [] as [String; 0], "nothing is run");
}
