//! Reading a journal: whether it is what was written, and what its events are.

use std::collections::BTreeSet;

use monkeyci_build::{Event, EventBody};
use serde_json::Value;

use super::content::{Pieces, WHOLE_LIMIT, join, references};
use super::{Digest, Head, Journal, JournalError, Page, Record};

/// A whole journal, every record of which is as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The events, numbered from 1.
    pub events: Vec<Event>,
    /// Where they end, and whose journal it is.
    pub head: Head,
    /// Where the database says that the journal ends. It is `head`, unless records at the end are missing.
    pub stored: Head,
}

impl History {
    /// How many records at the end are missing. They were written, and may have had effects.
    pub fn missing(&self) -> u64 {
        self.stored.last - self.head.last
    }
}

/// Reads a whole journal; `None` if there is none.
///
/// # Errors
/// When it can't be read, or a record is not what was written.
pub async fn history(journal: &dyn Journal, build: &str) -> Result<Option<History>, JournalError> {
    let Some(stored) = journal.head(build).await? else { return Ok(None) };
    let mut chain = Chain::new(build);
    let mut events = Vec::new();
    loop {
        let records = journal.records(build, chain.last, Page::default()).await?;
        if records.is_empty() {
            break;
        }
        for record in records {
            // The owner goes on while this reads: what is newer than the head is not looked at.
            if record.number > stored.last && chain.last == stored.last {
                break;
            }
            chain.check(&record)?;
            events.push(event(journal, build, &record).await?);
        }
        if chain.last >= stored.last {
            break;
        }
    }
    Ok(Some(chain.ends(events, stored)?))
}

/// The last record of a build, as it is stored; `None` if there is none.
///
/// # Errors
/// When the database can't be used.
pub async fn last_record(journal: &dyn Journal, build: &str) -> Result<Option<Record>, JournalError> {
    let Some(head) = journal.head(build).await? else { return Ok(None) };
    let only = Page { count: 1, ..Page::default() };
    Ok(journal.records(build, head.last.saturating_sub(1), only).await?.pop())
}

/// Whether a build is over, as far as its last record says: one whose host was killed is not.
///
/// # Errors
/// When that can't be read.
pub async fn is_over(journal: &dyn Journal, build: &str) -> Result<bool, JournalError> {
    let Some(last) = last_record(journal, build).await? else { return Ok(false) };
    Ok(matches!(event(journal, build, &last).await?.body, EventBody::BuildEnded { .. }))
}

/// The checksums of a journal, from its first record on.
pub(super) struct Chain<'a> {
    build: &'a str,
    pub(super) last: u64,
    pub(super) checksum: Digest,
    epoch: u64,
}

impl<'a> Chain<'a> {
    pub(super) fn new(build: &'a str) -> Self {
        Self { build, last: 0, checksum: Digest::first(build), epoch: 0 }
    }

    /// Whether the next record is as it was written.
    pub(super) fn check(&mut self, record: &Record) -> Result<(), JournalError> {
        let expected = self.last + 1;
        let damaged = |reason: &str| self.damaged(expected, reason);
        if record.number != expected {
            return Err(damaged(&format!("record {} stands in its place", record.number)));
        }
        let checksum = self.checksum.then(&record.text());
        if checksum != record.checksum {
            return Err(damaged("it is not what its checksum is of"));
        }
        if record.epoch < self.epoch.max(1) {
            return Err(damaged("somebody wrote it who was not the owner any more"));
        }
        (self.last, self.checksum, self.epoch) = (expected, checksum, record.epoch);
        Ok(())
    }

    pub(super) fn damaged(&self, number: u64, reason: &str) -> JournalError {
        JournalError::Damaged { build: self.build.to_owned(), number, reason: reason.to_owned() }
    }

    /// The whole journal, if its end is what the database says it is, or before that.
    fn ends(self, events: Vec<Event>, stored: Head) -> Result<History, JournalError> {
        if self.last == stored.last && self.checksum != stored.checksum {
            return Err(self.damaged(self.last, "it is another one than the journal ended with"));
        }
        if stored.epoch < self.epoch.max(1) {
            return Err(self.damaged(self.last, "its epoch is newer than the journal's"));
        }
        let head = Head { last: self.last, checksum: self.checksum, ..stored };
        Ok(History { events, head, stored })
    }
}

/// The event of a record, with all that it refers to. The record's own checksum is not looked at.
///
/// # Errors
/// When it can't be read, or is not what was written.
pub async fn event(journal: &dyn Journal, build: &str, record: &Record) -> Result<Event, JournalError> {
    let mut pieces = Pieces::new();
    if record.split {
        let damaged = |reason: String| damaged(build, record, reason);
        let mut missing = BTreeSet::new();
        references(&parsed(&record.body).map_err(damaged)?, &mut missing).map_err(damaged)?;
        let mut left = WHOLE_LIMIT;
        while !missing.is_empty() {
            let wanted: Vec<Digest> = std::mem::take(&mut missing).into_iter().collect();
            // Few at a time: they may be large.
            for wanted in wanted.chunks(16) {
                for piece in journal.pieces(wanted).await? {
                    left = left
                        .checked_sub(piece.text.len() as u64)
                        .ok_or_else(|| damaged("it is larger than an event may be".to_owned()))?;
                    let value = piece_value(piece.digest, &piece.text).map_err(damaged)?;
                    references(&value, &mut missing).map_err(damaged)?;
                    pieces.insert(piece.digest, value);
                }
                if let Some(lost) = wanted.iter().find(|digest| !pieces.contains_key(digest)) {
                    return Err(damaged(format!("the value {lost} is missing")));
                }
            }
            missing.retain(|digest| !pieces.contains_key(digest));
        }
    }
    joined(build, record, &pieces, &mut WHOLE_LIMIT.clone())
}

/// A piece's value, if its text is what its digest is of.
pub(super) fn piece_value(digest: Digest, text: &str) -> Result<Value, String> {
    if Digest::of(text.as_bytes()) != digest {
        return Err(format!("the value {digest} is not what was written"));
    }
    parsed(text)
}

/// The event of a record, with all its pieces at hand. `left` is how many bytes it may have with what it refers to, and how many are left
/// then.
pub(super) fn joined(build: &str, record: &Record, pieces: &Pieces, left: &mut u64) -> Result<Event, JournalError> {
    let mut body = || -> Result<EventBody, String> {
        if !record.split {
            return serde_json::from_str(&record.body).map_err(unknown);
        }
        let whole = join(parsed(&record.body)?, pieces, left)?;
        serde_json::from_value(whole).map_err(unknown)
    };
    let body = body().map_err(|reason| damaged(build, record, reason))?;
    Ok(Event { seq: record.number, time_ms: record.time_ms, body })
}

fn damaged(build: &str, record: &Record, reason: String) -> JournalError {
    JournalError::Damaged { build: build.to_owned(), number: record.number, reason }
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))
}

fn unknown(error: serde_json::Error) -> String {
    format!("it is no event that this version knows: {error}")
}
