//! Starts the job's command, and says precisely why it can't.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use monkeyci_build::Command;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::Pid;

use super::memory::Score;
use super::{script, signals};
use crate::protocol::Failure;

const SHELL: &str = "/bin/sh";
/// The shell's descriptor for line numbers is at least this: far from those that programs use.
const MARKS_FD: i32 = 100;

/// A job that runs.
pub(super) struct Job {
    pub(super) pid: Pid,
    pub(super) stdout: PipeReader,
    pub(super) stderr: PipeReader,
    /// Where the shell writes which line runs; none for a command without a shell, or with one for each line.
    pub(super) marks: Option<PipeReader>,
    /// What the shell reads from where it is held.
    pub(super) holds: Option<PipeWriter>,
    /// The lines that are still to run, each in a shell of its own.
    pub(super) lines: Lines,
}

/// Lines that run each in a shell of its own, one after the other. Empty for other commands.
#[derive(Default)]
pub(super) struct Lines {
    left: VecDeque<String>,
    /// Whether there are such lines, or were.
    are_all: bool,
    /// How many have been started.
    started: u32,
    /// None once there is nothing left to start: the pipes end with the job then.
    starter: Option<Starter>,
}

impl Lines {
    /// The line that runs, or ran last.
    pub(super) fn number(&self) -> Option<u32> {
        Some(self.started).filter(|number| *number > 0)
    }

    /// The number of the line that comes next, or would come after the last one; none for commands that are no such lines.
    pub(super) fn next(&self) -> Option<u32> {
        self.are_all.then(|| self.started.saturating_add(1))
    }

    /// Whether a line is still to be started.
    pub(super) fn are_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Starts the next line, if there is one.
    pub(super) fn start_next(&mut self, score: &mut Score) -> Result<Option<Pid>, Failure> {
        let (Some(line), Some(starter)) = (self.left.pop_front(), self.starter.take()) else { return Ok(None) };
        self.started += 1;
        let pid = starter.start_shell(script::options(&starter.program), line, score)?;
        self.starter = Some(starter).filter(|_| self.are_left());
        Ok(Some(pid))
    }
}

/// Starts processes that write to the same two pipes.
struct Starter {
    /// What runs the program; nothing but itself when empty.
    entrypoint: Vec<String>,
    /// The program and its first arguments.
    program: Vec<String>,
    env: BTreeMap<String, String>,
    stdout: PipeWriter,
    stderr: PipeWriter,
}

pub(super) fn spawn(
    command: Command,
    entrypoint: &[String],
    work_dir: &str,
    env: BTreeMap<String, String>,
    before: &BTreeSet<u32>,
    score: &mut Score,
) -> Result<Job, Failure> {
    // This process itself moves, so that a missing directory and a missing program are two things.
    rustix::process::chdir(work_dir).map_err(|error| Failure::BadWorkDir { reason: error.to_string() })?;
    let (stdout, stdout_writer) = pipe().map_err(not_started)?;
    let (stderr, stderr_writer) = pipe().map_err(not_started)?;
    let entrypoint = entrypoint.to_vec();
    let starter = |program| Starter { entrypoint, program, env, stdout: stdout_writer, stderr: stderr_writer };
    let (mut marks, mut holds, mut lines) = (None, None, Lines::default());
    let pid = match command {
        Command::Argv(argv) => starter(argv).start(&[], score)?,
        Command::Shell(shell) => {
            let program = if shell.program.is_empty() { vec![SHELL.to_owned()] } else { shell.program };
            let starter = starter(program);
            // (No lines at all are a script that does nothing.)
            if shell.each && !shell.lines.is_empty() {
                // One that is held before its first line begins with a line of ours, which is none of its own.
                let first = before.contains(&1).then(|| starter.start_shell(&[], ":".to_owned(), score)).transpose()?;
                lines = Lines { left: shell.lines.into(), are_all: true, started: 0, starter: Some(starter) };
                match first.map_or_else(|| lines.start_next(score), |first| Ok(Some(first)))? {
                    Some(pid) => pid,
                    None => return Err(Failure::NotStarted { reason: "there is no line".to_owned() }), // not reached
                }
            } else {
                let (reader, writer) = pipe().map_err(not_started)?;
                let writer = inherited(writer.into()).map_err(not_started)?;
                marks = Some(reader);
                let mut waits = None;
                if !before.is_empty() {
                    let (reader, writer) = pipe().map_err(not_started)?;
                    waits = Some(inherited(reader.into()).map_err(not_started)?);
                    holds = Some(writer);
                }
                let descriptors = script::Descriptors {
                    marks: writer.as_raw_fd(),
                    holds: waits.as_ref().map(|waits| (before, waits.as_raw_fd())),
                };
                let script = script::script(&shell.lines, script::options(&starter.program), descriptors);
                starter.start_shell(&[], script, score)?
            }
        }
    };
    let readers = [Some(&stdout), Some(&stderr), marks.as_ref()].into_iter().flatten().map(PipeReader::as_fd);
    for end in readers.chain(holds.as_ref().map(PipeWriter::as_fd)) {
        fcntl_setfl(end, OFlags::NONBLOCK).map_err(|error| not_started(error.into()))?;
    }
    Ok(Job { pid, stdout, stderr, marks, holds, lines })
}

/// An end of a pipe that stays open across `exec`. Nothing waits for its closing, so it may leak to whatever the shell leaves behind.
fn inherited(end: OwnedFd) -> io::Result<OwnedFd> {
    let end = match fcntl_dupfd_cloexec(&end, MARKS_FD) {
        Err(Errno::INVAL) => end, // so few descriptors are allowed that there is no such number
        other => other?,
    };
    fcntl_setfd(&end, FdFlags::empty())?;
    Ok(end)
}

impl Starter {
    /// Starts the program as a shell for `script`, under these options.
    fn start_shell(&self, options: &[&str], script: String, score: &mut Score) -> Result<Pid, Failure> {
        // What the shell calls itself in its messages.
        let name = self.program.first().and_then(|program| program.rsplit('/').next()).unwrap_or("sh").to_owned();
        let options = options.iter().map(|option| (*option).to_owned());
        let arguments: Vec<_> = options.chain(["-c".to_owned(), script, name]).collect();
        self.start(&arguments, score)
    }

    /// Starts the program with more arguments.
    fn start(&self, more: &[String], score: &mut Score) -> Result<Pid, Failure> {
        // What runs nothing has to be said so, also where something would run it.
        if self.program.first().is_none_or(String::is_empty) {
            return Err(Failure::CommandNotFound { command: String::new() });
        }
        let mut words = self.entrypoint.iter().chain(&self.program);
        let Some(program) = words.next() else {
            return Err(Failure::CommandNotFound { command: String::new() });
        };
        let stdout = self.stdout.try_clone().map_err(not_started)?;
        let stderr = self.stderr.try_clone().map_err(not_started)?;
        let mut process = Process::new(program);
        process.args(words).args(more).envs(&self.env).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        // SAFETY: between fork and exec the closure makes system calls only; it allocates nothing and takes no lock.
        unsafe {
            process.pre_exec(|| {
                // A session of its own: a group that signals can be sent to, and no terminal.
                rustix::process::setsid()?;
                signals::reset_all()
            });
        }
        let child = score.raised_for(|| process.spawn()).map_err(|error| self.diagnose(program, &error))?;
        match Pid::from_raw(child.id() as i32) {
            Some(pid) => Ok(pid),
            None => Err(Failure::NotStarted { reason: "the system gave no process id".to_owned() }),
        }
    }

    fn diagnose(&self, program: &str, error: &io::Error) -> Failure {
        let command = program.to_owned();
        let reason = match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR) if !self.exists(program) => return Failure::CommandNotFound { command },
            // The kernel says so too when it is the file's interpreter that is missing.
            Some(Errno::NOENT) => {
                "the file is there, but not the interpreter or dynamic loader that it names".to_owned()
            }
            Some(Errno::TOOBIG) => {
                "its arguments and environment are longer than the system allows (128 KiB for the lines of a \
                                shell, or for any one argument or variable)"
                    .to_owned()
            }
            // No more processes or memory: that is not the program's fault.
            Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
                return Failure::NotStarted { reason: error.to_string() };
            }
            _ if error.kind() == ErrorKind::InvalidInput => {
                "it, an argument or a variable contains a NUL byte".to_owned()
            }
            _ => error.to_string(),
        };
        Failure::NotExecutable { command, reason }
    }

    /// Whether there is a file that running `program` would have found.
    fn exists(&self, program: &str) -> bool {
        if program.contains('/') {
            return Path::new(program).exists();
        }
        let path = self.env.get("PATH").map(Into::into).or_else(|| env::var_os("PATH"));
        let path: OsString = path.unwrap_or_else(|| "/bin:/usr/bin".into());
        !program.is_empty() && env::split_paths(&path).any(|directory| directory.join(program).exists())
    }
}

fn not_started(error: io::Error) -> Failure {
    Failure::NotStarted { reason: error.to_string() }
}
