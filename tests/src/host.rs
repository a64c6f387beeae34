//! Running the host's program.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use monkeyci_testbed::daemons::SmallDisk;
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::Engine;
use crate::hang_guard::{self, HANGS};
use crate::place;
use crate::s3::{self, S3};
use crate::warm;

/// A host with a home of its own.
pub struct Host {
    home: TempDir,
    engine: Option<String>,
    /// The address of an S3 server.
    store: Option<String>,
}

/// A home that is a small disk.
pub struct SmallHome {
    /// Where it is.
    pub path: PathBuf,
    _disk: SmallDisk,
}

impl SmallHome {
    /// Fills the disk: one block after the other, until there is room for none.
    pub fn fill(&self) {
        let mut rest = std::fs::File::create(self.path.join("rest")).expect("made");
        while std::io::Write::write_all(&mut rest, &[1; 4096]).is_ok() {}
    }
}

/// A build in progress.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    events: Vec<Value>,
    stderr: std::thread::JoinHandle<String>,
}

/// A build that ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub events: Vec<Value>,
    pub stderr: String,
}

impl Default for Host {
    /// A host in whose home the scripts of the tests are compiled.
    fn default() -> Self {
        let host = Self::cold();
        warm::fill(host.home());
        host
    }
}

impl Host {
    /// A host with an empty home.
    pub fn cold() -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), engine: None, store: None }
    }

    /// A host that uses this engine.
    pub fn on(engine: &Engine) -> Self {
        Self { engine: Some(engine.address.clone()), ..Self::default() }
    }

    /// The same with its blobs in this server's bucket.
    pub fn storing_in(self, store: &S3) -> Self {
        Self { store: Some(store.address().to_owned()), ..self }
    }

    /// Its home directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Another home, on a disk of 32 MiB, with the scripts that are compiled in this one.
    pub fn small_home(&self) -> SmallHome {
        let path = self.home().join("small");
        let disk = SmallDisk::at(&path, 32 << 20);
        std::fs::create_dir(path.join("compiled")).expect("made");
        for entry in std::fs::read_dir(self.home().join("compiled")).expect("compiled scripts").flatten() {
            std::fs::copy(entry.path(), path.join("compiled").join(entry.file_name())).expect("copied");
        }
        SmallHome { path, _disk: disk }
    }

    /// Its owner label.
    pub fn owner(&self) -> String {
        std::fs::read_to_string(self.home().join("owner")).expect("the host has run")
    }

    /// Its owner label, once it has one: it makes it when it starts.
    pub fn owner_soon(&self) -> String {
        hang_guard::until("the host's owner label", || self.home().join("owner").exists());
        self.owner()
    }

    /// A command of the host's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&place::host(), arguments)
    }

    /// A command of the host's, from a copy of its program.
    pub fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("MONKEYCI_HOME", self.home()).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.home().join("config"));
        // Where the tests run is no matter of theirs.
        for name in ["CI", "GITHUB_ACTIONS", "GITLAB_CI"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts a case of the probe script, on an empty directory unless `arguments` name the code.
    pub fn start(&self, case: &str, arguments: &[&str]) -> Running {
        let script = place::script("probe_script");
        let mut command = self.command(&["run", "--progress", "json"]);
        command.arg(script).args(["--param", &format!("case={case}")]);
        command.args(["--param", &format!("image={}", place::image())]);
        command.args(["--param", &format!("scratch-image={}", place::scratch_image())]);
        if !arguments.iter().any(|argument| ["--dir", "--git"].contains(argument)) {
            let empty = self.home().join("empty");
            std::fs::create_dir_all(&empty).expect("a directory");
            command.arg("--dir").arg(empty);
        }
        if let Some(engine) = &self.engine {
            command.args(["--engine", engine]);
        }
        if let Some(address) = &self.store {
            s3::lead(command.args(["--blobs", "s3://bucket/tests"]), address);
        }
        Running::spawn(command.args(arguments))
    }

    /// Runs a case of the probe script to its end.
    pub fn run(&self, case: &str, arguments: &[&str]) -> Ended {
        self.start(case, arguments).end()
    }
}

impl Running {
    /// Starts a command that prints JSON lines.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut errors = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        Self { child, lines, events: Vec::new(), stderr }
    }

    /// The host's process id.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits until a line holds this.
    pub fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> &Value {
        loop {
            let Some(event) = self.next() else { panic!("the build ended before that: {:#?}", self.events) };
            if wanted(&event) {
                return self.events.last().expect("just pushed");
            }
        }
    }

    /// Waits until a line holds this; none when the host hangs, or ends before.
    pub fn wait_or(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<&Value> {
        loop {
            let line = self.lines.recv_timeout(HANGS).ok()?;
            self.events.push(serde_json::from_str(&line).ok()?);
            if self.events.last().is_some_and(&wanted) {
                return self.events.last();
            }
        }
    }

    /// Waits for the host's end; kills it when that never comes.
    pub fn wait_for_exit(&mut self) {
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        hang_guard::found_or(|| ended(&mut self.child).then_some(()), || ());
        if !ended(&mut self.child) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// What it has said so far.
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// The id of the build, once it was triggered.
    pub fn build_id(&self) -> String {
        let id = self.events.iter().find_map(|event| event["build"].as_str());
        id.expect("the build was triggered").to_owned()
    }

    /// Waits until the job's own command runs.
    pub fn wait_until_running(&mut self, job: &str) {
        self.wait_for(|event| event["type"] == "job/running" && event["job"] == job);
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        while self.next().is_some() {}
        let status = self.child.wait().expect("an end");
        Ended { code: status.code(), events: self.events, stderr: self.stderr.join().expect("a reader") }
    }

    fn next(&mut self) -> Option<Value> {
        match self.lines.recv_timeout(HANGS) {
            Ok(line) => {
                let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?} is not JSON"));
                self.events.push(event.clone());
                Some(event)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                panic!("the build hangs: {:#?}", self.events)
            }
        }
    }
}

impl Ended {
    /// Events of this type.
    pub fn of_type<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["type"] == kind)
    }

    /// How a job ended.
    pub fn ending(&self, job: &str) -> &Value {
        let mut all = self.of_type("job/ended").filter(|event| event["job"] == job);
        let ending = all.next().unwrap_or_else(|| panic!("{job} did not end: {self:#?}"));
        assert!(all.next().is_none(), "{job} ended twice: {self:#?}");
        &ending["ending"]
    }

    /// Why a job ended so: `succeeded`, `exited`, …
    pub fn cause(&self, job: &str) -> &str {
        self.ending(job)["cause"].as_str().expect("a cause")
    }

    /// The log of a job (of `define`: `null` as JSON has it), stdout and stderr together.
    pub fn log(&self, job: Option<&str>) -> String {
        let own = |line: &&Value| line["stream"] == "stdout" || line["stream"] == "stderr";
        let lines = self.of_type("log").filter(|line| line["job"].as_str() == job).filter(own);
        lines.filter_map(|line| line["text"].as_str()).collect()
    }

    /// What one stream of a job said: `stdout`, `stderr`, `host` or `service`.
    pub fn log_of(&self, job: &str, stream: &str) -> String {
        let lines = self.of_type("log").filter(|line| line["job"] == job && line["stream"] == stream);
        lines.filter_map(|line| line["text"].as_str()).collect()
    }

    /// Checks that a job's log has these lines, and in this order: of standard output, and then of standard error. (In the midst of a
    /// line of one may come a line of the other.)
    ///
    /// # Panics
    /// When it has not.
    pub fn says(&self, job: &str, lines: &[&str]) {
        let log = ["stdout", "stderr"].map(|stream| self.log_of(job, stream)).concat();
        let mut rest = log.lines();
        for line in lines {
            assert!(rest.any(|said| said == *line), "{job} does not say {line:?} (in this order):\n{log}\n{self:#?}");
        }
    }

    /// The reason for a build's failure.
    pub fn failure(&self) -> String {
        let failed = self.of_type("build/failed").next().unwrap_or_else(|| panic!("it did not fail: {self:#?}"));
        failed["message"].as_str().expect("a message").to_owned()
    }
}

/// Runs a case on an engine to its end, and looks that nothing is left of it.
pub fn run(engine: &Engine, case: &str, arguments: &[&str]) -> Ended {
    let host = Host::on(engine);
    let ended = host.run(case, arguments);
    assert_nothing_left(engine, &host);
    ended
}

/// Runs something under a time limit in milliseconds, until the limit ran out where the test wants it to.
///
/// How far a build comes in a given time depends on the machine and on what else it does. Each run has four times as long as the
/// one before. What the last one gives is returned as it is, for the test to judge.
pub fn run_limited(run: impl Fn(u64) -> Ended, ran_out_there: impl Fn(&Ended) -> bool) -> Ended {
    let first = run(3_000);
    [12_000, 48_000, 192_000].into_iter().fold(first, |ended, limit| match ran_out_there(&ended) {
        true => ended,
        false => run(limit),
    })
}

/// All files below a directory: those of a host's home, say.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Looks that nothing of a host's is left, in the engine and in the directories of its builds.
pub fn assert_nothing_left(engine: &Engine, host: &Host) {
    assert_eq!(engine.leftovers(&host.owner()), [] as [String; 0]);
    assert_eq!(std::fs::read_dir(host.home().join("run")).expect("run").count(), 0, "a build's directory is left");
}
