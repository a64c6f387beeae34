//! Starting the machine's Docker.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{find, program, within};
use crate::paths::Paths;
use crate::say::Step;
use monkeyci_testbed::daemons::{
    has_systemd, is_alive, read_pid, remove_if_stale, start as start_daemon, wait_until, wrapped,
};
use monkeyci_testbed::engine::Engine;

/// Where Docker listens.
pub const SOCKET: &str = "/var/run/docker.sock";
/// The daemons and their pid files.
const PID_FILES: [(&str, &str); 2] =
    [("dockerd", "/var/run/docker.pid"), ("containerd", "/var/run/docker/containerd/containerd.pid")];
const LOG: &str = "/var/log/dockerd-monkeyci.log";

/// Starts it, with systemd where that runs, and waits until it answers. Needs root.
pub fn start(step: &Step, paths: &Paths) -> Result<Engine> {
    let socket = Path::new(SOCKET);
    let answers = || wait_until(|| Engine::at(socket).is_ok());
    // Its package may have started it just now.
    let starts = read_pid(Path::new(PID_FILES[0].1)).is_some_and(|pid| is_alive(pid, Some("dockerd")));
    if starts && answers() {
        return Engine::at(socket).context("Docker answered once only");
    }
    if has_systemd() {
        let mut command = program("systemctl");
        step.doing("as root: systemctl start docker");
        match within(command.args(["start", "docker"]), Duration::from_secs(60), &paths.log("systemctl")?) {
            Ok(()) => {
                answers();
                return Engine::at(socket).context("systemd started Docker, but it does not answer");
            }
            Err(error) => step.note(&format!("{error:#}")),
        }
    }
    for (name, file) in PID_FILES {
        if remove_if_stale(Path::new(file), name)? {
            step.note(&format!("removed {file}: no {name} runs"));
        }
    }
    let dockerd = find("dockerd").context("there is no dockerd")?;
    step.doing(&format!("as root: starting {}, its log is {LOG}", dockerd.display()));
    // A session of its own: it outlives this program and its terminal.
    let mut command = wrapped::<&str>("setsid", &[], dockerd);
    start_daemon(command.current_dir("/"), socket, Path::new(LOG)).map(|(_, engine)| engine)
}
