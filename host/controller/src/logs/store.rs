//! A log on its way into the store: all of a short one, the start and the end of a long one.
//!
//! The start is written in parts of a few megabytes, and the part that fills is written again and again as it grows. So the log of a
//! job whose host is killed is there up to the last seconds. The end stays in memory until the job ends. A log never makes a job
//! fail, nor wait for longer than the store needs: what the store does not take counts as left out.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use monkeyci_api::{LogFrame, encode_mark};
use monkeyci_storage::{Blobs, names};
use object_store::PutPayload;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::disk::{DiskError, FILE};
use crate::lock::lock;
use crate::logs::followers::{OpenLog, OpenLogs, Part, host_frame};
use crate::logs::mark::{Mark, Place, STREAMS, Source};
use crate::logs::tail::LogTail;

/// How much of a log is kept, for each time that a job runs, in bytes, and how soon. Whoever watches a build sees all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// What is kept of its start.
    pub head: usize,
    /// What is kept of its end, in memory while the job runs.
    pub tail: usize,
    /// What has arrived is in the store after this time: so much of a log is lost at most when the host is killed.
    pub written_every: Duration,
}

impl Default for LogLimits {
    /// 32 MiB of the start, 8 MiB of the end; every 5 s.
    fn default() -> Self {
        Self { head: 32 << 20, tail: 8 << 20, written_every: Duration::from_secs(5) }
    }
}

/// The largest part: what of the start is in memory.
pub(crate) const PART: usize = 4 << 20;
/// The most parts of one log. A sidecar whose connection breaks starts a new one; nobody may do so for ever.
pub(crate) const PARTS: u32 = 1000;

/// Writes a log.
pub(crate) struct LogWriter<'a> {
    blobs: &'a Blobs,
    /// The build's id.
    build: &'a str,
    logs: &'a OpenLogs,
    job: Option<&'a str>,
    limits: LogLimits,
    /// What may still be added to the start.
    head_left: usize,
    /// What is not in the store, or not yet in its last form.
    log: Arc<Mutex<OpenLog>>,
    /// Whose log it is, where another process may go on with it.
    source: Option<Source>,
    /// How far it has come.
    reached: Place,
    /// How much has come of it by then, as frames.
    came: u64,
    /// How many bytes of each stream have been added since.
    since: [u64; 4],
    /// How far it had come when its end began, which is in memory alone.
    end_began: Option<Place>,
    /// Up to where the store says it has come.
    written: u64,
    /// Up to where it is stored, or counts as left out.
    settled: watch::Sender<u64>,
    /// What the part that fills takes of the disk.
    on_disk: (u32, u64),
    failed: Option<io::Error>,
}

impl<'a> LogWriter<'a> {
    pub(crate) fn new(
        blobs: &'a Blobs,
        build: &'a str,
        logs: &'a OpenLogs,
        job: Option<&'a str>,
        limits: LogLimits,
    ) -> Self {
        let log = logs.open(job, LogTail::new(limits.tail));
        Self {
            blobs,
            build,
            logs,
            job,
            limits,
            head_left: limits.head,
            log,
            source: None,
            reached: Place::default(),
            came: 0,
            since: [0; 4],
            end_began: None,
            written: 0,
            settled: watch::Sender::new(0),
            on_disk: (0, 0),
            failed: None,
        }
    }

    /// The same for a log that another process can go on with, and that goes on at a mark if there is one, with what is sent from `from`
    /// on.
    pub(crate) fn going_on(mut self, source: Source, mark: Option<&Mark>, from: u64) -> Self {
        self.source = Some(source);
        let place = mark.map_or_else(Place::default, |mark| mark.place);
        if let Some(mark) = mark {
            self.head_left = self.limits.head.saturating_sub(mark.start);
            lock(&self.log).tail.add_dropped(mark.left_out);
        }
        if place.at < from {
            // Whoever sends it has heard that it is kept. What the store does not have of it did not fit.
            let kept: u64 = place.kept.iter().sum();
            lock(&self.log).tail.add_dropped((from - place.at).saturating_sub(kept));
        }
        self.reached = if place.at < from { Place { at: from, ..Place::default() } } else { place };
        self.written = self.reached.at;
        self.settled.send_replace(self.reached.at);
        self
    }

    /// How far it has come.
    pub(crate) fn place(&self) -> Place {
        self.reached
    }

    /// Tells up to where the log is stored, or counts as left out.
    pub(crate) fn settled(&self) -> watch::Receiver<u64> {
        self.settled.subscribe()
    }

    /// All frames have been added that come before this place. So much of the log has come, as frames, and so many bytes were left out since
    /// the place before.
    pub(crate) async fn reached(&mut self, place: Place, came: u64, left_out: u64) {
        (self.reached, self.came, self.since) = (place, came, [0; 4]);
        let full = {
            let mut log = lock(&self.log);
            if left_out > 0 {
                log.tail.add_dropped(left_out);
            }
            if self.source.is_some() && !log.tail.has_frames() && place.at > self.written {
                log.part.changed.get_or_insert_with(Instant::now);
            }
            log.part.frames.len() >= PART
        };
        if full {
            self.write().await;
            lock(&self.log).part = Part::default();
        }
        self.settle();
    }

    fn settle(&self) {
        let settled = {
            let mut log = lock(&self.log);
            match log.tail.held_from(self.came) {
                _ if log.part.changed.is_some() => self.written,
                Some(place) => place,
                None => self.reached.at,
            }
        };
        // It may be asked for before all frames of a place are there.
        self.settled.send_if_modified(|before| {
            let more = settled > *before;
            *before = settled.max(*before);
            more
        });
    }

    /// When to call [`Self::write`], unless there is more before.
    pub(crate) fn due(&self) -> Option<Instant> {
        lock(&self.log).part.changed.map(|since| since + self.limits.written_every)
    }

    /// Adds a frame. What has come of a log is written when it has [reached](Self::reached) a place.
    pub(crate) fn push(&mut self, frame: &LogFrame) {
        let in_memory = {
            let mut log = lock(&self.log);
            log.push(frame, &mut self.head_left, (self.reached.at, self.came));
            log.tail.has_frames()
        };
        if in_memory {
            let kept = std::array::from_fn(|stream| self.reached.kept[stream] + self.since[stream]);
            self.end_began.get_or_insert(Place { kept, ..self.reached });
        } else if let Some(stream) = STREAMS.iter().position(|stream| *stream == frame.stream) {
            self.since[stream] += frame.bytes.len() as u64;
        }
    }

    /// Writes the part that fills, as it is now.
    pub(crate) async fn write(&mut self) {
        let place = self.end_began.unwrap_or(self.reached);
        let (number, frames, output) = {
            let mut log = lock(&self.log);
            if log.part.changed.take().is_none() {
                return;
            }
            let number = match log.part.number {
                Some(number) => number,
                None => self.logs.next_part(&mut log),
            };
            log.part.number = Some(number);
            let mark = self.mark(place, log.tail.dropped());
            (number, PutPayload::from_iter([Bytes::copy_from_slice(&log.part.frames), mark]), log.part.output)
        };
        let result = self.put(number, frames).await;
        self.written = self.written.max(place.at);
        match result {
            Ok(()) => lock(&self.log).part.written = output,
            Err(error) => {
                let mut log = lock(&self.log);
                // The store gets one more chance, when the job has ended.
                self.head_left = 0;
                let lost = log.part.output - log.part.written;
                log.tail.add_dropped(lost);
                log.part = Part::default();
                tracing::warn!(%error, build = self.build, job = self.job, "a part of a log can't be stored");
                self.failed = Some(error);
            }
        }
        self.settle();
    }

    /// What this log's part says of it when it has come so far, encoded; nothing where nobody goes on with it.
    fn mark(&self, place: Place, left_out: u64) -> Bytes {
        let mut encoded = BytesMut::new();
        if let Some(source) = self.source.clone() {
            let start = self.limits.head.saturating_sub(self.head_left);
            let mark = Mark { source, place, start, left_out };
            encode_mark(&mark.encoded(), &mut encoded);
        }
        encoded.freeze()
    }

    /// Writes what is left, after a line that says how much is not there.
    ///
    /// # Errors
    /// When a part of the log could not be stored, now or before.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        self.write().await;
        let last = {
            let mut log = lock(&self.log);
            log.part = Part::default();
            let (dropped, tail) = (log.tail.dropped(), log.tail.take());
            let mut missing = BytesMut::new();
            if dropped > 0 {
                self.left_out(dropped).encode(&mut missing);
            }
            if missing.is_empty() && tail.is_empty() {
                None
            } else {
                let number = self.logs.next_part(&mut log);
                log.last = Some((number, missing.freeze(), tail));
                log.last.clone()
            }
        };
        if let Some((number, missing, tail)) = last {
            let lost = tail.len() as u64;
            // What was left out is said by now.
            let mark = self.mark(self.reached, 0);
            if let Err(error) = self.put(number, [missing, tail, mark].into_iter().collect()).await {
                if DiskError::of(&error).is_some() {
                    self.failed = Some(error);
                    self.put_last_words(number, lost).await?;
                } else {
                    return Err(error);
                }
            }
        }
        self.settle();
        self.failed.map_or(Ok(()), Err)
    }

    /// Of a log that may take no more of the disk, at least what is not there is said.
    async fn put_last_words(&self, number: u32, lost: u64) -> io::Result<()> {
        let mut words = BytesMut::new();
        let dropped = lock(&self.log).tail.dropped();
        self.left_out(dropped + lost).encode(&mut words);
        let name = names::log(self.build, self.job, number);
        self.blobs.put_whole(&name, words.freeze().into()).await.map_err(io::Error::from)
    }

    async fn put(&mut self, number: u32, frames: PutPayload) -> io::Result<()> {
        if number >= PARTS {
            return Err(io::Error::other(format!("the log has more than {PARTS} parts")));
        }
        let size = frames.content_length() as u64 + FILE;
        let before = if self.on_disk.0 == number { self.on_disk.1 } else { 0 };
        self.logs.disk.take(size.saturating_sub(before))?;
        self.on_disk = (number, size);
        let name = names::log(self.build, self.job, number);
        self.blobs.put_whole(&name, frames).await.map_err(io::Error::from)
    }

    fn left_out(&self, bytes: u64) -> LogFrame {
        let why = match &self.failed {
            Some(error) => match DiskError::of(error) {
                Some(limit) => limit.to_string(),
                None => "the host's store failed".to_owned(),
            },
            None => {
                let (head, tail) = (size(self.limits.head as u64), size(self.limits.tail as u64));
                format!("the first {head} and the last {tail} of a log are kept")
            }
        };
        // What comes before may have ended inside a line.
        host_frame(format!("\n--- {} ({bytes} bytes) of this log are left out: {why} ---\n", size(bytes)))
    }
}

/// A size for people.
fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = ((bytes.max(1).ilog2() / 10) as usize).min(units.len() - 1);
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{:.1} {}", bytes as f64 / (1u64 << (10 * unit)) as f64, units[unit]),
    }
}
