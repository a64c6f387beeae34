//! Logs on the wire and in the store: frames of bytes with their stream and time.
//!
//! A frame is one byte for the stream, eight for the time (milliseconds since the Unix epoch, big endian), four for the
//! length (big endian), then the bytes. Frames follow each other with nothing between.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The most bytes that one frame may carry: 64 KiB. Longer output is several frames.
pub const MAX_LOG_FRAME: usize = 64 * 1024;

/// The bytes of a frame that are not its content.
pub const LOG_FRAME_HEADER: usize = 1 + 8 + 4;

/// How much of a log, as frames, its sender holds until it hears that it is kept. A receiver that says so of nothing for longer than that
/// has the job wait for ever.
pub const LOG_HELD: usize = 16 << 20;

/// What a mark has in place of a stream.
const MARK: u8 = 0;

/// Which stream a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// What the host itself has to say, and the lines of `events.log`.
    Host,
    /// What the job's services write: lines, each with the service's name in front.
    Service,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFrame {
    /// The stream.
    pub stream: LogStream,
    /// When the bytes were read, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The bytes, as they came: not always UTF-8, not always whole lines.
    pub bytes: Bytes,
}

/// A log that is not made of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogDecodeError {
    /// An unknown stream.
    #[error("log frame of unknown stream {0}")]
    Stream(u8),
    /// A frame longer than [`MAX_LOG_FRAME`].
    #[error("log frame of {0} bytes; at most {MAX_LOG_FRAME} are allowed")]
    TooLong(u32),
    /// The log ends inside a frame.
    #[error("the log ends inside a frame")]
    Truncated,
}

impl LogFrame {
    /// Appends the frame to `out`. Bytes past [`MAX_LOG_FRAME`] go into further frames.
    pub fn encode(&self, out: &mut BytesMut) {
        for chunk in self.bytes.chunks(MAX_LOG_FRAME) {
            out.reserve(LOG_FRAME_HEADER + chunk.len());
            out.put_u8(match self.stream {
                LogStream::Stdout => 1,
                LogStream::Stderr => 2,
                LogStream::Host => 3,
                LogStream::Service => 4,
            });
            out.put_u64(self.time_ms);
            out.put_u32(chunk.len() as u32);
            out.put_slice(chunk);
        }
    }
}

/// Appends a mark to `out`: what whoever writes a log has to remember at this place, and no part of it. It has at most
/// [`MAX_LOG_FRAME`] bytes.
pub fn encode_mark(mark: &[u8], out: &mut BytesMut) {
    let mark = &mark[..mark.len().min(MAX_LOG_FRAME)];
    out.put_u8(MARK);
    out.put_u64(0);
    out.put_u32(mark.len() as u32);
    out.put_slice(mark);
}

/// Takes frames out of bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct LogDecoder {
    buffer: BytesMut,
    mark: Option<Bytes>,
}

impl LogDecoder {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes are no frames.
    pub fn next_frame(&mut self) -> Result<Option<LogFrame>, LogDecodeError> {
        loop {
            if self.buffer.len() < LOG_FRAME_HEADER {
                return Ok(None);
            }
            let mut header = &self.buffer[..LOG_FRAME_HEADER];
            let stream = match header.get_u8() {
                MARK => None,
                1 => Some(LogStream::Stdout),
                2 => Some(LogStream::Stderr),
                3 => Some(LogStream::Host),
                4 => Some(LogStream::Service),
                other => return Err(LogDecodeError::Stream(other)),
            };
            let time_ms = header.get_u64();
            let len = header.get_u32();
            if len as usize > MAX_LOG_FRAME {
                return Err(LogDecodeError::TooLong(len));
            }
            if self.buffer.len() < LOG_FRAME_HEADER + len as usize {
                return Ok(None);
            }
            self.buffer.advance(LOG_FRAME_HEADER);
            let bytes = self.buffer.split_to(len as usize).freeze();
            match stream {
                Some(stream) => return Ok(Some(LogFrame { stream, time_ms, bytes })),
                None => self.mark = Some(bytes),
            }
        }
    }

    /// The last mark that came between frames.
    pub fn mark(&self) -> Option<&Bytes> {
        self.mark.as_ref()
    }

    /// Says whether the log ended at a frame's border.
    ///
    /// # Errors
    /// When bytes of an unfinished frame are left.
    pub fn finish(&self) -> Result<(), LogDecodeError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(LogDecodeError::Truncated) }
    }
}
