//! A log while it is written: what of it is in memory, and who follows it from outside.
//!
//! A log has one lock. Under it a frame is added and handed to those who follow, and under it somebody who begins to follow is told
//! what is in memory. So they see each frame once, whenever they come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::{Bytes, BytesMut};
use monkeyci_api::{LogFrame, LogStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::clock::now_ms;
use crate::disk::Disk;
use crate::lock::lock;
use crate::logs::tail::LogTail;

/// What may wait for one who follows, in bytes. Whoever is slower than the jobs misses the rest: nobody waits for them.
pub(crate) const WAITING: usize = 4 << 20;

/// Frames of one log, encoded.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The job; none for the log of `define`.
    pub(crate) job: Option<Arc<str>>,
    pub(crate) frames: Bytes,
}

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct OpenLog {
    job: Option<Arc<str>>,
    /// The numbers of its parts.
    numbers: Vec<u32>,
    /// The part of its start that fills.
    pub(crate) part: Part,
    /// The end while it goes into the store: its number, the line that says what is left out, and the frames.
    pub(crate) last: Option<(u32, Bytes, Bytes)>,
    pub(crate) tail: LogTail,
    followers: Vec<Follower>,
}

/// The part that fills.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) number: Option<u32>,
    pub(crate) frames: BytesMut,
    /// Bytes of output in it.
    pub(crate) output: u64,
    /// How many of those are in the store.
    pub(crate) written: u64,
    /// Since when there is something that is not written.
    pub(crate) changed: Option<Instant>,
}

impl OpenLog {
    /// Adds a frame, which can be had again from a place of the log, of which so much had come then: to the start, from which its length is taken, or else to the end.
    pub(crate) fn push(&mut self, frame: &LogFrame, head_left: &mut usize, at: (u64, u64)) {
        let before = self.part.frames.len();
        frame.encode(&mut self.part.frames);
        let encoded = &self.part.frames[before..];
        if !self.followers.is_empty() {
            let piece = Piece { job: self.job.clone(), frames: Bytes::copy_from_slice(encoded) };
            self.followers.retain(|follower| follower.send(&piece));
        }
        let length = encoded.len();
        if length > *head_left {
            // From now on all goes to the end, so that nothing changes places.
            *head_left = 0;
            self.tail.push(encoded, at);
            return self.part.frames.truncate(before);
        }
        *head_left -= length;
        self.part.output += frame.bytes.len() as u64;
        self.part.changed.get_or_insert_with(Instant::now);
    }

    /// What is in memory, and the numbers of the parts in which it is, or will be, in the store.
    fn snapshot(&self) -> (Bytes, Vec<u32>) {
        let mut frames = BytesMut::from(&self.part.frames[..]);
        match &self.last {
            Some((_, missing, last)) => {
                frames.extend_from_slice(missing);
                frames.extend_from_slice(last);
            }
            None if self.tail.is_empty() => {}
            None => {
                let missing = format!("\n--- {} bytes of this log are left out here ---\n", self.tail.dropped());
                host_frame(missing).encode(&mut frames);
                self.tail.copy_to(&mut frames);
            }
        }
        let numbers = self.part.number.into_iter().chain(self.last.as_ref().map(|(number, ..)| *number));
        (frames.freeze(), numbers.collect())
    }
}

/// One who follows.
#[derive(Clone, Debug)]
struct Follower {
    /// The only log they want; none if they want all.
    only: Option<Arc<str>>,
    queue: mpsc::UnboundedSender<Piece>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
    /// Bytes that did not fit since the last piece that did.
    missed: Arc<AtomicU64>,
}

impl Follower {
    fn wants(&self, job: Option<&str>) -> bool {
        self.only.is_none() || self.only.as_deref() == job
    }

    /// Hands a piece on; false when they have gone.
    fn send(&self, piece: &Piece) -> bool {
        let length = piece.frames.len();
        if self.waiting.load(Ordering::Relaxed) + length > WAITING {
            self.missed.fetch_add(length as u64, Ordering::Relaxed);
            return !self.queue.is_closed();
        }
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let mut frames = BytesMut::new();
            let line = format!("\n--- {missed} bytes are left out here: this reader is slower than the build ---\n");
            host_frame(line).encode(&mut frames);
            if !self.put(Piece { job: piece.job.clone(), frames: frames.freeze() }) {
                return false;
            }
        }
        self.put(piece.clone())
    }

    fn put(&self, piece: Piece) -> bool {
        self.waiting.fetch_add(piece.frames.len(), Ordering::Relaxed);
        self.queue.send(piece).is_ok()
    }
}

/// What the host itself has to say in a log, now.
pub(crate) fn host_frame(line: String) -> LogFrame {
    LogFrame { stream: LogStream::Host, time_ms: now_ms(), bytes: Bytes::from(line) }
}

/// What a service has written, now.
pub(crate) fn service_frame(line: Bytes) -> LogFrame {
    LogFrame { stream: LogStream::Service, time_ms: now_ms(), bytes: line }
}

/// The logs of a build that are being written, and those who follow them.
#[derive(Debug, Default)]
pub(crate) struct OpenLogs {
    known: Mutex<Known>,
    /// What the build may take of the disk, of which its logs are a part.
    pub(crate) disk: Disk,
    /// Those who have not heard all of it.
    pub(crate) listening: TaskTracker,
}

#[derive(Debug, Default)]
struct Known {
    logs: Vec<Weak<Mutex<OpenLog>>>,
    /// How many parts of each log there are.
    parts: HashMap<Option<Arc<str>>, u32>,
    followers: Vec<Follower>,
    /// Whether another process has begun these logs.
    go_on: bool,
    closed: bool,
}

/// What somebody who begins to follow gets.
#[derive(Debug)]
pub(crate) struct Following {
    /// How many parts of each log there were.
    parts: HashMap<Option<Arc<str>>, u32>,
    /// Parts of logs that are being written, some of them made after that was counted.
    later: Vec<(Option<Arc<str>>, u32)>,
    /// Parts that are in memory, too.
    in_memory: Vec<(Option<Arc<str>>, u32)>,
    /// What was in memory.
    pub(crate) begun: Vec<Piece>,
    queue: mpsc::UnboundedReceiver<Piece>,
    waiting: Arc<AtomicUsize>,
    only: Option<Arc<str>>,
    _listening: TaskTrackerToken,
}

impl OpenLogs {
    /// Begins a log; several of one job are parts of one.
    pub(crate) fn open(&self, job: Option<&str>, tail: LogTail) -> Arc<Mutex<OpenLog>> {
        let mut known = lock(&self.known);
        let job: Option<Arc<str>> = job.map(Arc::from);
        let followers = known.followers.iter().filter(|follower| follower.wants(job.as_deref())).cloned().collect();
        let log = OpenLog { job, numbers: Vec::new(), part: Part::default(), last: None, tail, followers };
        let log = Arc::new(Mutex::new(log));
        known.logs.retain(|log| log.strong_count() > 0);
        known.logs.push(Arc::downgrade(&log));
        log
    }

    /// Goes on after the parts that another process has stored: so many of each log.
    pub(crate) fn go_on(&self, parts: HashMap<Option<String>, u32>) {
        let parts = parts.into_iter().map(|(job, parts)| (job.map(Arc::from), parts));
        let mut known = lock(&self.known);
        known.parts.extend(parts);
        known.go_on = true;
    }

    /// How many parts a job's log has, and whether another process may have stored some of them.
    pub(crate) fn parts(&self, job: &str) -> (u32, bool) {
        let known = lock(&self.known);
        (known.parts.get(&Some(Arc::from(job))).copied().unwrap_or_default(), known.go_on)
    }

    /// The number of a log's next part, from 0. It has to be set in the log before that is unlocked.
    pub(crate) fn next_part(&self, log: &mut OpenLog) -> u32 {
        let number = {
            // The log's lock is taken before this one, everywhere.
            let mut known = lock(&self.known);
            let next = known.parts.entry(log.job.clone()).or_default();
            std::mem::replace(next, next.saturating_add(1))
        };
        log.numbers.push(number);
        number
    }

    /// Begins to follow one log, or all.
    pub(crate) fn follow(&self, only: Option<&str>) -> Following {
        let only: Option<Arc<str>> = only.map(Arc::from);
        let (sender, queue) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        let follower = Follower { only: only.clone(), queue: sender, waiting: waiting.clone(), missed: Arc::default() };
        let (logs, parts, closed) = {
            let mut known = lock(&self.known);
            // Logs that are opened from here on know of this one.
            if !known.closed {
                known.followers.retain(|follower| !follower.queue.is_closed());
                known.followers.push(follower.clone());
            }
            let logs: Vec<_> = known.logs.iter().filter_map(Weak::upgrade).collect();
            (logs, known.parts.clone(), known.closed)
        };
        let (mut begun, mut in_memory, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for log in logs {
            let mut log = lock(&log);
            if !follower.wants(log.job.as_deref()) {
                continue;
            }
            let (frames, numbers) = log.snapshot();
            begun.push(Piece { job: log.job.clone(), frames });
            in_memory.extend(numbers.into_iter().map(|number| (log.job.clone(), number)));
            later.extend(log.numbers.iter().map(|number| (log.job.clone(), *number)));
            if !closed {
                log.followers.push(follower.clone());
            }
        }
        Following { parts, later, in_memory, begun, queue, waiting, only, _listening: self.listening.token() }
    }

    /// Ends all that follow, once they have heard what waits for them. Nothing is written any more.
    pub(crate) fn close(&self) {
        let mut known = lock(&self.known);
        known.closed = true;
        known.followers.clear();
        let logs = std::mem::take(&mut known.logs);
        drop(known);
        for log in logs.iter().filter_map(Weak::upgrade) {
            lock(&log).followers.clear();
        }
        self.listening.close();
    }
}

impl Following {
    /// Whether a part of a log has to be read from the store. What is written from now on comes by itself.
    pub(crate) fn is_stored(&self, job: Option<&str>, number: u32) -> bool {
        let same = |known: &Option<Arc<str>>| known.as_deref() == job;
        let wanted = self.only.is_none() || self.only.as_deref() == job;
        let is_in = |parts: &[(Option<Arc<str>>, u32)]| parts.iter().any(|(log, part)| same(log) && *part == number);
        let made = is_in(&self.later) || self.parts.iter().any(|(log, parts)| same(log) && number < *parts);
        wanted && made && !is_in(&self.in_memory)
    }

    /// The next piece; none when the build is over.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        let piece = self.queue.recv().await?;
        self.waiting.fetch_sub(piece.frames.len(), Ordering::Relaxed);
        Some(piece)
    }
}
