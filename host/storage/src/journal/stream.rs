//! A journal as a stream of lines, to be carried elsewhere.
//!
//! The first line names layout and build. Each record is a line that begins with its checksum; the large values that it refers to
//! stand before it, each with its digest. A stream that is cut at the end of a record is the journal as it was then.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, BufRead, Write};

use monkeyci_build::Event;

use super::content::{LIMIT, Pieces, WHOLE_LIMIT, references};
use super::history::{Chain, joined, piece_value};
use super::{Digest, Journal, JournalError, Page, Record, STREAM_LAYOUT};

/// What a line may have beside the text of a record or a value.
const EXTRA: u64 = 256;

/// Writes the journal of a build to `out`. Nothing is checked: whoever imports it does that.
///
/// # Errors
/// When the journal can't be read, or `out` not be written. A journal that is not there has no records.
pub async fn export(journal: &dyn Journal, build: &str, mut out: impl Write) -> Result<(), JournalError> {
    let failed = |source: io::Error| JournalError::Database {
        journal: format!("{} of {build}, exported", journal.name()),
        source: std::sync::Arc::new(source),
    };
    writeln!(out, "monkeyci journal {STREAM_LAYOUT} {build}").map_err(failed)?;
    let (mut last, mut written) = (0, HashSet::new());
    loop {
        let records = journal.records(build, last, Page::default()).await?;
        let Some(end) = records.last() else { return out.flush().map_err(failed) };
        last = end.number;
        for record in records {
            let mut wanted = BTreeSet::new();
            let damaged = |reason| JournalError::Damaged { build: build.to_owned(), number: record.number, reason };
            if record.split {
                let body = serde_json::from_str(&record.body).map_err(|error| damaged(error.to_string()))?;
                references(&body, &mut wanted).map_err(damaged)?;
            }
            while let Some(digest) = wanted.pop_first() {
                if !written.insert(digest) {
                    continue;
                }
                for piece in journal.pieces(&[digest]).await? {
                    let value = piece_value(digest, &piece.text).map_err(damaged)?;
                    references(&value, &mut wanted).map_err(damaged)?;
                    writeln!(out, "{digest} value {}", piece.text).map_err(failed)?;
                }
            }
            writeln!(out, "{} {}", record.checksum, record.text()).map_err(failed)?;
        }
    }
}

/// Reads what [`export`] wrote: the build, and its events up to where the stream ends.
///
/// # Errors
/// [`JournalError::Damaged`] with the first record that is not as it was written, or not whole; `build` is `stream` where not even
/// that can be read.
pub fn import(mut stream: impl BufRead) -> Result<(String, Vec<Event>), JournalError> {
    let damaged = |build: &str, number, reason: &str| JournalError::Damaged {
        build: build.to_owned(),
        number,
        reason: reason.to_owned(),
    };
    let head = line(&mut stream, EXTRA * 4).map_err(|reason| damaged("stream", 0, &reason))?.unwrap_or_default();
    let Some(layout) = head.strip_prefix("monkeyci journal ") else {
        return Err(damaged("stream", 0, "it is no journal"));
    };
    let Some((layout, build)) = layout.split_once(' ') else { return Err(damaged("stream", 0, "it names no build")) };
    match layout.parse::<i64>() {
        Ok(STREAM_LAYOUT) => {}
        Ok(newer) if newer > STREAM_LAYOUT => {
            return Err(JournalError::Newer { journal: format!("of {build}, a stream"), layout: newer });
        }
        _ => return Err(damaged(build, 0, "its layout is none that was ever written")),
    }
    let (mut chain, mut pieces, mut events, mut left) = (Chain::new(build), Pieces::new(), Vec::new(), WHOLE_LIMIT);
    // All events are held at once, and a value that many refer to is in each of them.
    let mut left_of_events = WHOLE_LIMIT;
    loop {
        let number = chain.last + 1;
        let damaged = |reason: &str| damaged(build, number, reason);
        let Some(line) = line(&mut stream, LIMIT + EXTRA).map_err(|reason| damaged(&reason))? else {
            // Values without the record that refers to them: the stream was cut between them, and nothing of it counts.
            return Ok((build.to_owned(), events));
        };
        let entry = line.split_once(' ').and_then(|(digest, rest)| Some((digest.parse::<Digest>().ok()?, rest)));
        let Some((digest, rest)) = entry else { return Err(damaged("it has no checksum")) };
        if let Some(text) = rest.strip_prefix("value ") {
            left = left.checked_sub(text.len() as u64).ok_or_else(|| damaged("its values are too large"))?;
            pieces.insert(digest, piece_value(digest, text).map_err(|reason| damaged(&reason))?);
            continue;
        }
        let record = record(digest, rest).ok_or_else(|| damaged("it is no record"))?;
        chain.check(&record)?;
        events.push(joined(build, &record, &pieces, &mut left_of_events)?);
    }
}

/// A record's line, without the checksum.
fn record(checksum: Digest, text: &str) -> Option<Record> {
    let mut fields = text.splitn(5, ' ');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (number, epoch, time_ms) = (number()?, number()?, number()?);
    let split = match fields.next()? {
        "whole" => false,
        "split" => true,
        _ => return None,
    };
    let body = fields.next()?.to_owned();
    Some(Record { number, epoch, time_ms, split, size: body.len() as u64, body, checksum })
}

/// The next line, of at most `limit` bytes; `None` at the end of the stream.
fn line(stream: &mut impl BufRead, limit: u64) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    let mut limited = io::Read::take(io::Read::by_ref(stream), limit);
    limited.read_until(b'\n', &mut line).map_err(|error| format!("it can't be read: {error}"))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err("it is cut off".to_owned());
    }
    String::from_utf8(line).map(Some).map_err(|_| "it is no text".to_owned())
}
