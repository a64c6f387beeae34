//! Starting Docker's daemon.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::engine::{Engine, ping};
use crate::command::{find, path_with, program, tail, within};
use crate::paths::Paths;
use crate::say::Step;

/// Where Docker listens.
pub const SOCKET: &str = "/var/run/docker.sock";
/// The daemons and their pid files. A file of a dead process keeps the next daemon from starting.
const PID_FILES: [(&str, &str); 2] =
    [("dockerd", "/var/run/docker.pid"), ("containerd", "/var/run/docker/containerd/containerd.pid")];
const LIMIT: Duration = Duration::from_secs(15);

/// Starts it, with systemd where that runs, and waits until it answers. Needs root.
pub fn start(step: &Step, paths: &Paths) -> Result<Engine> {
    // Its package may have started it just now.
    if is_starting(Path::new(PID_FILES[0].1)) && wait(LIMIT).is_ok() {
        return ping(Path::new(SOCKET)).context("Docker answered once only");
    }
    if has_systemd() {
        let mut command = program("systemctl");
        command.args(["start", "docker"]);
        step.doing("as root: systemctl start docker");
        let log = paths.log("systemctl")?;
        match within(&mut command, Duration::from_secs(60), &log) {
            Ok(()) => return wait(LIMIT).context("systemd started Docker, but it does not answer"),
            Err(error) => step.note(&format!("{error:#}")),
        }
    }
    let dockerd = find("dockerd").context("there is no dockerd")?;
    for (name, file) in PID_FILES {
        if remove_if_stale(Path::new(file), name)? {
            step.note(&format!("removed {file}: no {name} runs"));
        }
    }
    let log = PathBuf::from("/var/log/dockerd-monkeyci.log");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    step.doing(&format!("as root: starting {}, its log is {}", dockerd.display(), log.display()));
    // A session of its own: it outlives this program and its terminal.
    let mut command = match find("setsid") {
        Some(setsid) => {
            let mut command = program(setsid);
            command.arg(&dockerd);
            command
        }
        None => program(&dockerd),
    };
    let mut child = command
        .env("PATH", path_with(&[])?)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {}", dockerd.display()))?;
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        if let Ok(engine) = ping(Path::new(SOCKET)) {
            return Ok(engine);
        }
        if let Some(status) = child.try_wait().context("cannot wait for dockerd")? {
            bail!("dockerd ended at once ({status}); {}", tail(&log, 20));
        }
        sleep(Duration::from_millis(50));
    }
    bail!("dockerd does not answer at {SOCKET} after {} s; {}", LIMIT.as_secs(), tail(&log, 20))
}

/// Whether systemd runs this machine.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn wait(limit: Duration) -> io::Result<Engine> {
    let began = Instant::now();
    loop {
        match ping(Path::new(SOCKET)) {
            Err(_) if began.elapsed() < limit => sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
}

/// Whether a daemon runs that does not answer yet.
fn is_starting(pid_file: &Path) -> bool {
    let status = read_pid(pid_file).and_then(|pid| status_of(pid).ok());
    status.is_some_and(|status| runs(&status, "dockerd"))
}

fn read_pid(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn status_of(pid: u32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/status"))
}

/// Removes a pid file whose process is gone, or is not that daemon. Says whether it did.
fn remove_if_stale(file: &Path, name: &str) -> Result<bool> {
    if !file.exists() {
        return Ok(false);
    }
    let status = read_pid(file).and_then(|pid| status_of(pid).ok());
    if status.is_some_and(|status| runs(&status, name)) {
        return Ok(false);
    }
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(true),
    }
}

/// Whether `/proc/<pid>/status` is of this program, and alive: a killed daemon stays a zombie until its parent
/// takes note, and Docker takes a zombie for a live one.
fn runs(status: &str, name: &str) -> bool {
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let alive = field("State:").is_some_and(|state| !state.starts_with(['Z', 'X', 'x']));
    alive && field("Name:") == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, state: &str) -> String {
        format!("Name:\t{name}\nUmask:\t0022\nState:\t{state}\nTgid:\t7\n")
    }

    #[test]
    fn a_zombie_or_another_program_is_no_daemon() {
        assert!(runs(&status("dockerd", "S (sleeping)"), "dockerd"));
        assert!(!runs(&status("dockerd", "Z (zombie)"), "dockerd"));
        assert!(!runs(&status("bash", "R (running)"), "dockerd"));
        assert!(!runs("", "dockerd"));
    }

    #[test]
    fn only_stale_pid_files_are_removed() {
        let file = std::env::temp_dir().join(format!("xtask-{}.pid", std::process::id()));
        let own = fs::read_to_string("/proc/self/comm").expect("own name");
        let pid = std::process::id();

        fs::write(&file, format!("{pid}\n")).expect("a pid file");
        assert!(!remove_if_stale(&file, own.trim()).expect("a live process"));
        assert!(remove_if_stale(&file, "dockerd").expect("another program"));
        assert!(!remove_if_stale(&file, "dockerd").expect("no file"));

        fs::write(&file, "4194305\n").expect("a pid file");
        assert!(remove_if_stale(&file, "dockerd").expect("no such process"));
        fs::write(&file, "").expect("a pid file");
        assert!(remove_if_stale(&file, "dockerd").expect("an empty file"));
    }

    #[test]
    fn a_killed_daemon_that_nobody_waited_for_is_stale() {
        let file = std::env::temp_dir().join(format!("xtask-{}-zombie.pid", std::process::id()));
        let mut child = program("sleep").arg("60").spawn().expect("sleep");
        fs::write(&file, child.id().to_string()).expect("a pid file");
        child.kill().expect("kill");
        let zombie = || status_of(child.id()).is_ok_and(|status| status.contains("State:\tZ"));
        while !zombie() {
            sleep(Duration::from_millis(5));
        }
        assert!(remove_if_stale(&file, "sleep").expect("a zombie"));
        child.wait().expect("wait");
    }
}
