//! The engines under test: where they are, or how they are started.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// An engine's socket; a daemon that was started for it ends with this value.
pub struct Daemon {
    pub socket: String,
    _service: Option<Service>,
}

/// Docker: `MONKEYCI_TEST_DOCKER`, or the usual socket. It has to run already.
pub fn docker() -> Daemon {
    let socket = std::env::var("MONKEYCI_TEST_DOCKER").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    assert!(
        answers(&socket),
        "no Docker answers at {socket}: run `cargo xtask setup`, which installs and starts it, or name another with \
         MONKEYCI_TEST_DOCKER=unix:///path"
    );
    Daemon { socket, _service: None }
}

/// Podman: `MONKEYCI_TEST_PODMAN`, or a service of our own.
pub fn podman() -> Daemon {
    if let Ok(socket) = std::env::var("MONKEYCI_TEST_PODMAN") {
        assert!(answers(&socket), "no Podman answers at {socket}, which MONKEYCI_TEST_PODMAN names");
        return Daemon { socket, _service: None };
    }
    let service = Service::start();
    Daemon { socket: service.socket(), _service: Some(service) }
}

fn answers(socket: &str) -> bool {
    socket.strip_prefix("unix://").is_none_or(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
}

/// A `podman system service`, killed when dropped. It has no containers of its own: they belong to the storage of this
/// machine, whoever made them.
struct Service {
    process: Child,
    directory: TempDir,
}

/// What Podman needs on a machine without systemd, with cgroups of both versions at once and modest limits.
const CONFIGURATION: &str = r#"[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

impl Service {
    fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let configuration = directory.path().join("containers.conf");
        std::fs::write(&configuration, CONFIGURATION).expect("the configuration can be written");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log file");
        let process = Command::new("podman")
            // It ends by itself when nobody has talked to it for a minute: also when the test was killed.
            .args(["system", "service", "--time", "60"])
            .arg(format!("unix://{}", directory.path().join("podman.sock").display()))
            .env("CONTAINERS_CONF", configuration)
            // conmon leaves a file "oom" where its service was started.
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("podman does not start ({error}): run `cargo xtask setup`, which installs it")
            });
        let mut service = Self { process, directory };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !answers(&service.socket()) {
            let ended = service.process.try_wait().expect("a child can be waited for");
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(service.path().join("log")).unwrap_or_default();
                panic!("`podman system service` does not answer: {ended:?}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.path().join("podman.sock").display())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
