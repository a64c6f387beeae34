//! What a promise is tried with: an engine, pods for it, and an outside view.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use monkeyci_build::{AddressRange, NetworkMode, Readiness, ServiceSpec};
use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError, Part, PartExit, Pod};
use tempfile::TempDir;

use monkeyci_testbed::daemons::{Podman, drop_in_network_of};
use monkeyci_testbed::handed;

use crate::hang_guard::HANGS;
use crate::outside::{DockerOutside, IMAGE, Outside, container_argv};
use crate::probe_program;

/// An engine under test.
pub struct Host {
    pub engine: Box<dyn Engine>,
    pub outside: Box<dyn Outside>,
    /// The owner of all that this test makes.
    pub owner: String,
    pub program: PathBuf,
    directory: TempDir,
    next: AtomicU32,
    socket: String,
    /// Podman is served as long as this is there.
    _podman: Option<Arc<Podman>>,
}

/// The engine at a socket, which may be busy.
fn at(socket: String) -> DockerOptions {
    DockerOptions { socket: Some(socket), answer: HANGS, ..DockerOptions::default() }
}

impl Host {
    /// The engine of each entry in the list of engines.
    async fn of(engine: &str) -> Self {
        let (daemon, podman) = match engine {
            "docker" => (handed::docker(), None),
            "podman" => {
                let podman = handed::podman();
                (podman.engine.clone(), Some(podman))
            }
            other => panic!("no engine {other:?}"),
        };
        let socket = daemon.url();
        let outside = DockerOutside::connect(daemon).await;
        // Whoever says no may take a while to say it on a busy machine.
        let options = DockerOptions { pull_answer: HANGS, ..at(socket.clone()) };
        let connected = DockerEngine::connect(options).await.expect("an engine that answers");
        assert!(connected.describe().starts_with(&format!("{engine} ")), "{}", connected.describe());
        let directory = TempDir::new().expect("a temporary directory");
        let unique = directory.path().file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        Self {
            engine: Box::new(connected),
            outside: Box::new(outside),
            owner: format!("test-{}", unique.trim_start_matches(".tmp")),
            program: probe_program::path(),
            directory,
            next: AtomicU32::new(0),
            socket,
            _podman: podman,
        }
    }

    /// A second engine at the same daemon, as another process would have it.
    pub async fn another_engine(&self) -> Box<dyn Engine> {
        self.engine_that_permits(Vec::new()).await
    }

    /// An engine at the same daemon that gives registries so long to answer.
    pub async fn engine_that_waits(&self, pull_answer: Duration) -> Box<dyn Engine> {
        let options = DockerOptions { pull_answer, ..at(self.socket.clone()) };
        Box::new(DockerEngine::connect(options).await.expect("an engine that answers"))
    }

    /// An engine at the same daemon whose jobs may be let reach these private networks.
    pub async fn engine_that_permits(&self, permitted_networks: Vec<AddressRange>) -> Box<dyn Engine> {
        let options = DockerOptions { permitted_networks, ..at(self.socket.clone()) };
        Box::new(DockerEngine::connect(options).await.expect("an engine that answers"))
    }

    /// A pod whose job and sidecar do what their scripts say.
    pub fn pod(&self, job: &str, sidecar: &str) -> Pod {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let config = self.directory.path().join(format!("config-{number}"));
        std::fs::write(&config, sidecar).expect("a file can be written");
        let api_dir = self.directory.path().join("api");
        std::fs::create_dir_all(&api_dir).expect("a directory can be made");
        std::fs::write(api_dir.join("api.sock"), "").expect("a file can be written");
        Pod {
            key: format!("{}-{number}", self.owner),
            owner: self.owner.clone(),
            build: "test/repo/1".to_owned(),
            job: format!("job-{number}"),
            image: IMAGE.to_owned(),
            architecture: None,
            user: None,
            env: BTreeMap::from([("PROBE_JOB".to_owned(), job.to_owned())]),
            memory_bytes: None,
            cpu_millis: None,
            shm_bytes: None,
            pull: Default::default(),
            entrypoint_of_image: false,
            network: NetworkMode::Internet,
            network_allow: Vec::new(),
            services: Vec::new(),
            service_env: BTreeMap::new(),
            sidecar_program: self.program.clone(),
            // The real one: what the tests' own program does as launcher and sidecar, it can't do as guard.
            guard_program: handed::sidecar(),
            sidecar_config: config,
            api_dir: Some(api_dir),
        }
    }

    /// Drops packets to these addresses in the network of a pod's job, if its fence lets them through: nobody outside may get
    /// them, whatever the fence does.
    pub async fn drop_in_network_of(&self, pod: &Pod, addresses: &[&str]) {
        drop_in_network_of(self.outside.pid(&format!("{}-job", pod.key)).await, addresses);
    }

    /// A pod whose job does nothing before [`Host::go`] is called, and then what its script says.
    pub fn waiting_pod(&self, job: &str) -> Pod {
        let pod = self.pod(&format!("await /monkeyci/go\n{job}"), "");
        let told = format!("await /run/monkeyci-api/go-{}\nwrite /monkeyci/go yes", pod.key);
        std::fs::write(&pod.sidecar_config, told).expect("a file can be written");
        pod
    }

    /// Lets the job of a waiting pod go on.
    pub fn go(&self, pod: &Pod) {
        let told = pod.api_dir.as_ref().expect("a directory").join(format!("go-{}", pod.key));
        std::fs::write(told, "").expect("a file can be written");
    }

    /// A path of this test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn start(&self, pod: &Pod) -> Result<(), EngineError> {
        self.engine.start(pod, &|_| {}).await
    }

    /// How the job ended.
    pub async fn job_exit(&self, pod: &Pod) -> PartExit {
        self.engine.wait(&pod.key, &Part::Job).await.expect("the end of the job")
    }

    /// Runs a pod to the end of its job and its sidecar, which both have to succeed.
    pub async fn succeeds(&self, pod: &Pod) {
        self.start(pod).await.expect("the pod starts");
        for part in [Part::Job, Part::Sidecar] {
            let exit = self.engine.wait(&pod.key, &part).await.expect("the end of a part");
            let lines = self.engine.last_lines(&pod.key, &part, 5).await.unwrap_or_default();
            assert_eq!(exit.code, 0, "{part:?} of {}: {lines}", pod.key);
        }
    }

    /// Waits until a part of a pod has said this in its last line.
    pub async fn until_said(&self, pod: &Pod, part: &Part, words: &str) {
        while !self.engine.last_lines(&pod.key, part, 1).await.is_ok_and(|line| line.trim() == words) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn remove(&self, pod: &Pod) {
        self.engine.remove(&pod.key).await.expect("the pod can be removed");
    }

    /// What is left of this test's objects.
    pub async fn left(&self) -> Vec<String> {
        self.outside.owned(&self.owner).await
    }
}

/// A service of the test image that runs a line of shell.
pub fn service(name: &str, line: &str, readiness: Vec<Readiness>) -> ServiceSpec {
    ServiceSpec {
        name: name.to_owned(),
        image: IMAGE.to_owned(),
        argv: Some(container_argv(&["/bin/sh", "-c", line])),
        env: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        readiness,
        ready_timeout_ms: 3_600_000,
    }
}

/// A ready command.
pub fn ready_command<const N: usize>(argv: [&str; N]) -> Readiness {
    Readiness::Command(argv.map(str::to_owned).to_vec())
}

/// A promise, tried.
pub type Trial<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Tries a promise with an engine, and leaves nothing behind whatever comes of it.
pub fn try_with(engine: &str, promise: impl for<'a> Fn(&'a Host) -> Trial<'a>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let host = Host::of(engine).await;
        let trial = tokio::time::timeout(HANGS, promise(&host));
        let kept = AssertUnwindSafe(trial).catch_unwind().await;
        let pods = host.engine.pods(&host.owner).await.unwrap_or_default();
        let builds = pods.into_iter().map(|pod| pod.build).collect();
        let swept = host.engine.sweep(&host.owner, &builds, false).await;
        match kept {
            Err(panic) => resume_unwind(panic),
            Ok(Err(_)) => panic!("the promise is not kept: it hangs"),
            Ok(Ok(())) => {}
        }
        swept.expect("what the test made can be swept");
        assert_eq!(host.left().await, Vec::<String>::new(), "left behind");
    });
}
