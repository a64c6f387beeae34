//! An engine on another machine, which has no file of this one: a double that knows volumes and containers, behind what stands in for ssh.

#[path = "conformance/hang_guard.rs"]
mod hang_guard;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hang_guard::HANGS;
use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError, LABEL_POD, Pod};
use monkeyci_testbed::handed;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[derive(Default)]
struct Machine {
    volumes: BTreeSet<String>,
    containers: BTreeSet<String>,
    /// How often our program was unpacked in a container.
    uploads: u32,
    /// Whether it takes no more of that for now.
    is_slow: bool,
}

impl Machine {
    fn named(&self, end: &str) -> Option<String> {
        self.volumes.iter().chain(&self.containers).find(|name| name.ends_with(end)).cloned()
    }
}

#[derive(Default)]
struct Double {
    machine: Mutex<Machine>,
    changed: Notify,
}

impl Double {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("a lock")
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Machine) -> bool) {
        let so = async {
            loop {
                let changed = self.changed.notified();
                if is_so(&self.machine()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(HANGS, so).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }

    /// Status and body.
    async fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && !part.starts_with("v1.")).collect();
        let none = || (404, json!({ "message": "not here" }));
        let volume = |name: &str| json!({ "Name": name, "Driver": "x", "Mountpoint": "x", "Labels": { LABEL_POD: "pod" }, "Scope": "local", "Options": {} });
        let answer = match (method, segments.as_slice()) {
            ("GET", ["version"]) => (200, json!({ "Version": "20.10.24", "ApiVersion": "1.41" })),
            ("POST", ["volumes", "create"]) => {
                let name = body["Name"].as_str().expect("a name").to_owned();
                let answer = volume(&name);
                self.machine().volumes.insert(name);
                (201, answer)
            }
            ("GET", ["volumes", name]) if self.machine().volumes.contains(*name) => (200, volume(name)),
            ("POST", ["containers", "create"]) => {
                let name = query.split('&').find_map(|part| part.strip_prefix("name=")).expect("a name").to_owned();
                match name.as_str() {
                    // The job is the last that is made of what this is about.
                    "pod-job" => (500, json!({ "message": "enough" })),
                    "pod-sidecar" => (201, json!({ "Id": name, "Warnings": [] })),
                    _ if self.machine().containers.insert(name.clone()) => (201, json!({ "Id": name, "Warnings": [] })),
                    _ => (409, json!({ "message": "Conflict" })),
                }
            }
            ("PUT", ["containers", "pod-sidecar", "archive"]) => (200, Value::Null),
            ("PUT", ["containers", name, "archive"]) => {
                self.machine().uploads += 1;
                self.changed.notify_waiters();
                self.until("the upload to go on", |machine| !machine.is_slow).await;
                if self.machine().containers.contains(*name) { (200, Value::Null) } else { none() }
            }
            ("DELETE", ["containers", name]) => match self.machine().containers.remove(*name) {
                true => (204, Value::Null),
                false => none(),
            },
            ("GET", ["containers" | "volumes", ..]) => none(),
            _ => (200, json!({})),
        };
        self.changed.notify_waiters();
        answer
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let end = loop {
            if let Some(at) = request.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        while request.len() < end + length && stream.read_buf(&mut request).await? > 0 {}
        let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let body = serde_json::from_slice(&request[end..]).unwrap_or_default();
        let (status, body) = self.answer(method, path, &body).await;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        stream.write_all(format!("HTTP/1.1 {status} x\r\n{length}connection: close\r\n\r\n{body}").as_bytes()).await
    }
}

struct Far {
    engine: DockerEngine,
    double: Arc<Double>,
    directory: TempDir,
}

impl Far {
    /// One that is waited for.
    async fn new() -> Self {
        Self::with_patience(HANGS).await
    }

    /// One that gets this long to answer, and that others are given to hand our program over.
    async fn with_patience(request: Duration) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let double = Arc::new(Double::default());
        let serving = double.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let double = serving.clone();
                // Whoever is dropped hangs up.
                tokio::spawn(async move { double.serve(stream).await.ok() });
            }
        });
        let ssh: PathBuf = directory.path().join("ssh");
        let busybox = handed::path(handed::BUSYBOX);
        std::fs::write(&ssh, format!("#!/bin/sh\nexec '{}' nc 127.0.0.1 {port}\n", busybox.display()))
            .expect("written");
        std::fs::set_permissions(&ssh, PermissionsExt::from_mode(0o755)).expect("a program");
        let options = DockerOptions {
            socket: Some("ssh://far".to_owned()),
            ssh,
            answer: HANGS,
            request,
            ..DockerOptions::default()
        };
        let engine = DockerEngine::connect(options).await.expect("it answers");
        Self { engine, double, directory }
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

    /// Starts a pod as far as the double goes along: up to its job, which has our program then.
    async fn starts(&self) {
        let started = self.engine.start(&self.pod(), &|_| {}).await;
        assert!(matches!(&started, Err(EngineError::StartFailed { reason, .. }) if reason == "enough"), "{started:?}");
        let machine = self.double.machine();
        assert_eq!((machine.volumes.len(), machine.containers.len()), (3, 0), "{:?}", machine.volumes);
    }

    fn uploads(&self) -> u32 {
        self.double.machine().uploads
    }
}

#[tokio::test]
async fn our_program_is_handed_over_once_and_again_when_somebody_has_cleared_it_away() {
    let far = Far::new().await;
    far.starts().await;
    far.starts().await;
    assert_eq!(far.uploads(), 1);
    let whole = far.double.machine().named("-whole").expect("a volume");
    far.double.machine().volumes.clear();
    far.starts().await;
    assert_eq!(far.uploads(), 2);
    far.double.machine().volumes.remove(whole.trim_end_matches("-whole"));
    far.starts().await;
    assert_eq!(far.uploads(), 3);
}

#[tokio::test]
async fn a_start_that_is_dropped_while_it_hands_our_program_over_leaves_nothing_half_done() {
    let far = Far::new().await;
    far.double.machine().is_slow = true;
    let pod = far.pod();
    tokio::select! {
        started = far.engine.start(&pod, &|_| {}) => panic!("it waits: {started:?}"),
        () = far.double.until("an upload", |machine| machine.uploads == 1) => {}
    }
    far.double.machine().is_slow = false;
    far.double.changed.notify_waiters();
    far.double.until("the volume", |machine| machine.named("-whole").is_some() && machine.containers.is_empty()).await;
    far.starts().await;
    assert_eq!(far.uploads(), 1);
}

#[tokio::test]
async fn what_somebody_has_left_who_died_over_it_stands_in_nobodys_way() {
    let far = Far::with_patience(Duration::from_secs(3)).await;
    far.starts().await;
    {
        let mut machine = far.double.machine();
        let whole = machine.named("-whole").expect("a volume");
        machine.volumes.remove(&whole);
        machine.containers.insert(whole.replace("-whole", "-filler"));
    }
    far.starts().await;
    assert_eq!(far.uploads(), 2);
}
