//! Marks: up to where a log is in the store, kept with it, so that another process can go on there.

use bytes::Bytes;
use futures::TryStreamExt;
use monkeyci_api::{LogDecoder, LogStream};
use monkeyci_storage::{Blobs, names};
use serde::{Deserialize, Serialize};

use crate::error::ControllerError;

/// The streams of a log, in the order in which marks count them.
pub(crate) const STREAMS: [LogStream; 4] = [LogStream::Stdout, LogStream::Stderr, LogStream::Host, LogStream::Service];

/// Whose output a log's part has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// The attempt of the job, from 1.
    pub(crate) attempt: u32,
    /// The service; none for the job itself.
    pub(crate) service: Option<String>,
}

/// A place in a log. Places count the bytes of output as its source has sent them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// No byte before this belongs with one after it: no secret begins before and ends behind.
    pub(crate) at: u64,
    /// How many bytes of each stream, masked, have been kept of what comes after that.
    pub(crate) kept: [u64; 4],
    /// Such a place was not found for long, and this is none: a secret may lie across it.
    pub(crate) torn: bool,
}

/// What a log's part says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    #[serde(flatten)]
    pub(crate) source: Source,
    #[serde(flatten)]
    pub(crate) place: Place,
    /// How many bytes of the start of the log are in the store, as frames.
    pub(crate) start: usize,
    /// How many bytes of output were left out.
    pub(crate) left_out: u64,
}

impl Mark {
    pub(crate) fn encoded(&self) -> Vec<u8> {
        // Numbers and names are always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The last mark that a source has left in the log of a job.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn find(
        blobs: &Blobs,
        build: &str,
        job: &str,
        parts: u32,
        source: &Source,
    ) -> Result<Option<Self>, ControllerError> {
        for part in (0..parts).rev() {
            // A part may be missing: its number was given, and the store did not take it.
            let Some(bytes) = blobs.get(&names::log(build, Some(job), part)).await? else { continue };
            let bytes: Vec<Bytes> = bytes.try_collect().await?;
            let mark = last_mark(&bytes).filter(|mark| mark.source == *source);
            if mark.is_some() {
                return Ok(mark);
            }
        }
        Ok(None)
    }
}

/// The last mark among frames. What is damaged is said by whoever shows the log.
fn last_mark(bytes: &[Bytes]) -> Option<Mark> {
    let mut decoder = LogDecoder::default();
    for piece in bytes {
        decoder.push(piece);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }
    serde_json::from_slice(decoder.mark()?).ok()
}

#[cfg(test)]
mod tests;
