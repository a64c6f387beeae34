//! The child that compiles, from outside: started, waited for, stopped; and what its end means.

use std::fs::File;
use std::io::{PipeReader, Read, Seek, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::{BROKEN, MEMORY, Order, ROLE};
use crate::error::LoadError;
use crate::limits::Limits;

/// More threads make compiling little faster, and each takes memory of its own.
pub(crate) const THREADS: usize = 8;
/// What is read of the child's last words.
pub(crate) const LAST_WORDS: u64 = 16 << 10;
/// How the standard library's last words begin when there is no memory; then it aborts.
const NO_MEMORY: &str = "memory allocation of";

/// What the child gets: its stdin, stdout and stderr.
pub(super) struct Files<'a> {
    pub(super) component: File,
    pub(super) artifact: &'a File,
    pub(super) said: File,
}

/// Compiles `bytes` in a child.
pub(super) fn compile(
    program: &Path,
    limits: &Limits,
    bytes: &[u8],
    files: Files<'_>,
    stop: Option<&PipeReader>,
) -> Result<(), LoadError> {
    let Files { mut component, artifact, mut said } = files;
    component.write_all(bytes).and_then(|()| component.rewind()).map_err(LoadError::compiler)?;
    let order = Order { parent: rustix::process::getpid().as_raw_nonzero().get(), limits: limits.clone() };
    let order = serde_json::to_string(&order).map_err(LoadError::compiler)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS);
    let deadline = Instant::now() + limits.compile_time;
    let child = Command::new(program)
        .args([ROLE, &order])
        // Nothing of the host's environment: keys of stores are in it.
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        // Ctrl-C in a terminal goes to this process alone, which decides what is stopped.
        .process_group(0)
        .stdin(component)
        .stdout(artifact.try_clone().map_err(LoadError::compiler)?)
        .stderr(said.try_clone().map_err(LoadError::compiler)?)
        .spawn()
        .map_err(|error| LoadError::compiler(format!("{} can't be started: {error}", program.display())))?;
    let status = Running(child).wait(deadline, limits, stop)?;

    let mut words = Vec::new();
    said.rewind().and_then(|()| said.take(LAST_WORDS).read_to_end(&mut words)).map_err(LoadError::compiler)?;
    meaning(status, String::from_utf8_lossy(&words).trim(), limits)
}

/// What the child's end says of the component.
fn meaning(status: ExitStatus, words: &str, limits: &Limits) -> Result<(), LoadError> {
    let signal = status.signal().and_then(Signal::from_named_raw);
    match (status.code(), signal) {
        (Some(0), _) => Ok(()),
        (Some(BROKEN), _) => Err(LoadError::Invalid(words.to_owned())),
        (Some(MEMORY), _) => Err(LoadError::CompileMemory { limit: limits.compile_memory_bytes }),
        (_, Some(Signal::ABORT)) if words.starts_with(NO_MEMORY) => {
            Err(LoadError::CompileMemory { limit: limits.compile_memory_bytes })
        }
        (_, Some(Signal::XCPU)) => Err(LoadError::CompileTime(limits.compile_time)),
        // By whom a process is killed can't be seen, and it is seldom anybody else.
        (_, Some(Signal::KILL)) => Err(LoadError::compiler(
            "it was killed (SIGKILL), most likely because the machine has not enough memory; free some, and try again",
        )),
        _ if words.is_empty() => Err(LoadError::compiler(format!("it ended with {status} and said nothing"))),
        _ => Err(LoadError::compiler(format!("it ended with {status}: {words}"))),
    }
}

/// A child that is killed, and waited for, when nobody waits for its own end.
struct Running(Child);

impl Running {
    /// Waits for its end, until `deadline`, or until `stop` is closed.
    fn wait(mut self, deadline: Instant, limits: &Limits, stop: Option<&PipeReader>) -> Result<ExitStatus, LoadError> {
        let ended: OwnedFd = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty()).map_err(LoadError::compiler)?;
        let mut events = vec![PollFd::new(&ended, PollFlags::IN)];
        // Nobody writes to it: what comes is its end.
        events.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(LoadError::compiler)?;
            match poll(&mut events, Some(&left)) {
                Ok(0) => return Err(LoadError::CompileTime(limits.compile_time)),
                Ok(_) if !events[0].revents().is_empty() => return self.0.wait().map_err(LoadError::compiler),
                Ok(_) => {
                    return Err(LoadError::compiler("it was stopped, because nobody waits for the script any more"));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(LoadError::compiler(error)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither does anything to a child that was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
