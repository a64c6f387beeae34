//! Sends the job's log to the build API as it comes.
//!
//! What was sent is held until the build API says that it is kept. So a log is whole also when the host dies and another one goes on
//! with the build: it says up to where it has the log, and the rest comes again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use monkeyci_api::{Body, ClientError, LOG_HELD, LogFrame, LogStream, MAX_LOG_FRAME};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::host::{Away, Host};

/// How many connections may bring nothing on, one after the other, before the log is given up.
pub(super) const FRUITLESS: u32 = 100;

/// The log of one job.
pub(super) struct Log {
    queue: Arc<Queue>,
    upload: JoinHandle<Result<(), ClientError>>,
}

impl Log {
    pub(super) fn open(host: Host, job: String) -> Self {
        let queue = Arc::<Queue>::default();
        let upload = tokio::spawn({
            let queue = queue.clone();
            async move {
                let sent = upload(&host, &job, &queue).await;
                // Nobody must wait for room that nobody makes.
                queue.give_up();
                sent
            }
        });
        Self { queue, upload }
    }

    /// Adds a piece of the job's output.
    pub(super) async fn send(&self, frame: LogFrame) {
        // One by one: each is kept or comes again as a whole.
        for piece in 0..frame.bytes.len().div_ceil(MAX_LOG_FRAME) {
            let start = piece * MAX_LOG_FRAME;
            let end = frame.bytes.len().min(start + MAX_LOG_FRAME);
            self.queue.push(LogFrame { bytes: frame.bytes.slice(start..end), ..frame }).await;
        }
    }

    /// Adds a line of the host's own.
    pub(super) async fn say(&self, line: String) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = Bytes::from(line + "\n");
        self.send(LogFrame { stream: LogStream::Host, time_ms: time.as_millis() as u64, bytes }).await;
    }

    /// Ends the log and waits until all of it is kept.
    pub(super) async fn finish(self) -> Result<(), ClientError> {
        self.queue.close();
        self.upload.await.unwrap_or_else(|error| Err(ClientError::Unreachable(error.to_string())))
    }
}

/// A frame that is not kept yet.
struct Held {
    /// The bytes of output before it.
    place: u64,
    output: u64,
    encoded: Bytes,
}

/// What is not kept yet.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Notify,
    room: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Held>,
    /// Of all frames, encoded.
    bytes: usize,
    /// The bytes of output that have come.
    end: u64,
    closed: bool,
    given_up: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn push(&self, frame: LogFrame) {
        let mut encoded = BytesMut::new();
        frame.encode(&mut encoded);
        let encoded = encoded.freeze();
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            {
                let mut waiting = self.waiting();
                if waiting.given_up {
                    return;
                }
                // When it is full, the job waits.
                let size = encoded.len();
                if waiting.frames.is_empty() || waiting.bytes + size <= LOG_HELD {
                    let (place, output) = (waiting.end, frame.bytes.len() as u64);
                    waiting.end += output;
                    waiting.bytes += size;
                    waiting.frames.push_back(Held { place, output, encoded });
                    break;
                }
            }
            room.await;
        }
        self.more.notify_waiters();
    }

    /// Up to this place it is kept.
    fn kept(&self, place: u64) -> bool {
        let mut waiting = self.waiting();
        let before = waiting.frames.len();
        while let Some(first) = waiting.frames.pop_front_if(|held| held.place + held.output <= place) {
            waiting.bytes -= first.encoded.len();
        }
        self.room.notify_waiters();
        waiting.frames.len() < before
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.more.notify_waiters();
    }

    fn give_up(&self) {
        let mut waiting = self.waiting();
        (waiting.given_up, waiting.bytes) = (true, 0);
        waiting.frames.clear();
        self.room.notify_waiters();
    }

    /// Where to go on, and whether there is nothing to go on with.
    fn state(&self) -> (u64, bool) {
        let waiting = self.waiting();
        let first = waiting.frames.front().map_or(waiting.end, |held| held.place);
        (first, waiting.closed && waiting.frames.is_empty())
    }

    /// The frames from a place on, to the end of the log.
    fn frames(self: Arc<Self>, from: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold((self, from), |(queue, place)| async move {
            let notify = queue.clone();
            loop {
                let mut more = pin!(notify.more.notified());
                more.as_mut().enable();
                {
                    let waiting = queue.waiting();
                    let next = waiting.frames.partition_point(|held| held.place < place);
                    if let Some(held) = waiting.frames.get(next) {
                        let (place, frame) = (held.place + held.output, held.encoded.clone());
                        drop(waiting);
                        return Some((Ok(frame), (queue, place)));
                    }
                    if waiting.closed {
                        return None;
                    }
                }
                more.await;
            }
        })
    }
}

async fn upload(host: &Host, job: &str, queue: &Arc<Queue>) -> Result<(), ClientError> {
    let (mut away, mut fruitless) = (Away::default(), 0);
    loop {
        host.introduce().await;
        let (from, _) = queue.state();
        let body = Body::wrap_stream(queue.clone().frames(from));
        let broken = match host.client().stream_log(job, from, body).await {
            Ok(mut kept) => {
                fruitless += 1;
                loop {
                    match kept.next().await {
                        Some(Ok(place)) => {
                            away.is_back();
                            if queue.kept(place) {
                                fruitless = 0;
                            }
                        }
                        Some(Err(error)) => break error,
                        None => break ClientError::Unreachable("it does not take the log to its end".to_owned()),
                    }
                }
            }
            Err(error) => error,
        };
        if queue.state().1 {
            return Ok(());
        }
        host.broke_off();
        if !broken.is_away() || fruitless > FRUITLESS {
            return Err(broken);
        }
        host.wait(&mut away, broken).await?;
    }
}
