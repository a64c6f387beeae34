//! The guard: what a container of a pod begins as, before it becomes what it is for.
//!
//! It starts as root with the right to administer its network (`CAP_NET_ADMIN`), fences the network in, gives that right up
//! for good, becomes the container's user, and becomes the container's program. So nobody's program runs a moment without the
//! fence, nor with the right to take it down; and it takes a millisecond, where another container would take a hundred.
//!
//! The fence is a table of nf_tables in the container's own network namespace: the machine needs to be asked for nothing, and
//! an engine that runs without root can do it as well. It is about what leaves the container, in this order:
//!
//! 1. to itself: allowed, with it the name server that Docker has inside of each container;
//! 2. to port 53 of its name servers: allowed, where the internet is;
//! 3. to the machine that it runs on, to addresses where clouds keep their secrets, to all at once: refused;
//! 4. to its own pod: allowed;
//! 5. to what the networks of pods are taken from: refused;
//! 6. to what the job was let reach in private networks that whoever runs the host permits: allowed;
//! 7. to private networks: refused;
//! 8. when the job has no internet: to what it was let reach: allowed; to everything else: refused.
//!
//! What is refused is refused at once: a connection fails with "connection refused", all else with "host unreachable", so that
//! nobody waits for a timeout. Kinds of sockets that leave the container without passing the fence can't be made at all, `AF_VSOCK`
//! for one.
//!
//! A further program that an engine starts in the container, a shell say, gets the container's rights from the engine, and comes through
//! here as well. What it is told, secrets too, it may be handed over its standard input; see [`monkeyci_api::Handed`].

mod fence;
mod handed;
mod netlink;
mod sockets;
mod surroundings;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::read_to_string;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use monkeyci_api::{GuardOrders, Handed};
use rustix::fs::{FileType, fchown, fstat};
use rustix::thread::{
    CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities, set_thread_gid,
    set_thread_groups, set_thread_uid,
};

pub(crate) use handed::HANDED_MOST;
use surroundings::Surroundings;
use user::Identity;

/// Why a guard did not become the program. The container ends with it.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The orders can't be read.
    #[error("its orders can't be read: {0}")]
    Orders(serde_json::Error),
    /// The network could not be fenced in.
    #[error(
        "the network can't be fenced in: {what}: {source}; this needs a kernel with nf_tables (nf_tables, nft_reject_inet), and \
         an engine that lets containers have NET_ADMIN; `--network-fence off` runs jobs without"
    )]
    Fence {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The right to change the network could not be given up.
    #[error("the right to change the network can't be given up: {0}")]
    Rights(io::Error),
    /// Sockets that the fence does not see could not be refused.
    #[error("sockets that no fence sees can't be refused: {0}; this needs a kernel with seccomp filters")]
    Sockets(io::Error),
    /// The variables that are secrets can't be read.
    #[error("the variables in {path} can't be read: {source}")]
    Variables {
        /// Their file.
        path: String,
        /// What was wrong, which says nothing of their values.
        source: io::Error,
    },
    /// What was to be handed over was not, or can't be put in place.
    #[error("what it is to be handed can't be taken: {0}")]
    Handed(io::Error),
    /// A shell was wanted, and there is none.
    #[error("the image has no shell; name a command that it has")]
    NoShell,
    /// Nobody says what to become.
    #[error("no program is named")]
    NoProgram,
    /// There is no such user.
    #[error("unable to find user {user:?}: {reason}")]
    NoUser {
        /// The user.
        user: String,
        /// Who was looked for, and where.
        reason: String,
    },
    /// The user can't be taken on.
    #[error("can't become user {user:?}: {source}")]
    User {
        /// The user.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program can't be run.
    #[error("can't run {program:?}: {source}")]
    Program {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
}

impl GuardError {
    /// The code to exit with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Program { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::NoShell => 127,
            Self::Program { .. } => 126,
            _ => 125,
        }
    }
}

/// Does as ordered, and becomes the program in `words`, or the one that it is handed. Returns only to say why not.
pub fn run(orders: &str, words: impl Iterator<Item = OsString>) -> GuardError {
    match prepare(orders, words) {
        Err(error) => error,
        Ok(mut command) => {
            let program = command.get_program().to_owned();
            GuardError::Program { program, source: command.exec() }
        }
    }
}

fn prepare(orders: &str, words: impl Iterator<Item = OsString>) -> Result<Command, GuardError> {
    let orders: GuardOrders = serde_json::from_str(orders).map_err(GuardError::Orders)?;
    if let Some(network) = &orders.network {
        let surroundings = Surroundings::look().map_err(|source| GuardError::Fence { what: "look around", source })?;
        netlink::install(&fence::rules(network, &surroundings))?;
    }
    give_up_network().map_err(GuardError::Rights)?;
    let variables = orders
        .env
        .as_ref()
        .map(|path| variables(path).map_err(|source| GuardError::Variables { path: path.clone(), source }));
    // Before it is somebody who may not read them.
    let variables = variables.transpose()?.unwrap_or_default();
    let identity = orders.user.as_ref().map(|user| {
        let read = |path| read_to_string(path).unwrap_or_default();
        Identity::find(user, &read("/etc/passwd"), &read("/etc/group"))
            .map_err(|reason| GuardError::NoUser { user: user.clone(), reason })
    });
    let identity = identity.transpose()?;
    let handed = if orders.handed { Some(handed::take().map_err(GuardError::Handed)?) } else { None };
    let mut command = command(words, handed.as_ref())?;
    if let Some(handed) = &handed {
        command.envs(handed::place(handed, identity.as_ref()).map_err(GuardError::Handed)?);
    }
    if let (Some(identity), Some(user)) = (&identity, &orders.user) {
        become_user(identity).map_err(|source| GuardError::User { user: user.clone(), source })?;
        if orders.set_home {
            command.env("HOME", &identity.home);
        }
    }
    command.envs(variables);
    if let Some(handed) = &handed {
        handed::wait_for(&handed.ready);
        handed::go_to(&handed.work_dir);
        command.envs(&handed.env.0);
    }
    // At the very end: whatever was to be done with rights is done.
    sockets::restrict().map_err(GuardError::Sockets)?;
    Ok(command)
}

/// The program that the guard becomes.
fn command(words: impl Iterator<Item = OsString>, handed: Option<&Handed>) -> Result<Command, GuardError> {
    let words: Vec<OsString> = match handed {
        Some(handed) if handed.program.is_empty() => vec![handed::shell().ok_or(GuardError::NoShell)?.into()],
        Some(handed) => handed.program.iter().map(OsString::from).collect(),
        None => words.collect(),
    };
    let [program, arguments @ ..] = words.as_slice() else { return Err(GuardError::NoProgram) };
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Reads a file of variables. What is wrong with its text is not said: it has secrets in it.
fn variables(path: &str) -> io::Result<BTreeMap<String, String>> {
    let text = std::fs::read(path)?;
    serde_json::from_slice(&text).map_err(|error| {
        let reason = format!("no map of texts, at line {} column {}", error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// Gives up the right to change the network, for this process and all that come of it: also for programs that would otherwise
/// gain rights, for the bounding set is what they can gain.
fn give_up_network() -> io::Result<()> {
    let mut held = capabilities(None)?;
    // Only who holds SETPCAP may shrink the bounding set. Who is not root gains nothing by it: all our containers that run
    // programs of others as another user than root have come through here as root.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        remove_capability_from_bounding_set(CapabilitySet::NET_ADMIN)?;
    }
    held.effective.remove(CapabilitySet::NET_ADMIN);
    held.permitted.remove(CapabilitySet::NET_ADMIN);
    held.inheritable.remove(CapabilitySet::NET_ADMIN);
    Ok(set_capabilities(None, held)?)
}

fn become_user(identity: &Identity) -> io::Result<()> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        // Programs open /dev/stdout anew, and engines give pipes to the user that they start: root. A device is nobody's own.
        if fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice) {
            // Where it can't be given, the program has what it inherits.
            let _ = fchown(fd, Some(identity.uid), None);
        }
    }
    set_thread_groups(&identity.groups)?;
    set_thread_gid(identity.gid)?;
    Ok(set_thread_uid(identity.uid)?)
}
