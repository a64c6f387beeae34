//! How git fetches over ssh: with the `ssh` program of this machine, as git itself does. So the user's configuration, keys, agent and
//! known servers count. It asks nobody anything, since nobody is there to answer.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio_util::sync::CancellationToken;

use super::auth::GitAuth;
use super::transports;

/// How often a wait looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// How much of what ssh says is kept.
pub(super) const SAID: usize = 4096;

/// The address of a repository that is reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshAddress {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
}

/// What went wrong between git and a server that is reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SshError {
    #[error("it is no address of ssh's: ssh://user@host:port/path or user@host:path, and no password")]
    Address,
    #[error("the program ssh is needed for that, and can't be run: {0}; install OpenSSH's client, or use https://")]
    NoProgram(String),
    #[error(
        "ssh to {host} failed: {said}; it asks for nothing here: name a key with --git-auth ssh-key=FILE and the server's key with \
         --git-auth known-hosts=FILE, or set ssh up for this user"
    )]
    Failed { host: String, said: String },
    #[error("{host} said nothing for {} s; try again later", .limit.as_secs_f64())]
    Silent { host: String, limit: Duration },
    #[error("nothing is pushed from here")]
    Push,
}

impl SshAddress {
    /// The address, if it is one of ssh's.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, SshError> {
        let (authority, path, port_may_follow) = match text.split_once("://") {
            Some((scheme, rest))
                if ["ssh", "git+ssh", "ssh+git"].iter().any(|ssh| scheme.eq_ignore_ascii_case(ssh)) =>
            {
                let slash = rest.find('/').ok_or(SshError::Address)?;
                // `/~user/path` is a path from somebody's home.
                let path = &rest[slash..];
                (&rest[..slash], if path.starts_with("/~") { &path[1..] } else { path }, true)
            }
            Some(_) => return Ok(None),
            // `host:path`, unless a slash comes first, as in the path of a directory. `helper::address` is for git's helpers.
            None => match text.split_once(':') {
                Some((authority, path))
                    if !authority.is_empty() && !authority.contains('/') && !path.starts_with(':') =>
                {
                    (authority, path, false)
                }
                _ => return Ok(None),
            },
        };
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = match host.rsplit_once(':').filter(|(host, _)| port_may_follow && !host.contains(':')) {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| SshError::Address)?)),
            None => (host, None),
        };
        let plain = |text: &str| {
            let one = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            // What begins with a dash would be an option.
            !text.is_empty() && !text.starts_with('-') && text.chars().all(one)
        };
        let good = plain(host) && user.as_deref().is_none_or(plain) && !path.is_empty() && !path.contains('\0');
        if !good || path.starts_with('-') {
            return Err(SshError::Address);
        }
        Ok(Some(Self { user, host: host.to_owned(), port, path: path.to_owned() }))
    }

    /// What git is told: it passes it on only.
    fn for_git(&self) -> String {
        format!("ssh://{}/{}", self.host, self.path.trim_start_matches('/'))
    }
}

/// One fetch by ssh.
pub(crate) struct SshFetch {
    address: SshAddress,
    auth: GitAuth,
    program: String,
    silence: Duration,
    cancelled: CancellationToken,
    error: Mutex<Option<SshError>>,
}

thread_local! {
    /// See [`transports::Current`].
    static CURRENT: RefCell<Option<Arc<SshFetch>>> = const { RefCell::new(None) };
}

impl SshFetch {
    pub(crate) fn new(address: SshAddress, auth: GitAuth, silence: Duration, cancelled: CancellationToken) -> Self {
        Self { address, auth, program: "ssh".to_owned(), silence, cancelled, error: Mutex::default() }
    }

    /// Runs `git`, which may fetch on this thread from the address that it is given.
    ///
    /// # Errors
    /// What libgit2 says if it can't be given a transport.
    pub(crate) fn run<T>(self: &Arc<Self>, git: impl FnOnce(&str) -> T) -> Result<T, git2::Error> {
        transports::at(&CURRENT, self, || git(&self.address.for_git()))
    }

    /// What went wrong, if it went wrong here.
    pub(crate) fn error(&self) -> Option<SshError> {
        self.kept().clone()
    }

    fn kept(&self) -> MutexGuard<'_, Option<SshError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: SshError) -> io::Error {
        let shown = io::Error::other(error.to_string().replace('\0', "?"));
        self.kept().get_or_insert(error);
        shown
    }

    fn command(&self) -> Command {
        let Self { address, auth, .. } = self;
        let mut command = Command::new(&self.program);
        command.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ForwardAgent=no", "-x", "-T"]);
        if let Some(key) = &auth.ssh_key {
            command.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(key);
        }
        if let Some(known) = &auth.known_hosts {
            let file = format!("UserKnownHostsFile=\"{}\"", known.display());
            command.args(["-o", &file, "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"]);
        }
        if let Some(port) = address.port {
            command.args(["-p", &port.to_string()]);
        }
        let at = address.user.as_ref().map_or_else(|| address.host.clone(), |user| format!("{user}@{}", address.host));
        let path = address.path.replace('\'', r"'\''");
        command.args(["--", &at, &format!("git-upload-pack '{path}'")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(self: &Arc<Self>) -> Result<Conversation, SshError> {
        let failed = |error: io::Error| SshError::NoProgram(error.to_string());
        let mut child = self.command().spawn().map_err(failed)?;
        let (Some(to), Some(from), Some(mut said)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(SshError::NoProgram("it has no pipes".to_owned()));
        };
        for pipe in [to.as_fd(), from.as_fd()] {
            let set = fcntl_getfl(pipe).and_then(|flags| fcntl_setfl(pipe, flags | OFlags::NONBLOCK));
            set.map_err(|error| failed(error.into()))?;
        }
        let said = std::thread::spawn(move || {
            let (mut kept, mut piece) = (Vec::new(), [0; 1024]);
            while let Ok(read @ 1..) = said.read(&mut piece) {
                let room = SAID.saturating_sub(kept.len());
                kept.extend_from_slice(&piece[..read.min(room)]);
            }
            String::from_utf8_lossy(&kept).into_owned()
        });
        Ok(Conversation { fetch: self.clone(), child, to, from, said: Some(said) })
    }
}

/// Has libgit2 fetch by this file.
pub(super) fn transport(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    let fetch = CURRENT.with(|current| current.borrow().clone());
    let fetch = fetch.ok_or_else(|| git2::Error::from_str("ssh without a fetch"))?;
    Transport::smart(remote, false, Subtransport(fetch))
}

struct Subtransport(Arc<SshFetch>);

impl SmartSubtransport for Subtransport {
    fn action(&self, _url: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let failed = |error| git2::Error::from_str(&self.0.fail(error).to_string());
        match service {
            Service::UploadPackLs | Service::UploadPack => Ok(Box::new(self.0.start().map_err(failed)?)),
            Service::ReceivePackLs | Service::ReceivePack => Err(failed(SshError::Push)),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// ssh, which speaks with the server: libgit2 writes and reads.
struct Conversation {
    fetch: Arc<SshFetch>,
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    said: Option<JoinHandle<String>>,
}

impl Conversation {
    fn wait(fetch: &SshFetch, pipe: impl AsFd, flags: PollFlags) -> io::Result<()> {
        let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        let mut waited = Duration::ZERO;
        loop {
            if fetch.cancelled.is_cancelled() {
                return Err(io::Error::other("it was cancelled"));
            }
            let mut one = [PollFd::new(&pipe, flags)];
            match poll(&mut one, Some(&look)) {
                Ok(0) if waited >= fetch.silence => {
                    let host = fetch.address.host.clone();
                    return Err(fetch.fail(SshError::Silent { host, limit: fetch.silence }));
                }
                Ok(0) => waited += LOOK,
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The other side has ended: if it failed, that is the reason for what git will say.
    fn ended(&mut self) {
        // It, or a program that it has started, may go on without a word.
        let mut waited = Duration::ZERO;
        let is_over = |this: &mut Self| {
            this.said.as_ref().is_none_or(JoinHandle::is_finished) && !matches!(this.child.try_wait(), Ok(None))
        };
        while !is_over(self) && waited < self.fetch.silence && !self.fetch.cancelled.is_cancelled() {
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
        let said = self.said.take().filter(JoinHandle::is_finished).and_then(|said| said.join().ok());
        let said = said.unwrap_or_default();
        if self.child.try_wait().ok().flatten().is_none_or(|status| !status.success()) {
            let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
            let said = lines.collect::<Vec<_>>().join("; ").chars().filter(|c| !c.is_control()).collect();
            self.fetch.fail(SshError::Failed { host: self.fetch.address.host.clone(), said });
        }
    }
}

impl Read for Conversation {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::wait(&self.fetch, &self.from, PollFlags::IN)?;
        let read = self.from.read(buffer)?;
        if read == 0 {
            self.ended();
        }
        Ok(read)
    }
}

impl Write for Conversation {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::wait(&self.fetch, &self.to, PollFlags::OUT)?;
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests;
