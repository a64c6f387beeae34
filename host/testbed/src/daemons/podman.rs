//! Podman's API, served for one run, with a configuration that this machine can do.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::{has_systemd, short_folder, start, wrapped};
use crate::command::find;
use crate::engine::Engine;

/// Podman's API. One that was started for this value ends when it is dropped. Containers and images belong to the machine.
pub struct Podman {
    /// Where it answers.
    pub engine: Engine,
    /// Ends it, and has ended then.
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Podman {
    /// One that somebody else serves.
    pub fn that_runs(engine: Engine) -> Self {
        Self { engine, keeper: None }
    }

    /// Serves it. The folder gets the configuration and the log, if there has to be one.
    pub fn serve(dir: &Path) -> Result<Self> {
        let podman = find("podman").context("there is no podman")?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        // Should this program be killed, the service has to end with it.
        let mut command = wrapped("setpriv", &["--pdeathsig", "TERM"], podman);
        if let Some(text) = configuration(&Machine::detect()) {
            let file = dir.join("containers.conf");
            if fs::read_to_string(&file).ok().as_ref() != Some(&text) {
                // By way of another name: another service may read it now.
                let partial = dir.join(format!("containers.{}", std::process::id()));
                let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &file));
                written.with_context(|| format!("cannot write {}", file.display()))?;
            }
            command.env("CONTAINERS_CONF", file);
        }
        let sockets = short_folder("mci-p")?;
        let socket = sockets.join("podman.sock");
        command.args(["system", "service", "--time", "0"]).arg(format!("unix://{}", socket.display()));
        // Where conmon drops its file "oom".
        command.current_dir(dir);
        let log = dir.join("log");
        let (started, answers) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        // It ends with the thread that has started it: one that stays as long as this value.
        let thread = thread::spawn(move || {
            let service = start(&mut command, &socket, &log).map(|(child, engine)| {
                started.send(Ok(engine)).ok();
                ended.recv().ok();
                child
            });
            match service {
                Ok(mut child) => drop(child.kill().and_then(|()| child.wait())),
                Err(error) => drop(started.send(Err(error))),
            }
            fs::remove_dir_all(&sockets).ok();
        });
        let engine = answers.recv().context("the thread of podman has ended")??;
        Ok(Self { engine, keeper: Some((end, thread)) })
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.keeper.take() {
            drop(end);
            thread.join().ok();
        }
    }
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

/// What it needs where its own configuration would fail.
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

    #[test]
    fn limits_hybrid_groups_and_a_missing_systemd_are_configured_and_an_ordinary_machine_is_not() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             96365                unlimited            processes \n\
            Max open files            1024                 20000                files     \n";
        let files = hard_limit(limits, "Max open files");
        assert_eq!((files, hard_limit(limits, "Max processes"), hard_limit("", "Max")), (Some(20000), None, None));
        let machine = Machine { files, processes: Some(96365), unified: false, systemd: false };
        let text = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=96365:96365\"]\n\
            [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n";
        assert_eq!(configuration(&machine).as_deref(), Some(text));
        let machine = Machine { files: Some(DEFAULT_LIMIT), processes: None, unified: true, systemd: true };
        assert_eq!(configuration(&machine), None);
    }
}
