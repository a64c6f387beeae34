//! The messages between launcher and sidecar, and their frames. The crate's documentation says who sends what when.
//!
//! A control frame is a zero byte, the length of what follows in four bytes (big endian), and a message in JSON. An output
//! frame is a [`LogFrame`] as the build API has it; its first byte is never zero.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use monkeyci_api::{Hidden, LogDecodeError, LogDecoder, LogFrame, MAX_LOG_FRAME};
use monkeyci_build::{Command, JobBreaks};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest control message: 4 MiB. Command and variables can't be longer either: the system takes 2 MiB of both.
pub const MAX_CONTROL: usize = 4 * 1024 * 1024;

const CONTROL: u8 = 0;
const CONTROL_HEADER: usize = 1 + 4;
const LOG_HEADER: usize = 1 + 8 + 4;

/// What the launcher says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum FromLauncher {
    /// The first message: who is there.
    Hello {
        /// [`monkeyci_api::API_VERSION`] of the launcher; the sidecar's has to be equal.
        version: String,
        /// The user that the job runs as.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// The job is held here, until the sidecar says [`ToLauncher::Continue`], or a signal ends it.
    Held(HeldAt),
    /// The command could not be started. Nothing follows.
    Failed(Failure),
    /// The command's process has ended, all others are dead, all output has been sent. Nothing follows.
    Exited {
        /// How the process ended.
        end: ProcessEnd,
        /// The shell line that was running, from 1; none for a command without a shell.
        line: Option<u32>,
        /// How many processes of the container the kernel has killed for its memory meanwhile.
        oom_kills: u64,
    },
}

/// What the sidecar says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum ToLauncher {
    /// All is in place: run this.
    Go {
        /// The command.
        command: Command,
        /// The absolute path of its working directory.
        work_dir: String,
        /// Its variables on top of the container's: secrets come this way, so that nobody finds them in the container's
        /// configuration.
        env: Hidden<BTreeMap<String, String>>,
        /// Where it is to be held.
        #[serde(default)]
        breaks: JobBreaks,
    },
    /// A job that is held goes on. One that is not held hears nothing new.
    Continue,
    /// Nothing will be run.
    Refuse {
        /// Why, for the container's log.
        reason: String,
    },
    /// The job is over and done with: exit.
    Bye,
}

/// Where a job is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum HeldAt {
    /// The command's process has ended badly. The others run on.
    Failure {
        /// How it ended.
        end: ProcessEnd,
        /// The shell line that was running, from 1; none for a command without a shell.
        line: Option<u32>,
        /// How many processes of the container the kernel has killed for its memory so far.
        oom_kills: u64,
    },
    /// This line of the shell comes next, from 1; after the last one, nothing does.
    Before {
        /// The line.
        line: u32,
    },
}

/// Why a command could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Failure {
    /// There is no such program.
    CommandNotFound {
        /// The program, as given.
        command: String,
    },
    /// The program is there, but the system would not run it.
    NotExecutable {
        /// The program, as given.
        command: String,
        /// What the system said.
        reason: String,
    },
    /// The working directory can't be entered.
    BadWorkDir {
        /// What the system said.
        reason: String,
    },
    /// Something else, before the program came into it: no more processes or files allowed, say.
    NotStarted {
        /// What the system said.
        reason: String,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessEnd {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A control message, JSON.
    Control(Bytes),
    /// Output.
    Output(LogFrame),
}

/// What the other side sent is not this protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A control message longer than [`MAX_CONTROL`].
    #[error("a control message of {0} bytes; at most {MAX_CONTROL} are allowed")]
    TooLong(usize),
    /// A control message that is none.
    #[error("a control message of the wrong form: {0}")]
    Message(#[from] serde_json::Error),
    /// An output frame that is none.
    #[error(transparent)]
    Output(#[from] LogDecodeError),
    /// Output on a stream that is the host's own: only the sidecar speaks for the host.
    #[error("output in the host's name")]
    InTheHostsName,
    /// A message that has no place here.
    #[error("a message that has no place here: {0}")]
    OutOfOrder(String),
}

/// Appends a control frame to `out`.
///
/// # Errors
/// When the message is longer than [`MAX_CONTROL`].
pub fn encode(message: &impl Serialize, out: &mut BytesMut) -> Result<(), ProtocolError> {
    let json = serde_json::to_vec(message)?;
    if json.len() > MAX_CONTROL {
        return Err(ProtocolError::TooLong(json.len()));
    }
    out.reserve(CONTROL_HEADER + json.len());
    out.put_u8(CONTROL);
    out.put_u32(json.len() as u32);
    out.put_slice(&json);
    Ok(())
}

/// Takes the message out of a control frame.
///
/// # Errors
/// When it is none.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, ProtocolError> {
    Ok(serde_json::from_slice(json)?)
}

/// Takes frames out of bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// The buffer, to append what has arrived.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes are no frames.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ProtocolError> {
        match self.buffer.first() {
            None => Ok(None),
            Some(&CONTROL) => self.control(),
            Some(1..=3) => self.output(),
            Some(&other) => Err(LogDecodeError::Stream(other).into()),
        }
    }

    fn control(&mut self) -> Result<Option<Frame>, ProtocolError> {
        let Some(mut len) = self.buffer.get(1..CONTROL_HEADER) else { return Ok(None) };
        let len = len.get_u32() as usize;
        if len > MAX_CONTROL {
            return Err(ProtocolError::TooLong(len));
        }
        if self.buffer.len() < CONTROL_HEADER + len {
            return Ok(None);
        }
        self.buffer.advance(CONTROL_HEADER);
        Ok(Some(Frame::Control(self.buffer.split_to(len).freeze())))
    }

    fn output(&mut self) -> Result<Option<Frame>, ProtocolError> {
        // The decoder gets one frame at a time, since the frame after it may be a control frame.
        let whole = match self.buffer.get(LOG_HEADER - 4..LOG_HEADER) {
            None => return Ok(None),
            Some(mut len) => LOG_HEADER + (len.get_u32() as usize).min(MAX_LOG_FRAME),
        };
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut frame = LogDecoder::default();
        frame.push(&self.buffer.split_to(whole));
        Ok(frame.next_frame()?.map(Frame::Output))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use monkeyci_api::LogStream;

    use super::*;

    fn output(text: &'static str) -> LogFrame {
        LogFrame { stream: LogStream::Stderr, time_ms: 7, bytes: Bytes::from_static(text.as_bytes()) }
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_arrive() {
        let mut wire = BytesMut::new();
        encode(&ToLauncher::Bye, &mut wire).unwrap();
        output("hello").encode(&mut wire);
        output("world").encode(&mut wire);
        encode(&ToLauncher::Bye, &mut wire).unwrap();
        for step in [1, 3, 1000] {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in wire.chunks(step) {
                decoder.buffer().extend_from_slice(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            let bye = Frame::Control(Bytes::from_static(b"\"bye\""));
            let expected = [bye.clone(), Frame::Output(output("hello")), Frame::Output(output("world")), bye];
            assert_eq!(frames, expected, "in steps of {step}");
        }
    }

    #[test]
    fn variables_do_not_show_when_a_message_is_printed() {
        let env = Hidden(BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]));
        let go = ToLauncher::Go {
            command: Command::Argv(vec![]),
            work_dir: "/".to_owned(),
            env,
            breaks: JobBreaks::default(),
        };
        assert!(!format!("{go:?}").contains("hunter2"), "{go:?}");
    }

    #[test]
    fn frames_that_are_too_long_are_refused_before_they_arrive() {
        for bytes in [&[0, 255, 255, 255, 255][..], &[[1; 9], [255; 9]].concat()] {
            let mut decoder = Decoder::default();
            decoder.buffer().extend_from_slice(bytes);
            decoder.buffer().resize(LOG_HEADER + MAX_LOG_FRAME, 0);
            assert!(decoder.next_frame().is_err());
        }
    }
}
