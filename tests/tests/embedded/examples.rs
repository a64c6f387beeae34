//! The examples of embedding, at work. Nobody hears of them but on a loopback address.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::TryStreamExt;
use monkeyci_host::{
    BoxError, BuildStatus, Capability, Event, EventSink, Host, Policy, Shutdown, SubmitError, Verdict,
};
use monkeyci_tests::hang_guard::{self, HANGS};
use monkeyci_tests::place;
use tokio::net::TcpListener;

use crate::{host, host_without_engine, request, rest};

#[path = "../../../host/cli/examples/axum_server.rs"]
mod axum_server;
#[path = "../../../host/cli/examples/extended/engine.rs"]
pub(crate) mod engine;
#[path = "../../../host/cli/examples/extended/policy.rs"]
mod policy;
#[path = "../../../host/cli/examples/extended/secrets.rs"]
mod secrets;
#[path = "../../../host/cli/examples/extended/sink.rs"]
mod sink;

use axum_server::Server;
use engine::Rehearsal;
use policy::NothingForStrangers;
use secrets::SecretFiles;
use sink::StatusLines;

/// Sends a request, and reads the head of its answer. The rest is still to come.
fn ask(address: SocketAddr, request: &str, headers: &str, body: &str) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(HANGS)).expect("set");
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(answer.read_line(&mut head).expect("a head"), 0, "{head}");
    }
    (head, answer)
}

/// The same with all of the answer: its status, and its body.
fn answered(address: SocketAddr, request: &str, headers: &str, body: &str) -> (u16, String) {
    let (head, mut answer) = ask(address, request, headers, body);
    let mut body = String::new();
    answer.read_to_string(&mut body).expect("a body");
    (head[9..12].parse().expect("a status"), body)
}

fn submit(address: SocketAddr, key: &str) -> String {
    let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
    let (status, body) = answered(address, "POST /builds", &headers, r#"{"case": "resume-approval"}"#);
    assert_eq!(status, 202, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    body["build"].as_str().expect("an id").to_owned()
}

/// The numbers and names of events, as a browser hears them after the last that it has seen, until one of this name.
fn heard(address: SocketAddr, build: &str, seen: Option<&str>, until: &str) -> Vec<(String, String)> {
    let headers = seen.map(|seen| format!("Last-Event-ID: {seen}\r\n")).unwrap_or_default();
    let (head, answer) = ask(address, &format!("GET /builds/{build}/events"), &headers, "");
    assert!(head.contains("text/event-stream"), "{head}");
    let (mut events, mut id) = (Vec::new(), String::new());
    for line in answer.lines() {
        let line = line.expect("a line");
        // A line of its own may be the length of what follows.
        if let Some(number) = line.strip_prefix("id: ") {
            id = number.to_owned();
        } else if let Some(name) = line.strip_prefix("event: ") {
            events.push((id.clone(), name.to_owned()));
        } else if let (Some(data), Some((id, name))) = (line.strip_prefix("data: "), events.last()) {
            let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
            assert_eq!((data["seq"].to_string(), data["type"].as_str()), (id.clone(), Some(name.as_str())));
            if name == until {
                return events;
            }
        }
    }
    panic!("{until} was not said: {events:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_builds_by_post_and_tells_live_what_happens_in_them_also_after_it_was_started_anew() {
    let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let script: axum::body::Bytes = std::fs::read(place::script("probe_script")).expect("the script").into();
    let start = async || {
        let host = host_without_engine(home.path()).await;
        let server = Server { host, script: script.clone(), code: code.path().to_owned() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
        (address, stop, served)
    };
    let (address, stop, served) = start().await;
    let build = tokio::task::spawn_blocking(move || {
        let build = submit(address, "delivery-1");
        assert_eq!(submit(address, "delivery-1"), build);
        build
    })
    .await
    .expect("no panic");

    // One who listens when the server is stopped, and who goes on to listen to the next one.
    let first = tokio::task::spawn_blocking({
        let build = build.clone();
        move || heard(address, &build, None, "job/blocked")
    });
    let first = first.await.expect("no panic");
    let (build_id, seen) = (build.clone(), first.last().expect("events").0.clone());
    let listening = tokio::task::spawn_blocking(move || {
        ask(address, &format!("GET /builds/{build_id}/events"), &format!("Last-Event-ID: {seen}\r\n"), "").1
    });
    let mut listening = listening.await.expect("no panic");
    let listening = tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        listening.read_to_string(&mut rest).expect("it ends with the server");
        assert!(!rest.contains("build/ended"), "{rest}");
    });
    stop.send(()).expect("it is there");
    tokio::time::timeout(HANGS, served).await.expect("it stops").expect("no panic").expect("served");
    listening.await.expect("no panic");

    let (address, stop, served) = start().await;
    let resumed = host_without_engine(home.path()).await;
    let mut again = monkeyci_host::ResumeRequest::new(&build, "ann");
    again.again = true;
    let resumed = resumed.resume(again).await.expect("it goes on");
    let after = tokio::task::spawn_blocking({
        let (build, seen) = (build.clone(), first.last().expect("events").0.clone());
        move || {
            assert_eq!(submit(address, "delivery-1"), build, "it is known");
            let (status, said) = answered(address, &format!("POST /builds/{build}/jobs/done/approve"), "", "");
            assert_eq!(status, 409, "{said}");
            let approve = format!("POST /builds/{build}/jobs/deploy/approve");
            assert_eq!(answered(address, &approve, "", "").0, 204);
            let after = heard(address, &build, Some(&seen), "build/ended");
            let last = format!("Last-Event-ID: {}\r\n", after.last().expect("events").0);
            let events = format!("GET /builds/{build}/events");
            assert_eq!(answered(address, &events, &last, "").0, 204, "whoever has seen the end need not come again");
            let (status, record) = answered(address, &format!("GET /builds/{build}"), "", "");
            assert!(status == 200 && record.contains(r#""status":"success""#), "{record}");
            assert_eq!(answered(address, "GET /builds/local/none/1/events", "", "").0, 404);
            after
        }
    });
    let after = after.await.expect("no panic");
    let told: Vec<String> = first.iter().chain(&after).map(|(id, _)| id.clone()).collect();
    let all: Vec<String> = rest(&resumed, 0).await.iter().map(|event| event.seq.to_string()).collect();
    assert_eq!(told, all, "each event was told once");
    stop.send(()).expect("it is there");
    tokio::time::timeout(HANGS, served).await.expect("it stops").expect("no panic").expect("served");
}

/// What was said in the log of a job.
pub(crate) async fn log(build: &monkeyci_host::Build, job: &str) -> String {
    let pieces: Vec<_> = build.logs(Some(job)).try_collect().await.expect("a log");
    pieces.iter().map(|piece| String::from_utf8_lossy(&piece.frame.bytes).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_of_ones_own_ends_jobs_as_it_says_and_a_sink_hears_of_each_end() {
    let home = tempfile::tempdir().expect("a directory");
    let statuses = home.path().join("statuses");
    let codes = BTreeMap::from([("beside".to_owned(), 3)]);
    let host = host(home.path(), "unix:///no/such/engine")
        .engine(Arc::new(Rehearsal::of(codes)))
        .sink(StatusLines::to(&statuses))
        .open();
    let host = host.await.expect("a host");
    let build = host.submit(request("hello")).await.expect("taken");
    assert_eq!(build.wait().await.expect("a report").status, BuildStatus::Success);
    assert!(log(&build, "hello").await.contains("rehearsed, in "));
    let build = host.submit(request("resume-pods")).await.expect("taken");
    let report = build.wait().await.expect("a report");
    assert_eq!(report.status, BuildStatus::Failure, "{report:#?}");
    let ends: Vec<String> = report.jobs.iter().map(|job| format!("{} {}", job.job, job.ending)).collect();
    assert!(ends.contains(&"works succeeded".to_owned()), "{ends:?}");
    assert!(ends.contains(&"beside exited with code 3".to_owned()), "{ends:?}");

    host.shutdown(Shutdown::Drain, HANGS).await;
    let lines = std::fs::read_to_string(&statuses).expect("lines");
    let of_build = |kind: &str| lines.lines().any(|line| line.starts_with(build.id()) && line.ends_with(kind));
    assert!(of_build(" beside: exited with code 3") && of_build(" Failure"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_a_source_and_builds_that_may_not_have_them_say_so() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("secrets/local/monkeyci-embedded-empty");
    let open = async || {
        let host = host(home.path(), "unix:///no/such/engine");
        host.secrets(SecretFiles::below(home.path())).policy(NothingForStrangers).open().await.expect("a host")
    };
    let first = open().await;
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::write(dir.join("token"), "hunter2hunter2").expect("written");
    let deployed = async |host: &Host, build: &monkeyci_host::Build| {
        let build = host.build(build.id()).await.expect("known");
        build.approve("deploy", "ann").await.expect("approved");
        let report = build.wait().await.expect("a report");
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
        (log(&build, "deploy").await, report.warnings)
    };
    let push = first.submit(request("resume-approval").trigger("push")).await.expect("taken");
    crate::until(&push, crate::is_blocked).await;
    let strange = first.submit(request("resume-approval").trigger("pull-request")).await.expect("taken");
    crate::until(&strange, crate::is_blocked).await;
    let (said, warnings) = deployed(&first, &strange).await;
    assert!(said.contains("without"), "{said}");
    let withheld = r#"the secret "token" is withheld from this build: a pull request may be anybody's"#;
    assert_eq!(warnings, [withheld]);

    // The next host asks the source again: nobody gives it secrets otherwise.
    first.shutdown(Shutdown::Leave, HANGS).await;
    std::fs::write(dir.join("later"), "unknown to the build").expect("written");
    std::fs::write(dir.join("token"), "another value").expect("written");
    let next = open().await;
    let resume = || monkeyci_host::ResumeRequest::new(push.id(), "ann");
    let refused = next.resume(resume()).await.expect_err("it is not the same").to_string();
    assert!(refused.contains(r#"the secret "token" is not what the build"#), "{refused}");
    std::fs::write(dir.join("token"), "hunter2hunter2").expect("written");
    next.resume(resume()).await.expect("it goes on");
    let (said, warnings) = deployed(&next, &push).await;
    assert!(said.contains("with a secret") && warnings.is_empty(), "{said} {warnings:?}");
}

/// Lets nobody import this.
struct Without(&'static str);

#[async_trait]
impl Policy for Without {
    async fn judge(&self, _: &monkeyci_host::BuildContext, capability: &Capability) -> Verdict {
        match capability {
            Capability::Import(interface) if interface.contains(self.0) => Verdict::Deny("not here".to_owned()),
            _ => Verdict::Allow,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_imports_what_the_policy_denies_does_not_run_and_leaves_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let open = host(home.path(), "unix:///no/such/engine").policy(Without("monkeyci:script/secrets")).open();
    let host = open.await.expect("a host");
    let error = host.submit(request("resume")).await.expect_err("it is denied");
    assert!(matches!(error, SubmitError::Denied { .. }) && error.to_string().contains("not here"), "{error}");
    let all = monkeyci_host::Wanted { branch: None, standing: Vec::new(), limit: 10 };
    assert!(host.builds().list(&all).await.expect("a list").is_empty());
    assert_eq!(std::fs::read_dir(home.path().join("run")).expect("a directory").count(), 0);
}

/// Takes nothing until it is told to.
struct Stubborn {
    takes: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
    inner: StatusLines,
}

#[async_trait]
impl EventSink for Stubborn {
    fn name(&self) -> &str {
        "stubborn"
    }

    async fn deliver(&self, build: &str, events: &[Event]) -> Result<(), BoxError> {
        self.asked.store(true, Ordering::Relaxed);
        match self.takes.load(Ordering::Relaxed) {
            true => self.inner.deliver(build, events).await,
            false => Err("not now".into()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_did_not_take_is_delivered_again_also_by_the_next_host() {
    let home = tempfile::tempdir().expect("a directory");
    let statuses = home.path().join("statuses");
    let open = async |takes: &Arc<AtomicBool>, asked: &Arc<AtomicBool>| {
        let inner = StatusLines::to(&statuses);
        let sink = Stubborn { takes: takes.clone(), asked: asked.clone(), inner };
        host(home.path(), "unix:///no/such/engine").sink(sink).open().await.expect("a host")
    };
    let (takes, asked) = (Arc::default(), Arc::default());
    let first = open(&takes, &asked).await;
    let lost = first.submit(request("resume").param("version", "1")).await.expect("taken");
    lost.wait().await.expect("a report");
    hang_guard::until("a delivery", || asked.load(Ordering::Relaxed));
    first.shutdown(Shutdown::Drain, HANGS).await;
    assert!(!statuses.exists());

    takes.store(true, Ordering::Relaxed);
    let next = open(&takes, &asked).await;
    let said = || std::fs::read_to_string(&statuses).unwrap_or_default();
    tokio::task::block_in_place(|| hang_guard::until("the build's end", || said().contains("Success")));
    next.shutdown(Shutdown::Drain, HANGS).await;
    let once = said();
    assert!(once.contains(&format!("{} ", lost.id())) && once.contains(" last: succeeded"), "{once}");
    // And when all is told, nothing is told again.
    let third = open(&takes, &asked).await;
    third.shutdown(Shutdown::Drain, HANGS).await;
    assert_eq!(said(), once);
    assert!(matches!(third.submit(request("resume")).await, Err(SubmitError::ShuttingDown)));
}
