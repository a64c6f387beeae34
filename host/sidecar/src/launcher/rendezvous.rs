//! Waits for the sidecar's socket, without polling.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::signals::{self, Signals};
use super::{LauncherError, processes};

/// What came first.
pub(super) enum Arrival {
    /// The sidecar.
    Sidecar(Connection),
    /// A signal that ends the launcher.
    Signal(i32),
}

pub(super) struct Connection {
    pub(super) stream: UnixStream,
    /// What is left of the wait, for the caller to drop when it has time: the kernel takes some ten milliseconds to close
    /// an inotify descriptor.
    pub(super) leftover: Option<OwnedFd>,
}

/// Connects as soon as the sidecar listens.
pub(super) fn connect(socket: &Path, signals: &Signals) -> Result<Arrival, LauncherError> {
    if let Some(stream) = attempt(socket)? {
        return Ok(Arrival::Sidecar(Connection { stream, leftover: None }));
    }
    let failed = |error: Errno| no_rendezvous(socket, error.into());
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
    let wanted = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, socket.parent().unwrap_or(Path::new("/")), wanted).map_err(failed)?;
    loop {
        // The watch is there already: a socket that appears from now on makes an event.
        if let Some(stream) = attempt(socket)? {
            return Ok(Arrival::Sidecar(Connection { stream, leftover: Some(watch) }));
        }
        let mut fds = [PollFd::new(&watch, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
        while let Some(signal) = signals.next() {
            if signals::ends(signal) {
                return Ok(Arrival::Signal(signal));
            }
            if signal == signals::CHILD {
                processes::reap(None);
            }
        }
        // Which file it was does not matter: only that connecting is worth another try.
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&watch, &mut buffer);
        while events.next().is_ok() {}
    }
}

fn attempt(socket: &Path) -> Result<Option<UnixStream>, LauncherError> {
    match UnixStream::connect(socket) {
        Ok(stream) => Ok(Some(stream)),
        // Refused: a socket on which nobody listens any more.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(no_rendezvous(socket, error)),
    }
}

fn no_rendezvous(socket: &Path, source: io::Error) -> LauncherError {
    LauncherError::NoRendezvous { path: socket.to_owned(), source }
}
