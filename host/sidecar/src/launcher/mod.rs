//! The launcher: PID 1 of a job's container.
//!
//! One thread, one [`poll`](rustix::event::poll) loop, no runtime: it is ready within a millisecond and takes no memory from the
//! job.

mod budget;
mod holding;
mod link;
mod memory;
mod privacy;
mod processes;
mod rendezvous;
mod script;
mod signals;
mod spawn;
mod supervise;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use monkeyci_api::{API_VERSION, paths};

use crate::protocol::{Failure, FromLauncher, ProcessEnd, ProtocolError, ToLauncher};
pub use budget::limits;
use holding::Holding;
use link::{Link, Wake};
use memory::Score;
use rendezvous::{Arrival, Connection};
use signals::Signals;

/// The exit code for what is the launcher's or the sidecar's doing.
pub const EXIT_LAUNCHER_FAILED: u8 = 125;
const EXIT_NOT_EXECUTABLE: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;
/// Where the job's container sees its own control group.
const CGROUP: &str = "/sys/fs/cgroup";
/// Who stops a job kills its container at the end of the grace that they give it. This is for a signal that nobody follows up:
/// longer than any grace of ours.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Where the launcher finds things.
#[derive(Clone, Debug)]
pub struct Options {
    /// The socket on which the sidecar listens.
    pub socket: PathBuf,
    /// The control group of the job.
    pub cgroup: PathBuf,
    /// How long a job that was told to stop may take, when nobody kills its container earlier.
    pub stop_limit: Duration,
    /// A program and arguments that run the command, which is what they get as further arguments: the image's entrypoint. The
    /// command is run itself when empty.
    pub entrypoint: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            socket: paths::LAUNCHER_SOCKET.into(),
            cgroup: CGROUP.into(),
            stop_limit: STOP_LIMIT,
            entrypoint: Vec::new(),
        }
    }
}

/// Why the launcher gave up. By then the job's processes are dead.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// A call that should never fail has failed.
    #[error("can't {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of the socket can't be watched.
    #[error("can't wait for the sidecar's socket {path:?}: {source}; is the shared volume mounted?")]
    NoRendezvous {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The sidecar's end of the connection closed too early.
    #[error("the sidecar went away before the job was over")]
    SidecarGone,
    /// The sidecar said that nothing will be run.
    #[error("nothing was run: {0}")]
    Refused(String),
    /// The sidecar sent something that is not the protocol.
    #[error("the sidecar sent {0}")]
    Protocol(#[from] ProtocolError),
}

impl LauncherError {
    fn system(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |error| Self::System { what, source: error.into() }
    }
}

/// Runs a job: waits for the sidecar, runs what it says, and returns the code to exit with.
///
/// # Errors
/// When the job could not be run to its end; the code is [`EXIT_LAUNCHER_FAILED`] then.
pub fn run(options: &Options) -> Result<u8, LauncherError> {
    let mut score = Score::open();
    privacy::close()?;
    let signals = Signals::block()?;
    processes::adopt_orphans()?;
    match rendezvous::connect(&options.socket, &signals)? {
        Arrival::Sidecar(connection) => {
            let result = talk(connection, &signals, &mut score, options);
            if result.is_err() {
                processes::kill_all_and_wait();
            }
            result
        }
        Arrival::Signal(signal) => Ok(exit_code(ProcessEnd::Signal(signal))),
    }
}

fn talk(connection: Connection, signals: &Signals, score: &mut Score, options: &Options) -> Result<u8, LauncherError> {
    let mut link = Link::new(connection.stream)?;
    link.send(&FromLauncher::Hello {
        version: API_VERSION.to_owned(),
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
    })?;
    let (command, work_dir, env, breaks) = match wait(&mut link, signals)? {
        Wake::Message(ToLauncher::Go { command, work_dir, env, breaks }) => (command, work_dir, env.0, breaks),
        Wake::Message(ToLauncher::Refuse { reason }) => return Err(LauncherError::Refused(reason)),
        Wake::Message(other) => return Err(out_of_order(&other)),
        Wake::Signal(signal) => return Ok(exit_code(ProcessEnd::Signal(signal))),
    };

    let oom_kills_before = memory::oom_kills(&options.cgroup);
    let oom_kills = || memory::oom_kills(&options.cgroup).saturating_sub(oom_kills_before);
    let ended = match spawn::spawn(command, &options.entrypoint, &work_dir, env, &breaks.before, score) {
        Ok(job) => {
            drop(connection.leftover);
            let held = Holding::new(breaks, &oom_kills);
            supervise::run(job, held, &mut link, signals, score, options.stop_limit)?
        }
        Err(failure) => Err(failure),
    };
    let code = match ended {
        Ok((end, line)) => {
            link.send(&FromLauncher::Exited { end, line, oom_kills: oom_kills() })?;
            exit_code(end)
        }
        Err(failure) => {
            let code = match failure {
                Failure::CommandNotFound { .. } => EXIT_NOT_FOUND,
                Failure::NotExecutable { .. } => EXIT_NOT_EXECUTABLE,
                Failure::BadWorkDir { .. } | Failure::NotStarted { .. } => EXIT_LAUNCHER_FAILED,
            };
            link.send(&FromLauncher::Failed(failure))?;
            code
        }
    };
    loop {
        match wait(&mut link, signals)? {
            // The job is over; whoever signals us now wants the container gone.
            Wake::Message(ToLauncher::Bye) | Wake::Signal(_) => return Ok(code),
            // It was held, and has ended before it was let go on.
            Wake::Message(ToLauncher::Continue) => {}
            Wake::Message(other) => return Err(out_of_order(&other)),
        }
    }
}

/// Waits for a message, or for a signal that ends us while no job runs. Reaps what dies meanwhile: as PID 1 we get
/// the orphans of whatever an engine runs in the container.
fn wait(link: &mut Link, signals: &Signals) -> Result<Wake, LauncherError> {
    loop {
        match link.wait(signals)? {
            Wake::Signal(signal) if signal == signals::CHILD => {
                processes::reap(None);
            }
            Wake::Signal(signal) if !signals::ends(signal) => {}
            wake => return Ok(wake),
        }
    }
}

fn out_of_order(message: &ToLauncher) -> LauncherError {
    ProtocolError::OutOfOrder(format!("{message:?}")).into()
}

fn exit_code(end: ProcessEnd) -> u8 {
    match end {
        // The kernel keeps eight bits of a code.
        ProcessEnd::Code(code) => (code & 0xff) as u8,
        ProcessEnd::Signal(signal) => (128 + (signal & 0x7f)) as u8,
    }
}
