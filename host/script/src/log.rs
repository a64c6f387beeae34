//! What a script prints: goes to the build's log, as one stream per instance.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream;
use monkeyci_api::{Body, Client, LogFrame, LogStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::clock::Defining;

/// How many frames may wait for the build API. A script that prints faster waits.
const FRAMES: usize = 64;
/// The most bytes that a guest may write at once.
const CHUNK: usize = monkeyci_api::MAX_LOG_FRAME;
/// How much of the end of stderr is kept for the message of a trap: a panic's message stands there.
const TAIL: usize = 4096;

/// The log of one instance. Clones write to the same log.
#[derive(Clone)]
pub(crate) struct Log {
    sender: mpsc::Sender<Bytes>,
    state: Arc<Mutex<State>>,
    /// Set when what `define` prints has been printed already, in the first instance.
    muted: Option<Defining>,
}

struct State {
    left: usize,
    tail: VecDeque<u8>,
}

/// Sends the log to the build API.
pub(crate) struct Pump(JoinHandle<()>);

impl Log {
    /// A log that takes `limit` bytes; with `muted`, nothing is written while `define` runs.
    pub(crate) fn new(client: &Client, job: Option<&str>, limit: usize, muted: Option<Defining>) -> (Self, Pump) {
        let (sender, mut frames) = mpsc::channel::<Bytes>(FRAMES);
        let (client, job) = (client.clone(), job.map(str::to_owned));
        let pump = tokio::spawn(async move {
            // Most instances print nothing: the request is made when there is something to send.
            let Some(first) = frames.recv().await else { return };
            let rest = stream::unfold(frames, async |mut frames| Some((frames.recv().await?, frames)));
            let all = futures::StreamExt::chain(stream::iter([first]), rest);
            let all = futures::StreamExt::map(all, Ok::<_, std::convert::Infallible>);
            if let Err(error) = client.send_log(job.as_deref(), Body::wrap_stream(all)).await {
                tracing::warn!(%error, "the script's log could not be stored");
            }
        });
        let state = State { left: limit, tail: VecDeque::new() };
        (Self { sender, state: Arc::new(Mutex::new(state)), muted }, Pump(pump))
    }

    /// Writes a line of the host's own stream.
    pub(crate) async fn line(&self, line: &str) {
        if let Some(frame) = self.frame(LogStream::Host, format!("{line}\n").into()) {
            // The pump ends only with the instance; a failed upload has been reported by it.
            let _ = self.sender.send(frame).await;
        }
    }

    /// The end of what was written to stderr.
    pub(crate) fn tail(&self) -> String {
        let mut state = self.lock();
        String::from_utf8_lossy(state.tail.make_contiguous()).into_owned()
    }

    /// Takes `bytes` off the instance's allowance, and makes a frame of what is allowed.
    fn frame(&self, stream: LogStream, bytes: Bytes) -> Option<Bytes> {
        if self.muted.as_ref().is_some_and(Defining::is) {
            return None;
        }
        let mut state = self.lock();
        if stream == LogStream::Stderr {
            state.tail.extend(&bytes);
            let excess = state.tail.len().saturating_sub(TAIL);
            state.tail.drain(..excess);
        }
        if state.left == 0 {
            return None;
        }
        let mut frames = BytesMut::new();
        let time_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        let allowed = bytes.slice(..bytes.len().min(state.left));
        let cut = allowed.len() < bytes.len();
        state.left -= allowed.len();
        LogFrame { stream, time_ms, bytes: allowed }.encode(&mut frames);
        if cut {
            state.left = 0;
            let note = Bytes::from_static(b"\n[the script has reached its output limit; the rest is dropped]\n");
            LogFrame { stream: LogStream::Host, time_ms, bytes: note }.encode(&mut frames);
        }
        Some(frames.freeze())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            Some(frame) => self.log.sender.try_send(frame).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StreamError::trap("write without permission"),
                mpsc::error::TrySendError::Closed(_) => StreamError::Closed,
            }),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.log.sender.is_closed() {
            // The build API did not take the log. That is the host's trouble, not the script's.
            return Ok(CHUNK);
        }
        Ok(if self.log.sender.capacity() > 0 { CHUNK } else { 0 })
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        // Waits for a free permit; gives it back, since `write` takes its own.
        let _ = self.log.sender.reserve().await;
    }
}
