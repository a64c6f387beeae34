//! The launcher's end of the connection: never blocks, so that a slow sidecar delays no signal.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use monkeyci_api::{LogFrame, LogStream};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::LauncherError;
use super::signals::Signals;
use crate::protocol::{Decoder, Frame, FromLauncher, ProtocolError, ToLauncher, decode, encode};

/// While more output than this waits for the sidecar, no more is read from the job.
pub(super) const OUTBOX_LIMIT: usize = 256 * 1024;
const READ_CHUNK: usize = 4096;

/// What ended a wait.
pub(super) enum Wake {
    Message(ToLauncher),
    Signal(i32),
}

pub(super) struct Link {
    stream: UnixStream,
    inbox: Decoder,
    outbox: BytesMut,
}

impl Link {
    pub(super) fn new(stream: UnixStream) -> Result<Self, LauncherError> {
        stream
            .set_nonblocking(true)
            .map_err(|source| LauncherError::System { what: "set up the connection", source })?;
        Ok(Self { stream, inbox: Decoder::default(), outbox: BytesMut::new() })
    }

    /// What to wait for on this connection.
    pub(super) fn interest(&self) -> PollFlags {
        if self.outbox.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Whether output may be added.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.len() < OUTBOX_LIMIT
    }

    pub(super) fn send(&mut self, message: &FromLauncher) -> Result<(), LauncherError> {
        encode(message, &mut self.outbox)?;
        self.flush()
    }

    pub(super) fn send_output(&mut self, stream: LogStream, bytes: &[u8]) -> Result<(), LauncherError> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let frame = LogFrame { stream, time_ms: time.as_millis() as u64, bytes: Bytes::copy_from_slice(bytes) };
        frame.encode(&mut self.outbox);
        self.flush()
    }

    /// Writes what the socket takes now.
    pub(super) fn flush(&mut self) -> Result<(), LauncherError> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(n) => self.outbox.advance(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(LauncherError::SidecarGone),
            }
        }
        Ok(())
    }

    /// The next message that has arrived, if there is one.
    pub(super) fn receive(&mut self) -> Result<Option<ToLauncher>, LauncherError> {
        loop {
            match self.inbox.next_frame()? {
                Some(Frame::Control(json)) => return Ok(Some(decode(&json)?)),
                Some(Frame::Output(_)) => return Err(ProtocolError::OutOfOrder("output".to_owned()).into()),
                None => {}
            }
            let mut chunk = [0; READ_CHUNK];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(LauncherError::SidecarGone),
                Ok(n) => self.inbox.buffer().extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(LauncherError::SidecarGone),
            }
        }
    }

    /// Sends what waits, until a message or a signal arrives.
    pub(super) fn wait(&mut self, signals: &Signals) -> Result<Wake, LauncherError> {
        loop {
            if let Some(message) = self.receive()? {
                return Ok(Wake::Message(message));
            }
            if let Some(signal) = signals.next() {
                return Ok(Wake::Signal(signal));
            }
            self.flush()?;
            let mut fds = [PollFd::new(&self.stream, self.interest()), PollFd::new(signals, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(LauncherError::system("wait")(error)),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
