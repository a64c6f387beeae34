//! Starting the daemons of container engines, and a PostgreSQL, and waiting until they answer.

mod own;
mod podman;
mod postgres;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{find, output, path_with, program, tail};
use crate::engine::Engine;

pub use own::{OwnDocker, SmallDisk, children};
pub use podman::Podman;
pub use postgres::Postgres;

/// How long a daemon may take to answer, or to end.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts a daemon whose words go to the end of a log, and waits until it answers.
pub fn start(command: &mut Command, socket: &Path, log: &Path) -> Result<(Child, Engine)> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    let name = command.get_program().display().to_string();
    let mut child = command
        .env("PATH", path_with(&[])?)
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let began = Instant::now();
    loop {
        if let Ok(engine) = Engine::at(socket) {
            return Ok((child, engine));
        }
        let ended = child.try_wait().context("cannot wait for a daemon")?;
        if ended.is_some() || began.elapsed() > LIMIT {
            child.kill().ok();
            child.wait().ok();
            let how = ended.map_or_else(|| format!("after {} s", LIMIT.as_secs()), |status| format!("({status})"));
            bail!("{name} does not answer at {} {how}; {}", socket.display(), tail(log, 20));
        }
        sleep(Duration::from_millis(20));
    }
}

/// Waits until something is so; says whether it was, in time.
pub fn wait_until(is: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is() && began.elapsed() < LIMIT {
        sleep(Duration::from_millis(10));
    }
    is()
}

/// Whether a process runs; of this program, if one is named. A killed daemon stays a zombie until its parent takes note,
/// and Docker takes a zombie for a live one.
pub fn is_alive(pid: u32, name: Option<&str>) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let alive = field("State:").is_some_and(|state| !state.starts_with(['Z', 'X', 'x']));
    alive && name.is_none_or(|name| field("Name:") == Some(name))
}

pub fn read_pid(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Removes a pid file whose process is gone, or is not that daemon: it keeps the next one from starting. Says whether it did.
pub fn remove_if_stale(file: &Path, name: &str) -> Result<bool> {
    if read_pid(file).is_some_and(|pid| is_alive(pid, Some(name))) {
        return Ok(false);
    }
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", file.display())),
    }
}

/// Whether systemd runs this machine.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Sends a process a signal, `STOP` say.
fn signal(name: &str, pid: u32) -> Result<()> {
    output(program("sh").args(["-c", &format!("kill -s {name} {pid}")])).map(drop)
}

/// A file that the program `name` is run with, or itself.
pub fn wrapped<S: AsRef<OsStr>>(name: &str, options: &[S], what: impl AsRef<OsStr>) -> Command {
    match find(name) {
        Some(wrapper) => {
            let mut command = program(wrapper);
            command.args(options).arg(what);
            command
        }
        None => program(what),
    }
}

/// Drops packets to these addresses in the network of a process: of a pod, say, whose fence has to refuse them. What the
/// fence refuses does not get here; what it lets through by mistake goes no further. The rule ends with that network.
///
/// # Panics
///
/// When the rule is not there afterwards: nothing may be tried then.
pub fn drop_in_network_of(pid: u32, addresses: &[&str]) {
    for address in addresses {
        let tables = if address.contains(':') { "ip6tables" } else { "iptables" };
        let mut command = program("nsenter");
        command.env("PATH", path_with(&[]).expect("a PATH")).arg(format!("--net=/proc/{pid}/ns/net"));
        // The fence is at the hook before this one.
        let last = [tables, "--wait", "--table", "mangle", "--append", "POSTROUTING"];
        command.args(last).args(["--destination", address, "--jump", "DROP"]);
        output(&mut command).unwrap_or_else(|error| panic!("packets to {address} can't be dropped: {error:#}"));
    }
}

/// Where daemons of tests have their sockets: the path of a socket is 107 bytes at most, and a target folder may be deep.
fn short_folder(prefix: &str) -> Result<PathBuf> {
    for number in 0.. {
        let dir = std::env::temp_dir().join(format!("{prefix}{}-{number}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
        }
    }
    bail!("no folder is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stale_pid_files_are_removed() {
        let file = std::env::temp_dir().join(format!("xtask-{}.pid", std::process::id()));
        let own = fs::read_to_string("/proc/self/comm").expect("own name");
        let stale = |text: String, name: &str| {
            fs::write(&file, text).expect("a pid file");
            remove_if_stale(&file, name).expect("looked at")
        };
        assert!(!stale(format!("{}\n", std::process::id()), own.trim()), "a live process");
        assert!(stale(format!("{}\n", std::process::id()), "dockerd"), "another program");
        assert!(!remove_if_stale(&file, "dockerd").expect("no file"));
        assert!(stale("4194305\n".to_owned(), "dockerd"), "no such process");
        assert!(stale(String::new(), "dockerd"), "an empty file");

        let mut child = program("sleep").arg("60").spawn().expect("sleep");
        let pid = child.id();
        child.kill().expect("kill");
        assert!(wait_until(|| !is_alive(pid, None)), "it is a zombie now, whom nobody has waited for");
        assert!(stale(pid.to_string(), "sleep"), "a killed daemon");
        child.wait().expect("wait");
    }
}
