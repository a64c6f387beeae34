//! The sidecar's end of the connection to the launcher.

use monkeyci_api::{LogFrame, LogStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::StepError;
use super::job::Stop;
use crate::protocol::{Decoder, Frame, FromLauncher, ProtocolError, ToLauncher, decode, encode};

const READ_CHUNK: usize = 128 * 1024;

/// What the launcher said.
#[derive(Debug)]
pub(super) enum Said {
    Message(FromLauncher),
    Output(LogFrame),
}

pub(super) struct Launcher {
    stream: UnixStream,
    inbox: Decoder,
    owner: (u32, u32),
}

impl Launcher {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, inbox: Decoder::default(), owner: (0, 0) }
    }

    pub(super) fn set_owner(&mut self, uid: u32, gid: u32) {
        self.owner = (uid, gid);
    }

    /// User and group that the job runs as.
    pub(super) fn owner(&self) -> (u32, u32) {
        self.owner
    }

    /// The next thing that the launcher says. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Said, Stop> {
        loop {
            match self.inbox.next_frame().map_err(wrong)? {
                Some(Frame::Control(json)) => return Ok(Said::Message(decode(&json).map_err(wrong)?)),
                Some(Frame::Output(frame)) if matches!(frame.stream, LogStream::Host | LogStream::Service) => {
                    return Err(wrong(ProtocolError::InTheHostsName));
                }
                Some(Frame::Output(frame)) => return Ok(Said::Output(frame)),
                None => {}
            }
            let buffer = self.inbox.buffer();
            buffer.reserve(READ_CHUNK);
            match self.stream.read_buf(buffer).await {
                Ok(0) | Err(_) => return Err(Stop::LauncherGone { during: None }),
                Ok(_) => {}
            }
        }
    }

    /// Waits for the launcher's death, while it has nothing to say.
    pub(super) async fn until_gone(&mut self) -> Stop {
        match self.next().await {
            Ok(said) => wrong(ProtocolError::OutOfOrder(format!("{said:?}"))),
            Err(stop) => stop,
        }
    }

    pub(super) async fn send(&mut self, message: &ToLauncher) -> Result<(), Stop> {
        let mut bytes = bytes::BytesMut::new();
        encode(message, &mut bytes).map_err(|error| StepError::new("sending the command to the launcher", error))?;
        self.stream.write_all(&bytes).await.map_err(|_| Stop::LauncherGone { during: None })
    }
}

fn wrong(error: ProtocolError) -> Stop {
    StepError::new("listening to the launcher", format!("it sent {error}")).into()
}
