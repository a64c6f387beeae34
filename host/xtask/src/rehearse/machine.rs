//! A machine of a rehearsal: namespaces with a root of their own, that end with one process.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Stop;
use crate::command::{output, program};
use crate::say;

/// How long a machine may take to start, and to end.
const LIMIT: Duration = Duration::from_secs(120);
/// How often what may end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Where a machine's network comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Network {
    /// A namespace of its own; what goes out goes through slirp4netns, a program without rights.
    Own,
    /// That of the real machine.
    Shared,
}

/// A folder of the real machine that is seen in the rehearsal's, where it may be written without a trace.
pub struct Seen {
    pub lower: PathBuf,
    pub at: PathBuf,
}

/// The folder of a machine, which is locked while it is used, and removed when this is dropped.
pub struct Folder {
    script: PathBuf,
    path: PathBuf,
    _lock: File,
}

const PREFIX: &str = "monkeyci-rehearsal-";

impl Folder {
    /// Makes one in `parent`, and removes those that killed rehearsals have left there.
    pub fn create(parent: &Path, script: &Path) -> Result<Self> {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let folder = |path: PathBuf| -> Result<Option<Self>> {
            let file = path.join("lock");
            let lock = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(lock.try_lock().is_ok().then(|| Self { script: script.to_owned(), path, _lock: lock }))
        };
        for entry in fs::read_dir(parent).with_context(|| format!("cannot read {}", parent.display()))?.flatten() {
            let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
            if is_ours && let Some(left) = folder(entry.path())? {
                say::step("machine")
                    .note(&format!("removing {}, which a killed rehearsal has left", left.path.display()));
                drop(left);
            }
        }
        let mut number = std::process::id();
        loop {
            let path = parent.join(format!("{PREFIX}{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return folder(path)?.context("another rehearsal has just taken the folder of this one"),
                // One process makes several in tests.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 100_000,
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
        }
    }

    /// Where the machine's files are.
    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    fn group(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    fn remove(&self) -> Result<()> {
        output(script(&self.script, "leave").arg(self.group())).context("its processes have not ended")?;
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read what is mounted")?;
        let own = format!("{}/", self.path.display());
        if let Some(mount) = mounts.lines().find(|line| line.split(' ').nth(1).is_some_and(|at| at.starts_with(&own))) {
            bail!("this is mounted still, so {} stays: {mount}", self.path.display());
        }
        let gone = || {
            // The lock goes last: without it, another rehearsal takes the folder for one that was left.
            for entry in fs::read_dir(&self.path)?.filter_map(Result::ok).filter(|entry| entry.file_name() != "lock") {
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(entry.path())?,
                    false => fs::remove_file(entry.path())?,
                }
            }
            fs::remove_dir_all(&self.path)
        };
        gone().with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let step = say::step("machine");
        match self.remove() {
            Ok(()) => step.done("nothing of it is left"),
            Err(error) => say::failure(&format!("the rehearsal's folder: {error:#}")),
        }
    }
}

/// A machine that runs. Ends when it is dropped, and all of its processes with it.
pub struct Machine {
    holder: Child,
    /// Its first process, as the real machine sees it.
    first: u32,
    network: Option<Child>,
    variables: Vec<(&'static str, OsString)>,
    // The last one to be dropped.
    folder: Folder,
}

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    /// How long it took.
    pub time: Duration,
    /// None when it was stopped: by a signal, or because it took too long.
    pub status: Option<ExitStatus>,
    /// When the line came that was asked for.
    pub marked: Option<Duration>,
}

impl Machine {
    /// Starts it: its root is that of the folder, and its commands begin in `workdir`.
    pub fn start(folder: Folder, network: Network, workdir: &Path, seen: &[Seen]) -> Result<Self> {
        let mut command = script(&folder.script, "hold");
        command.arg(if network == Network::Own { "own" } else { "shared" });
        command.arg(folder.group()).arg(folder.root()).arg(workdir);
        for (number, Seen { lower, at }) in seen.iter().enumerate() {
            command.arg(lower).arg(at).arg(folder.path.join(format!("written-{number}")));
        }
        let holder = spawn_until(&mut command, b"ready\n").context("the rehearsal's machine does not start")?;
        let mut machine = Self { first: holder.id(), holder, network: None, variables: variables(), folder };
        let list = format!("/proc/{0}/task/{0}/children", machine.holder.id());
        let list = fs::read_to_string(&list).with_context(|| format!("cannot read {list}"))?;
        machine.first = list.trim().parse().context("the rehearsal's machine has no first process")?;
        if network == Network::Own {
            let mut command = script(&machine.folder.script, "network");
            let child = spawn_until(command.arg(machine.first.to_string()), b"1");
            machine.network = Some(child.context("slirp4netns does not connect the rehearsal's network")?);
        }
        Ok(machine)
    }

    /// Sets a variable for all commands.
    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    fn command(&self, words: &[OsString]) -> Command {
        let mut command = script(&self.folder.script, "run");
        command.arg(self.folder.group()).arg(self.first.to_string()).args(["env", "-i"]);
        for (name, value) in &self.variables {
            let mut variable = OsString::from(name);
            variable.push("=");
            variable.push(value);
            command.arg(variable);
        }
        command.args(words);
        command
    }

    /// Runs a command on this program's terminal.
    pub fn interact(&self, words: &[OsString], stop: &Stop) -> Result<Outcome> {
        let began = Instant::now();
        let mut child = self.command(words).spawn().context("cannot start bash")?;
        loop {
            let status = child.try_wait().context("cannot wait")?;
            if status.is_some() || stop.asked() {
                return Ok(Outcome { time: began.elapsed(), status, marked: None });
            }
            sleep(LOOK);
        }
    }

    /// Runs a command for at most `limit`. What it prints goes to the log, each line with its time; `mark` tells the line
    /// whose time is asked for.
    pub fn run(
        &self,
        words: &[OsString],
        limit: Duration,
        log: &Path,
        stop: &Stop,
        mut mark: impl FnMut(&str) -> bool,
    ) -> Result<Outcome> {
        let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let (reader, writer) = std::io::pipe().context("no pipe")?;
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(writer.try_clone().context("no pipe")?).stderr(writer).process_group(0);
        let began = Instant::now();
        let mut child = command.spawn().context("cannot start bash")?;
        // Its ends of the pipe.
        drop(command);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send((began.elapsed(), text)).is_err() {
                    break;
                }
                line.clear();
            }
        });

        let mut outcome = Outcome { time: Duration::ZERO, status: None, marked: None };
        let mut note = |outcome: &mut Outcome, (time, line): (Duration, String)| {
            if outcome.marked.is_none() && mark(&line) {
                outcome.marked = Some(time);
            }
            writeln!(file, "[{:8.2}] {line}", time.as_secs_f64())
                .with_context(|| format!("cannot write {}", log.display()))
        };
        loop {
            outcome.time = began.elapsed();
            outcome.status = child.try_wait().context("cannot wait")?;
            if outcome.status.is_some() || stop.asked() || outcome.time > limit {
                break;
            }
            match lines.recv_timeout(LOOK) {
                Ok(line) => note(&mut outcome, line)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => sleep(LOOK),
            }
        }
        // A daemon that it has left behind may keep the pipe open.
        while let Ok(line) = lines.recv_timeout(Duration::from_millis(200)) {
            note(&mut outcome, line)?;
        }
        if outcome.status.is_none() {
            writeln!(file, "stopped after {} s", outcome.time.as_secs()).ok();
            child.kill().ok();
            child.wait().ok();
        }
        Ok(outcome)
    }

    fn end(&mut self) -> Result<()> {
        let killed = send_kill(self.first);
        let began = Instant::now();
        while self.holder.try_wait().context("cannot wait")?.is_none() {
            if began.elapsed() > LIMIT {
                bail!("the processes of the rehearsal's machine do not end ({killed:?})");
            }
            sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            say::failure(&format!("{error:#}"));
        }
        if let Some(network) = &mut self.network {
            network.kill().ok();
            network.wait().ok();
        }
    }
}

fn send_kill(pid: u32) -> Result<()> {
    // `kill` is also a program, which the smallest Debian does not have.
    output(program("bash").args(["-c", "kill -KILL \"$1\"", "bash"]).arg(pid.to_string())).map(|_| ())
}

/// A part of `machine.sh`.
pub fn script(script: &Path, part: &str) -> Command {
    let mut command = program("bash");
    command.arg(script).arg(part);
    command
}

/// Starts a process that stays, and waits until it has printed this.
fn spawn_until(command: &mut Command, wanted: &[u8]) -> Result<Child> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start bash")?;
    let (sender, answer) = mpsc::channel();
    let mut stdout = child.stdout.take().context("a child without output")?;
    let mut stderr = child.stderr.take().context("a child without output")?;
    let length = wanted.len();
    thread::spawn(move || {
        let mut bytes = vec![0; length];
        let read = stdout.read_exact(&mut bytes);
        let _ = sender.send(read.is_ok().then_some(bytes));
    });
    // Read to its end, lest the process waits for somebody to read it.
    let said = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    if let Ok(Some(bytes)) = answer.recv_timeout(LIMIT)
        && bytes == wanted
    {
        return Ok(child);
    }
    child.kill().ok();
    child.wait().ok();
    let began = Instant::now();
    while !said.is_finished() && began.elapsed() < Duration::from_secs(1) {
        sleep(LOOK);
    }
    match said.is_finished() {
        true => bail!("{}", said.join().unwrap_or_default()),
        false => bail!("it says nothing for {} s", LIMIT.as_secs()),
    }
}

/// The variables that a person finds after logging in, and how this machine reaches the world.
fn variables() -> Vec<(&'static str, OsString)> {
    let path = "/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let fixed = [("PATH", path), ("HOME", "/root"), ("USER", "root"), ("SHELL", "/bin/bash"), ("LANG", "C.UTF-8")];
    const CARRIED: [&str; 8] = [
        "TERM",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "RUSTUP_DIST_SERVER",
    ];
    let carried = CARRIED.into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
    fixed.map(|(name, value)| (name, value.into())).into_iter().chain(carried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine without a base: it sees this machine's programs.
    fn machine(parent: &Path) -> Machine {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rehearse/machine.sh");
        let folder = Folder::create(parent, &script).expect("a folder");
        let root = folder.root();
        for dir in ["proc", "sys", "dev", "run", "mnt", "tmp", "work"] {
            fs::create_dir_all(root.join(dir)).expect("a folder");
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).expect("a link");
        }
        let seen = ["/usr", "/etc"].map(|dir| Seen { lower: dir.into(), at: dir.into() });
        Machine::start(folder, Network::Own, Path::new("/work"), &seen).expect("a machine")
    }

    fn sh(machine: &Machine, text: &str) -> (Outcome, String) {
        let log = machine.folder.path.join("log");
        let words = ["bash", "-c", text].map(OsString::from);
        let outcome = machine.run(&words, LIMIT, &log, &Stop::never(), |line| line == "here").expect("it runs");
        (outcome, fs::read_to_string(&log).expect("a log"))
    }

    /// All processes in the pid namespace of a process.
    fn namespace_of(pid: u32) -> PathBuf {
        fs::read_link(format!("/proc/{pid}/ns/pid")).expect("root may")
    }

    fn processes_in(namespace: &Path) -> usize {
        let processes = fs::read_dir("/proc").expect("proc").flatten();
        processes.filter(|it| fs::read_link(it.path().join("ns/pid")).is_ok_and(|own| own == namespace)).count()
    }

    #[test]
    fn a_machine_has_its_own_processes_and_network_and_leaves_none_of_them() {
        let parent = env::temp_dir().join(format!("xtask-{}-machine", std::process::id()));
        let machine = machine(&parent);
        let path = machine.folder.path.clone();
        let group = machine.folder.group().to_owned();
        let namespace = namespace_of(machine.first);

        let (outcome, log) = sh(&machine, "pwd; hostname; ip -brief address; echo $PPID-$CARGO-; echo here; exit 3");
        assert_eq!(outcome.status.and_then(|status| status.code()), Some(3), "{log}");
        assert!(outcome.marked.is_some(), "{log}");
        for part in ["/work", "rehearsal", "10.0.2.100/24", "0--"] {
            assert!(log.contains(part), "{part}: {log}");
        }
        // Like a daemon: it leaves the command's session, and holds a mount.
        let daemon = "mount -t tmpfs tmpfs /tmp && cd /tmp && touch there && exec setsid sleep 600 >/dev/null 2>&1 &
            until test -e /tmp/there; do sleep 0.01; done";
        let (outcome, log) = sh(&machine, daemon);
        assert!(outcome.status.is_some_and(|status| status.success()), "{log}");
        assert!(processes_in(&namespace) >= 2);

        drop(machine);
        // Who was killed is there until its parent has heard of it.
        let is_left = || {
            sleep(Duration::from_millis(10));
            processes_in(&namespace) > 0
        };
        assert!(!(0..30_000).all(|_| is_left()), "a process of the machine is left");
        assert!(!path.exists());
        assert!(!fs::read_to_string("/proc/mounts").expect("mounts").contains(&path.display().to_string()));
        let groups = output(program("find").args(["/sys/fs/cgroup", "-name"]).arg(&group)).expect("find");
        assert_eq!(groups, "");
        fs::remove_dir_all(&parent).expect("only the parent is left");
    }

    #[test]
    fn a_command_is_stopped_at_its_limit_and_what_a_killed_rehearsal_left_is_removed_by_the_next() {
        let parent = env::temp_dir().join(format!("xtask-{}-killed", std::process::id()));
        let mut machine = machine(&parent);
        let words = ["sleep", "600"].map(OsString::from);
        let log = parent.join("log");
        let stopped = machine.run(&words, Duration::ZERO, &log, &Stop::never(), |_| false).expect("it runs");
        assert!(stopped.status.is_none(), "{stopped:?}");

        // As after SIGKILL: the kernel ends the processes, nobody removes the folder.
        machine.end().expect("ended");
        let path = machine.folder.path.clone();
        fs::create_dir(parent.join(format!("{PREFIX}0"))).expect("a folder");
        let next = Folder::create(&parent, &machine.folder.script).expect("a folder");
        assert!(path.exists(), "its lock is held");
        assert!(!parent.join(format!("{PREFIX}0")).exists(), "nobody holds its lock");
        drop((next, machine));
        fs::remove_dir_all(&parent).expect("removed");
    }
}
