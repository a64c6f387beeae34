//! Podman, for tests: installed where it is missing, configured for this machine, and its API served for one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::dockerd::has_systemd;
use super::engine::{Engine, Kind, find_live, ping};
use super::{apt, lock};
use crate::command::{find, path_with, program, tail};
use crate::paths::Paths;
use crate::say::Step;

const PACKAGES: [&str; 7] = ["podman", "crun", "runc", "conmon", "netavark", "aardvark-dns", "uidmap"];
const LIMIT: Duration = Duration::from_secs(15);
/// The longest address of a Unix socket, with its final zero.
const LONGEST_SOCKET: usize = 108;

/// Podman's API. One that this program has started ends when this is dropped.
pub struct Service {
    engine: Engine,
    child: Option<Child>,
}

impl Service {
    /// Where it answers.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
            fs::remove_file(&self.engine.socket).ok();
        }
    }
}

/// Finds Podman's API, or installs Podman and serves it.
pub fn ensure(step: &Step, paths: &Paths) -> Result<Service> {
    if let Some(engine) = find_live(Kind::Podman) {
        step.already(&engine.to_string());
        return Ok(Service { engine, child: None });
    }
    if !is_installed() {
        let _lock = lock(step, paths)?;
        if !is_installed() {
            let request = apt::Request { what: "testing with Podman", packages: &PACKAGES, update: false };
            apt::install(step, paths, &request).context("`cargo xtask test --fast` leaves Podman out")?;
        }
    }
    let service = serve(step, paths)?;
    step.done(&format!("serves {}, for this run", service.engine));
    Ok(service)
}

fn is_installed() -> bool {
    let library = |file: &str| {
        ["/usr/lib/podman", "/usr/libexec/podman", "/usr/local/libexec/podman"]
            .iter()
            .any(|dir| Path::new(dir).join(file).is_file())
    };
    find("podman").is_some()
        && find("conmon").is_some()
        && (find("runc").is_some() || find("crun").is_some())
        && library("netavark")
        && library("aardvark-dns")
}

fn serve(step: &Step, paths: &Paths) -> Result<Service> {
    let dir = paths.target.join("podman");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let socket = socket_in(&dir);
    fs::remove_file(&socket).ok();
    let podman = find("podman").context("there is no podman")?;
    // Should this program be killed, the service has to end with it.
    let mut command = match find("setpriv") {
        Some(setpriv) => {
            let mut command = program(setpriv);
            command.args(["--pdeathsig", "TERM"]).arg(podman);
            command
        }
        None => program(podman),
    };
    configure(&mut command, &dir, step)?;
    let log = paths.log("podman")?;
    let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let child = command
        .args(["system", "service", "--time", "0"])
        .arg(format!("unix://{}", socket.display()))
        .env("PATH", path_with(&[])?)
        // Where conmon drops its file "oom".
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .spawn()
        .context("cannot start podman")?;
    let engine = Engine { socket, kind: Kind::Podman };
    let mut service = Service { engine, child: Some(child) };
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        if ping(&service.engine.socket).is_ok() {
            return Ok(service);
        }
        if let Some(child) = &mut service.child
            && let Some(status) = child.try_wait().context("cannot wait for podman")?
        {
            bail!("podman ended at once ({status}); {}", tail(&log, 20));
        }
        sleep(Duration::from_millis(20));
    }
    bail!(
        "podman does not answer at {} after {} s; {}",
        service.engine.socket.display(),
        LIMIT.as_secs(),
        tail(&log, 20)
    )
}

/// A socket of this process: two runs at once each serve, and end, their own.
fn socket_in(dir: &Path) -> PathBuf {
    let name = format!("podman-{}.sock", std::process::id());
    let socket = dir.join(&name);
    if socket.as_os_str().len() < LONGEST_SOCKET {
        return socket;
    }
    std::env::temp_dir().join(format!("monkeyci-{name}"))
}

/// Gives Podman a configuration where its own would fail on this machine.
fn configure(command: &mut Command, dir: &Path, step: &Step) -> Result<()> {
    let Some(text) = configuration(&Machine::detect()) else {
        return Ok(());
    };
    let file = dir.join("containers.conf");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    step.note(&format!("this machine needs a configuration: {}", file.display()));
    command.env("CONTAINERS_CONF", file);
    Ok(())
}

/// What decides how Podman has to be configured.
struct Machine {
    /// The hard limit of open files; none is unlimited.
    files: Option<u64>,
    /// The hard limit of processes.
    processes: Option<u64>,
    /// Control groups of version 2 only.
    unified: bool,
    /// Systemd manages control groups and keeps the journal.
    systemd: bool,
}

impl Machine {
    fn detect() -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let most = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
        let processes = hard_limit(&limits, "Max processes");
        Self {
            files: hard_limit(&limits, "Max open files"),
            // Podman lowers its own hard limit to the greatest process id, and cannot raise it again without the
            // capability that a limit implies.
            processes: processes.map(|hard| hard.min(most.trim().parse().unwrap_or(hard))),
            unified: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            systemd: has_systemd(),
        }
    }
}

/// Reads a line of `/proc/self/limits`: name, soft limit, hard limit, unit.
fn hard_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What Podman asks for by default.
const DEFAULT_LIMIT: u64 = 1_048_576;

fn configuration(machine: &Machine) -> Option<String> {
    let mut ulimits = Vec::new();
    for (name, hard) in [("nofile", machine.files), ("nproc", machine.processes)] {
        if let Some(hard) = hard.filter(|hard| *hard < DEFAULT_LIMIT) {
            ulimits.push(format!("\"{name}={hard}:{hard}\""));
        }
    }
    let mut text = String::new();
    if !ulimits.is_empty() {
        text.push_str(&format!("[containers]\ndefault_ulimits = [{}]\n", ulimits.join(", ")));
    }
    if !machine.unified || !machine.systemd {
        text.push_str("[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n");
    }
    if !machine.unified {
        // crun refuses hybrid control groups.
        text.push_str("runtime = \"runc\"\n");
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max processes             96365                unlimited            processes 
Max open files            1024                 20000                files     
";

    #[test]
    fn hard_limits_are_read() {
        assert_eq!(hard_limit(LIMITS, "Max open files"), Some(20000));
        assert_eq!(hard_limit(LIMITS, "Max processes"), None, "unlimited");
        assert_eq!(hard_limit("", "Max processes"), None);
    }

    #[test]
    fn an_ordinary_machine_needs_no_configuration() {
        let machine = Machine { files: Some(DEFAULT_LIMIT), processes: None, unified: true, systemd: true };
        assert_eq!(configuration(&machine), None);
    }

    #[test]
    fn limits_hybrid_groups_and_a_missing_systemd_are_configured() {
        let machine = Machine { files: Some(20000), processes: Some(96365), unified: false, systemd: false };
        assert_eq!(
            configuration(&machine).as_deref(),
            Some(
                "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=96365:96365\"]\n\
                 [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n"
            )
        );
    }

    #[test]
    fn a_long_target_folder_still_gives_a_socket() {
        let long = PathBuf::from(format!("/{}", "long/".repeat(30)));
        assert!(socket_in(&long).as_os_str().len() < LONGEST_SOCKET);
        assert!(socket_in(Path::new("/short")).starts_with("/short"));
    }
}
