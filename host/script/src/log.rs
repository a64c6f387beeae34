//! What a script prints: goes to the build's log, as one stream per instance.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream;
use monkeyci_api::{Body, Client, LogFrame, LogStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::clock::Defining;
use crate::surroundings::{Machine, Surroundings};
use crate::tape::Tape;

/// How many frames may wait for the build API. An action that prints faster waits.
pub(crate) const FRAMES: usize = 64;
/// How many frames of `define` may wait: it does not, for how long it waits would tell it how fast this machine is. What comes when so
/// many wait is dropped, and the log says so.
pub(crate) const FRAMES_OF_DEFINE: usize = 1 << 16;
/// What a write counts beside its bytes: a frame takes so much while it waits, also one of a single byte.
pub(crate) const FRAME_COST: usize = 64;
/// The most bytes that a guest may write at once.
const CHUNK: usize = monkeyci_api::MAX_LOG_FRAME;
/// How much of the end of stderr is kept for the message of a trap: a panic's message stands there.
pub(crate) const TAIL: usize = 4096;

/// The log of one instance. Clones write to the same log.
#[derive(Clone)]
pub(crate) struct Log {
    sender: mpsc::UnboundedSender<Frame>,
    /// A permit for each frame that may wait, of an action and of `define`.
    permits: Arc<Semaphore>,
    permits_of_define: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
    defining: Defining,
    /// Whether what `define` prints has been printed already, in the first instance.
    muted: bool,
}

/// Bytes for the build API, with their permit to wait.
type Frame = (Bytes, Option<OwnedSemaphorePermit>);

struct State {
    /// How much may still be written; none when the log has said that the rest is dropped.
    left: Option<usize>,
    /// How many bytes of output this instance has written.
    written: u64,
    /// As many has one written whose place this one has taken: they are in the log.
    before: u64,
    tail: VecDeque<u8>,
}

/// Sends the log to the build API.
pub(crate) struct Pump(JoinHandle<()>);

impl Log {
    /// A log that takes `limit` bytes; with `muted`, nothing is written while `define` runs. What an action prints follows from what is
    /// on its tape: it leaves when that is on disk, so that whoever takes the action's place prints the same.
    pub(crate) fn new(
        client: &Client,
        job: Option<&str>,
        limit: usize,
        defining: Defining,
        muted: bool,
        tape: Option<Tape>,
    ) -> (Self, Pump) {
        let (sender, mut frames) = mpsc::unbounded_channel::<Frame>();
        let (client, job) = (client.clone(), job.map(str::to_owned));
        let pump = tokio::spawn(async move {
            // Most instances print nothing: the request is made when there is something to send.
            let Some(first) = frames.recv().await else { return };
            let all = stream::unfold((Some(first), frames, tape), async |(first, mut frames, tape)| {
                let next = match first {
                    Some(first) => first,
                    None => frames.recv().await?,
                };
                if let Some(tape) = &tape {
                    // What can't be kept ends the action: the tape knows.
                    let _ = tape.keep(true).await;
                }
                Some((Ok::<_, std::convert::Infallible>(next.0), (None, frames, tape)))
            });
            if let Err(error) = client.send_log(job.as_deref(), Body::wrap_stream(all)).await {
                tracing::warn!(%error, "the script's log could not be stored");
            }
        });
        (Self::with(sender, limit, defining, muted), Pump(pump))
    }

    /// A log that nobody reads, of a replay: it takes as much as another one.
    pub(crate) fn of_replay(limit: usize, defining: Defining) -> (Self, Pump) {
        let (sender, mut frames) = mpsc::unbounded_channel::<Frame>();
        let pump = tokio::spawn(async move { while frames.recv().await.is_some() {} });
        (Self::with(sender, limit, defining, true), Pump(pump))
    }

    fn with(sender: mpsc::UnboundedSender<Frame>, limit: usize, defining: Defining, muted: bool) -> Self {
        let state = State { left: Some(limit), written: 0, before: 0, tail: VecDeque::new() };
        let state = Arc::new(Mutex::new(state));
        let (permits, permits_of_define) = (Semaphore::new(FRAMES), Semaphore::new(FRAMES_OF_DEFINE));
        let (permits, permits_of_define) = (Arc::new(permits), Arc::new(permits_of_define));
        Self { sender, permits, permits_of_define, state, defining, muted }
    }

    /// Another instance writes what this one has written, and goes on.
    pub(crate) fn again(&self, limit: usize) {
        let mut state = self.lock();
        let before = state.before.max(state.written);
        *state = State { left: Some(limit), written: 0, before, tail: VecDeque::new() };
    }

    /// Writes a line of the host's own stream.
    pub(crate) async fn line(&self, line: &str) {
        self.own(format!("{line}\n").into()).await;
    }

    /// Writes a long text to the host's own stream, in pieces.
    pub(crate) async fn text(&self, text: &str) {
        for piece in text.as_bytes().chunks(CHUNK) {
            self.own(Bytes::copy_from_slice(piece)).await;
        }
        self.own(Bytes::from_static(b"\n")).await;
    }

    async fn own(&self, bytes: Bytes) {
        if let Some(frame) = self.frame(LogStream::Host, bytes) {
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
            // The pump ends only with the instance; a failed upload has been reported by it.
            let _ = self.sender.send((frame, permit));
        }
    }

    /// The end of what was written to stderr.
    pub(crate) fn tail(&self) -> String {
        let mut state = self.lock();
        String::from_utf8_lossy(state.tail.make_contiguous()).into_owned()
    }

    /// Takes `bytes` off the instance's allowance, and makes a frame of what is allowed.
    fn frame(&self, stream: LogStream, bytes: Bytes) -> Option<Bytes> {
        if bytes.is_empty() || (self.muted && self.defining.is()) {
            return None;
        }
        let mut state = self.lock();
        if stream == LogStream::Stderr {
            state.tail.extend(&bytes);
            let excess = state.tail.len().saturating_sub(TAIL);
            state.tail.drain(..excess);
        }
        let (allowed, cut) = state.allow(&bytes)?;
        state.written += allowed.len() as u64;
        if state.written <= state.before {
            return None;
        }
        let (mut frames, time_ms) = (BytesMut::new(), Machine.day_ms());
        LogFrame { stream, time_ms, bytes: allowed }.encode(&mut frames);
        if cut {
            note(time_ms, "the script has reached its output limit").encode(&mut frames);
        }
        Some(frames.freeze())
    }

    /// Sends what a guest has written, if there is a permit for it to wait.
    fn put(&self, frame: Bytes) -> StreamResult<()> {
        let defining = self.defining.is();
        let permits = if defining { &self.permits_of_define } else { &self.permits };
        let frame = match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => (frame, Some(permit)),
            // Who asked for no leave does not wait for others: how long that takes is nothing that a script may see.
            Err(_) if !defining => (frame, None),
            Err(_) => {
                self.lock().left = None;
                let mut last = BytesMut::new();
                note(Machine.day_ms(), "the script prints faster than its output can be stored").encode(&mut last);
                (last.freeze(), None)
            }
        };
        self.sender.send(frame).map_err(|_| StreamError::Closed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes bytes, which are some, off the allowance: those that are allowed, and whether the rest is dropped from here on. None where that
    /// was said before.
    fn allow(&mut self, bytes: &Bytes) -> Option<(Bytes, bool)> {
        let left = self.left?;
        let allowed = bytes.slice(..bytes.len().min(left.saturating_sub(FRAME_COST)));
        let cut = allowed.len() < bytes.len();
        self.left = left.checked_sub(allowed.len() + FRAME_COST).filter(|_| !cut);
        Some((allowed, cut))
    }
}

/// What the log says of output that it does not have.
fn note(time_ms: u64, reason: &str) -> LogFrame {
    let text = format!("\n[{reason}; the rest is dropped]\n");
    LogFrame { stream: LogStream::Host, time_ms, bytes: text.into() }
}

impl Pump {
    /// Waits until all that was written is stored. Every [`Log`] has to be gone by then.
    pub(crate) async fn finish(self) {
        if let Err(error) = self.0.await {
            tracing::warn!(%error, "the script's log could not be stored");
        }
    }
}

/// stdout or stderr, as WASI asks for them.
pub(crate) struct Output {
    pub(crate) log: Log,
    pub(crate) stream: LogStream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.1 and 0.3 ask for this; scripts speak 0.2.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer { log: self.log.clone(), stream: self.stream })
    }
}

struct Writer {
    log: Log,
    stream: LogStream,
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.log.frame(self.stream, bytes) {
            None => Ok(()),
            Some(frame) => self.log.put(frame),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // Always as much: how fast the log is stored must not be seen. Whoever writes waits in `ready`.
        Ok(CHUNK)
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        if !self.log.defining.is() {
            // Waits for a permit; gives it back, since `write` takes its own.
            let _ = self.log.permits.acquire().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(left: usize) -> State {
        State { left: Some(left), written: 0, before: 0, tail: VecDeque::new() }
    }

    #[test]
    fn what_is_dropped_is_said_once_also_where_the_last_bytes_fitted() {
        let bytes = Bytes::from_static(b"0123456789");
        let mut state = state(FRAME_COST + 10 + FRAME_COST + 4);
        assert_eq!(state.allow(&bytes), Some((bytes.clone(), false)));
        assert_eq!(state.allow(&bytes), Some((bytes.slice(..4), true)));
        assert_eq!(state.allow(&bytes), None);
        let mut full = self::state(FRAME_COST + 10);
        assert_eq!(full.allow(&bytes), Some((bytes.clone(), false)));
        assert_eq!(full.allow(&bytes), Some((Bytes::new(), true)));
        assert_eq!(full.allow(&bytes), None);
    }

    #[test]
    fn many_small_writes_make_no_more_frames_than_their_cost_allows() {
        let mut state = state(1 << 20);
        let frames = (0..1 << 20).map_while(|_| state.allow(&Bytes::from_static(b"x"))).count();
        assert_eq!(frames, (1 << 20) / (FRAME_COST + 1) + 1);
    }
}
