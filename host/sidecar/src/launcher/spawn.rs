//! Starts the job's command, and says precisely why it can't.

use std::env;
use std::io::{self, ErrorKind, PipeReader, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use monkeyci_build::Command;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::Pid;

use super::{memory, script, signals};
use crate::protocol::Failure;

const SHELL: &str = "/bin/sh";
/// The shell's descriptor for line numbers is at least this: far from those that programs use.
const MARKS_FD: i32 = 100;

/// A job that runs.
pub(super) struct Job {
    pub(super) pid: Pid,
    pub(super) stdout: PipeReader,
    pub(super) stderr: PipeReader,
    /// Where the shell writes which line runs; none for a command without a shell.
    pub(super) marks: Option<PipeReader>,
}

pub(super) fn spawn(command: &Command, work_dir: &str) -> Result<Job, Failure> {
    // This process itself moves, so that a missing directory and a missing program are two things.
    rustix::process::chdir(work_dir).map_err(|error| Failure::BadWorkDir { reason: error.to_string() })?;
    match command {
        Command::Argv(argv) => match argv.split_first() {
            Some((program, arguments)) => start(program, arguments, None),
            None => Err(Failure::CommandNotFound { command: String::new() }),
        },
        Command::Shell(lines) => {
            let (reader, writer) = marks_pipe().map_err(not_started)?;
            let script = script::script(lines, writer.as_raw_fd());
            start(SHELL, &["-c".to_owned(), script, "sh".to_owned()], Some(reader))
        }
    }
}

/// A pipe whose writing end stays open across `exec`. Nothing waits for its end, so it may leak to whatever the shell leaves
/// behind.
fn marks_pipe() -> io::Result<(PipeReader, OwnedFd)> {
    let (reader, writer) = pipe()?;
    let writer = match fcntl_dupfd_cloexec(&writer, MARKS_FD) {
        Err(Errno::INVAL) => writer.into(), // so few descriptors are allowed that there is no such number
        other => other?,
    };
    fcntl_setfd(&writer, FdFlags::empty())?;
    Ok((reader, writer))
}

fn start(program: &str, arguments: &[String], marks: Option<PipeReader>) -> Result<Job, Failure> {
    let (stdout, stdout_writer) = pipe().map_err(not_started)?;
    let (stderr, stderr_writer) = pipe().map_err(not_started)?;
    for reader in [Some(&stdout), Some(&stderr), marks.as_ref()].into_iter().flatten() {
        fcntl_setfl(reader, OFlags::NONBLOCK).map_err(|error| not_started(error.into()))?;
    }
    let mut process = Process::new(program);
    process.args(arguments).stdin(Stdio::null()).stdout(stdout_writer).stderr(stderr_writer);
    // SAFETY: between fork and exec the closure makes system calls only; it allocates nothing and takes no lock.
    unsafe {
        process.pre_exec(|| {
            // A session of its own: a group that signals can be sent to, and no terminal.
            rustix::process::setsid()?;
            memory::offer_to_the_oom_killer();
            signals::unblock_all()
        });
    }
    let child = process.spawn().map_err(|error| diagnose(program, &error))?;
    match Pid::from_raw(child.id() as i32) {
        Some(pid) => Ok(Job { pid, stdout, stderr, marks }),
        None => Err(Failure::NotStarted { reason: "the system gave no process id".to_owned() }),
    }
}

fn not_started(error: io::Error) -> Failure {
    Failure::NotStarted { reason: error.to_string() }
}

fn diagnose(program: &str, error: &io::Error) -> Failure {
    let command = program.to_owned();
    let reason = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) if !exists(program) => return Failure::CommandNotFound { command },
        // The kernel says so too when it is the file's interpreter that is missing.
        Some(Errno::NOENT) => "the file is there, but not the interpreter or dynamic loader that it names".to_owned(),
        Some(Errno::TOOBIG) => {
            "its arguments and environment are longer than the system allows (128 KiB for the lines of a \
                                shell, or for any one argument)"
                .to_owned()
        }
        // No more processes or memory: that is not the program's fault.
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
            return Failure::NotStarted { reason: error.to_string() };
        }
        _ if error.kind() == ErrorKind::InvalidInput => "it or an argument contains a NUL byte".to_owned(),
        _ => error.to_string(),
    };
    Failure::NotExecutable { command, reason }
}

/// Whether there is a file that running `program` would have found.
fn exists(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    !program.is_empty() && env::split_paths(&path).any(|directory| directory.join(program).exists())
}
