//! Runs the real program's two roles as plain processes, against a small build API in this process.

mod api;
mod hang_guard;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use monkeyci_api::{
    API_VERSION, Hidden, LogDecoder, LogFrame, LogStream, SidecarConfig, SidecarPlan, SidecarReport, Token,
};
use monkeyci_build::{Command, Ending, ShellCommand};
use tempfile::TempDir;

pub use api::Api;
pub use hang_guard::{HANGS, until};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_monkeyci-sidecar");

pub struct Rig {
    dir: TempDir,
    pub api: Api,
    /// Environment of the launcher, and so of the job.
    pub env: Vec<(String, String)>,
    /// The services' addresses.
    pub services: String,
    /// A command line to put before the launcher's.
    pub wrapper: Vec<String>,
    /// The launcher's program, and more arguments for it.
    pub launcher: Vec<String>,
}

impl Rig {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let api = Api::start(&dir.path().join("api.sock"));
        let config = SidecarConfig {
            version: API_VERSION.to_owned(),
            api: format!("unix:{}", dir.path().join("api.sock").display()),
            ca: None,
            build: "org/repo/1".to_owned(),
            job: "test".to_owned(),
            token: Token::new("secret".to_owned()),
            // Then it is the least.
            patience_ms: 0,
        };
        fs::write(dir.path().join("config.json"), serde_json::to_vec(&config).unwrap()).unwrap();
        Self { dir, api, env: vec![], services: String::new(), wrapper: vec![], launcher: vec![PROGRAM.to_owned()] }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of the workspace.
    pub fn work(&self, name: &str) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    /// Starts both processes for `plan`.
    pub fn start(&self, plan: SidecarPlan) -> Running<'_> {
        self.api.state().plan = Some(plan);
        Running { rig: self, launcher: Guard(self.launcher()), sidecar: Guard(self.sidecar()) }
    }

    /// Runs a job to its end.
    pub fn run(&self, plan: SidecarPlan) -> Done {
        self.start(plan).finish()
    }

    /// Runs shell lines to their end.
    pub fn shell(&self, lines: &[&str]) -> Done {
        self.run(plan(shell(lines)))
    }

    pub fn launcher(&self) -> Child {
        let mut line = self.wrapper.clone();
        line.push(self.launcher[0].clone());
        line.extend(["launcher", "--socket", text(&self.path("l.sock"))].map(str::to_owned));
        line.extend_from_slice(&self.launcher[1..]);
        line.extend(["--cgroup", text(&self.path("cgroup"))].map(str::to_owned));
        let mut process = Process::new(&line[0]);
        process.args(&line[1..]).envs(self.env.clone());
        self.spawn(process, "launcher")
    }

    pub fn sidecar(&self) -> Child {
        let mut process = Process::new(PROGRAM);
        process.args(["sidecar", "--config", text(&self.path("config.json"))]);
        process.args(["--socket", text(&self.path("l.sock"))]);
        process.args(["--workspace", text(&self.path("work"))]);
        process.args(["--files", text(&self.path("files")), "--outputs", text(&self.path("outputs"))]);
        process.env("MONKEYCI_SERVICES", &self.services);
        self.spawn(process, "sidecar")
    }

    fn spawn(&self, mut process: Process, name: &str) -> Child {
        let stderr = File::create(self.path(&format!("{name}.stderr"))).unwrap();
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap()
    }

    /// What a role wrote to its standard error.
    pub fn stderr(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.stderr"))).unwrap()
    }

    pub fn log(&self) -> Vec<LogFrame> {
        let mut decoder = LogDecoder::default();
        decoder.push(&self.api.state().log);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            frames.push(frame);
        }
        frames
    }

    /// All that was logged on `stream`.
    pub fn logged(&self, stream: LogStream) -> Vec<u8> {
        self.log().into_iter().filter(|frame| frame.stream == stream).flat_map(|frame| frame.bytes).collect()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.logged(LogStream::Stdout)).unwrap()
    }

    pub fn stderr_of_job(&self) -> String {
        String::from_utf8(self.logged(LogStream::Stderr)).unwrap()
    }

    pub fn host_lines(&self) -> String {
        String::from_utf8(self.logged(LogStream::Host)).unwrap()
    }
}

/// Both processes of a job.
pub struct Running<'r> {
    rig: &'r Rig,
    pub launcher: Guard,
    pub sidecar: Guard,
}

impl Running<'_> {
    /// Waits until both processes have ended.
    pub fn finish(mut self) -> Done {
        let sidecar_code = self.sidecar.wait();
        let launcher_code = self.launcher.wait();
        let report = self.rig.api.state().result.take();
        Done { report, sidecar_code, launcher_code }
    }

    /// Waits until the job has written `text` to standard output.
    pub fn until_logged(&self, text: &str) {
        until(&format!("the job to say {text:?}"), || {
            String::from_utf8_lossy(&self.rig.logged(LogStream::Stdout)).contains(text)
        });
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Done {
    pub report: Option<SidecarReport>,
    pub sidecar_code: Option<i32>,
    pub launcher_code: Option<i32>,
}

impl Done {
    /// The ending that was reported.
    pub fn ending(&self) -> &Ending {
        match &self.report {
            Some(SidecarReport::Ended(ending)) => ending,
            other => panic!("no ending was reported but {other:?}"),
        }
    }
}

/// A process that does not outlive its test.
pub struct Guard(pub Child);

impl Guard {
    pub fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        until("a process to end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the kernel says of a process, by the line's name.
pub fn status(process: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// The processes that a process has started.
pub fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// How often a process has had nothing to do, if it has nothing to do now. Whatever it was given to do is done when this has
/// grown.
pub fn idle(process: u32) -> Option<u64> {
    let count = status(process, "voluntary_ctxt_switches").parse().ok()?;
    status(process, "State").starts_with('S').then_some(count)
}

/// Waits until a launcher waits for its sidecar's socket: from then on it minds signals.
pub fn until_it_waits_for_the_socket(launcher: &Child) {
    let watches = || {
        let files = fs::read_dir(format!("/proc/{}/fdinfo", launcher.id())).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).any(|info| info.contains("inotify wd:"))
    };
    until("the launcher to wait", || watches() && idle(launcher.id()).is_some());
}

/// Whether the process with the number in the file `path` still runs.
pub fn runs(path: &Path) -> bool {
    let pid = fs::read_to_string(path).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Kills the process with the number in the file `path`.
pub fn kill(path: &Path) {
    let pid = fs::read_to_string(path).unwrap().trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
}

pub fn plan(command: Command) -> SidecarPlan {
    SidecarPlan {
        image: "image:1".to_owned(),
        command,
        work_dir: String::new(),
        memory_bytes: None,
        env: Hidden::default(),
        files: Hidden::default(),
        restore_artifacts: vec![],
        save_artifacts: vec![],
        caches: vec![],
        test_reports: vec![],
        services: vec![],
        breaks: Default::default(),
    }
}

pub fn shell(lines: &[&str]) -> Command {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Command::Shell(ShellCommand { lines, ..ShellCommand::default() })
}

/// Lines that run each in a shell of its own.
pub fn each(lines: &[&str]) -> Command {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Command::Shell(ShellCommand { lines, each: true, ..ShellCommand::default() })
}

pub fn argv(argv: &[&str]) -> Command {
    Command::Argv(argv.iter().map(|argument| (*argument).to_owned()).collect())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
