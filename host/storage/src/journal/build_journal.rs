//! The journal of one build, as its driver has it.

use std::collections::HashSet;
use std::sync::Arc;

use monkeyci_build::{Event, EventBody};
use tokio::sync::mpsc;

use super::content::{LARGE, LIMIT, split};
use super::writer::{Progress, Queued, Request};
use super::{Append, Digest, Head, Index, JournalError, Record};
use crate::watched::{Watched, Watcher};

/// The right to append to the journal of one build. There is one at a time: the database refuses all but the last.
#[derive(Debug)]
pub struct BuildJournal {
    build: Arc<str>,
    head: Head,
    /// The pieces that have been queued: they need not be written again.
    pieces: HashSet<Digest>,
    queue: mpsc::UnboundedSender<Request>,
    progress: Arc<Watched<Progress>>,
}

impl BuildJournal {
    pub(super) fn new(build: &str, head: Head, queue: mpsc::UnboundedSender<Request>) -> Self {
        let progress = Progress { durable: head.last, failed: None };
        let progress = Arc::new(Watched::new(progress));
        Self { build: build.into(), head, pieces: HashSet::new(), queue, progress }
    }

    /// Appends what happened at `time_ms`. Does not wait for the disk: whatever leaves the host has to, with [`Durable::wait`].
    ///
    /// # Errors
    /// When an earlier append was refused, or the event is too large: then it did not happen.
    pub fn append(&mut self, time_ms: u64, body: EventBody) -> Result<Event, JournalError> {
        let mut append = self.next()?;
        let number = self.prepare(&mut append, time_ms, &body)?;
        self.queue_up(append)?;
        Ok(Event { seq: number, time_ms, body })
    }

    /// Appends all of this at once: all of it will be on disk, or nothing, whenever the host is killed.
    ///
    /// # Errors
    /// As [`Self::append`]; then nothing of it did happen.
    pub fn append_all(&mut self, all: impl IntoIterator<Item = (u64, EventBody)>) -> Result<(), JournalError> {
        let mut append = self.next()?;
        let before = (self.head, self.pieces.clone());
        for (time_ms, body) in all {
            if let Err(error) = self.prepare(&mut append, time_ms, &body) {
                (self.head, self.pieces) = before;
                return Err(error);
            }
        }
        if append.records.is_empty() { Ok(()) } else { self.queue_up(append) }
    }

    /// What is appended next, without a record.
    fn next(&self) -> Result<Append, JournalError> {
        if let Some(error) = self.progress.look(|progress| progress.failed.clone()) {
            return Err(error);
        }
        let Head { owner, epoch, last: after, checksum } = self.head;
        let (records, pieces) = (Vec::new(), Vec::new());
        let (build, index) = (self.build.clone(), Index::default());
        Ok(Append { build, owner, epoch, after, checksum, records, pieces, index })
    }

    fn queue_up(&self, append: Append) -> Result<(), JournalError> {
        let queued = Queued { append, progress: self.progress.clone() };
        self.queue.send(Request::Append(queued)).map_err(|_| JournalError::Closed)
    }

    /// Adds the record of what happened, and returns its number.
    fn prepare(&mut self, append: &mut Append, time_ms: u64, body: &EventBody) -> Result<u64, JournalError> {
        let number = self.head.last + 1;
        let unwritable = |error: serde_json::Error| JournalError::Database {
            journal: self.build.to_string(),
            source: Arc::new(error),
        };
        let mut text = serde_json::to_string(body).map_err(unwritable)?;
        let size = text.len() as u64;
        let (mut pieces, is_split) = (Vec::new(), text.len() > LARGE);
        if is_split {
            text = split(serde_json::to_value(body).map_err(unwritable)?, &mut pieces);
            let mut own = HashSet::new();
            pieces.retain(|piece| !self.pieces.contains(&piece.digest) && own.insert(piece.digest));
        }
        let added = text.len() as u64 + pieces.iter().map(|piece| piece.text.len() as u64).sum::<u64>();
        if added > LIMIT {
            return Err(JournalError::TooLarge { build: self.build.to_string(), number, size: added, limit: LIMIT });
        }
        let mut record = Record {
            number,
            epoch: self.head.epoch,
            time_ms,
            split: is_split,
            body: text,
            size,
            checksum: self.head.checksum,
        };
        record.checksum = self.head.checksum.then(&record.text());
        // Only now: what was refused has taken nothing along.
        self.pieces.extend(pieces.iter().map(|piece| piece.digest));
        self.head = Head { last: number, checksum: record.checksum, ..self.head };
        append.index.add(number, body);
        append.records.push(record);
        append.pieces.extend(pieces);
        Ok(number)
    }

    /// The number of the last event that was appended, durable or not; 0 for none.
    pub fn last(&self) -> u64 {
        self.head.last
    }

    /// Tells what is durable. Clones tell the same.
    pub fn durable(&self) -> Durable {
        Durable { progress: self.progress.watch(), queue: self.queue.downgrade() }
    }
}

/// Tells how much of one build's journal is on disk.
#[derive(Clone, Debug)]
pub struct Durable {
    progress: Watcher<Progress>,
    /// Weak: who only listens keeps no writer.
    queue: mpsc::WeakUnboundedSender<Request>,
}

impl Durable {
    /// Has what was appended written now, and not after a moment.
    pub fn demand(&self) {
        if let Some(queue) = self.queue.upgrade() {
            // A writer that has ended has said so.
            let _ = queue.send(Request::Flush);
        }
    }

    /// Has record `number` written, and waits until it is on disk. That takes as long as a full disk is full.
    ///
    /// # Errors
    /// When it never will be: see [`JournalError::Fenced`] for the usual reason.
    pub async fn wait(&mut self, number: u64) -> Result<(), JournalError> {
        if self.progress.look(|progress| progress.durable) < number {
            self.demand();
        }
        self.reach(number).await
    }

    async fn reach(&mut self, number: u64) -> Result<(), JournalError> {
        let until = |progress: &Progress| progress.durable >= number || progress.failed.is_some();
        match self.progress.until(until).await {
            Ok(progress) if progress.durable >= number => Ok(()),
            Ok(progress) => Err(progress.failed.unwrap_or(JournalError::Closed)),
            Err(_) => Err(JournalError::Closed),
        }
    }

    /// Waits until more than `number` records are on disk, and returns how many. Does not have them written sooner.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn beyond(&mut self, number: u64) -> Result<u64, JournalError> {
        self.reach(number + 1).await?;
        Ok(self.progress.look(|progress| progress.durable))
    }
}
