//! Following the logs of a build that runs, from outside: all that was said so far, and then all that is said, as it comes.
//!
//! On the wire a piece of a log is the length of its job's id (two bytes, big endian; all ones for the log of `define`), the id, the
//! length of the frames (four bytes, big endian), and the frames. A frame may be cut by the end of a piece; the next piece of the same
//! log then has the rest.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use monkeyci_api::{LogDecoder, LogFrame};
use monkeyci_build::EventBody;
use monkeyci_storage::{BlobBytes, Blobs, names};
use object_store::path::Path as BlobName;
use serde::{Deserialize, Serialize};

use super::client::cause;
use super::server::asked;
use super::{Driving, Inside, OutsideError, RunningBuild};
use crate::logs::followers::{Following, Piece};
use crate::running::BuildHandle;
use crate::serve::Refusal;

/// In place of the length of an id: there is no job.
const DEFINE: u16 = u16::MAX;

/// Which logs to follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    job: Option<String>,
}

/// Sends the logs of the build.
pub(crate) async fn logs(State(host): State<Arc<dyn Driving>>, body: Bytes) -> Result<Body, Refusal> {
    let (inside, wanted): (_, Wanted) = asked(&*host, &body).await?;
    let pieces = pieces(inside, wanted.job.as_deref()).await.map_err(|error| Refusal::store("the log", error))?;
    Ok(Body::from_stream(pieces.map_ok(|piece| encode(&piece))))
}

/// The logs of a build, or one of them: what there is, and then what comes, until the build is over.
async fn pieces(inside: Inside, job: Option<&str>) -> Result<BoxStream<'static, Result<Piece, Failure>>, Failure> {
    let Inside { live, blobs, _driven } = inside;
    let mut following = live.logs.follow(job);
    let stored = stored(&live, &blobs, &following).await?;
    let begun = std::mem::take(&mut following.begun);
    let before = stream::iter(stored).flat_map(move |(job, part)| part_of(blobs.clone(), job, part));
    let after = stream::unfold((following, _driven), async |(mut following, driven)| {
        Some((following.next().await?, (following, driven)))
    });
    Ok(before.chain(stream::iter(begun).map(Ok)).chain(after.map(Ok)).boxed())
}

/// A frame of a log: its job, if it is not that of `define`, and the frame.
pub(crate) type JobFrame = (Option<String>, LogFrame);

/// The same as [`pieces`], as frames.
pub(crate) async fn frames(
    inside: Inside,
    job: Option<&str>,
) -> Result<BoxStream<'static, Result<JobFrame, String>>, Failure> {
    let pieces = pieces(inside, job).await?;
    let decoder = Decoder::default();
    Ok(unpacked(pieces.map_err(|error| error.to_string()), decoder, |decoder, piece| {
        let job = piece.job.map(|job| job.to_string());
        decoder.frames(job, &piece.frames)
    }))
}

/// The frames of what arrives in pieces.
fn unpacked<P: Send + 'static>(
    pieces: impl Stream<Item = Result<P, String>> + Send + 'static,
    decoder: Decoder,
    take: impl Fn(&mut Decoder, P) -> Result<(), String> + Send + Copy + 'static,
) -> BoxStream<'static, Result<JobFrame, String>> {
    let state = (pieces.boxed(), decoder);
    let frames = stream::try_unfold(state, move |(mut pieces, mut decoder)| async move {
        loop {
            if let Some(frame) = decoder.ready.pop_front() {
                return Ok(Some((frame, (pieces, decoder))));
            }
            let Some(piece) = pieces.try_next().await? else { return Ok(None) };
            take(&mut decoder, piece)?;
        }
    });
    frames.boxed()
}

type Failure = object_store::Error;

/// The parts that are in the store, in the order in which jobs started.
async fn stored(
    live: &BuildHandle,
    blobs: &Blobs,
    following: &Following,
) -> Result<Vec<(Option<Arc<str>>, BlobName)>, Failure> {
    let started: HashMap<String, u64> = live
        .events_after(0, (usize::MAX, usize::MAX), |event| matches!(event.body, EventBody::JobStarted { .. }))
        .0
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::JobStarted { job, .. } => Some((job.clone(), event.seq)),
            _ => None,
        })
        .collect();
    let logs = names::logs(&live.id);
    let mut found = BTreeMap::new();
    for (name, _) in blobs.list(&logs).await? {
        if let Some((job, number)) = names::log_part(&logs, &name)
            && following.is_stored(job.as_deref(), number)
        {
            let place = job.as_ref().map(|job| started.get(job).copied().unwrap_or(u64::MAX));
            found.insert((place, job.clone(), number), (job.map(Arc::from), name));
        }
    }
    Ok(found.into_values().collect())
}

fn part_of(blobs: Blobs, job: Option<Arc<str>>, part: BlobName) -> BoxStream<'static, Result<Piece, Failure>> {
    let bytes = async move {
        let found: Option<BlobBytes> = blobs.get(&part).await?;
        Ok::<_, Failure>(found.unwrap_or_else(|| stream::empty().boxed()))
    };
    stream::once(bytes).try_flatten().map_ok(move |frames| Piece { job: job.clone(), frames }).boxed()
}

fn encode(piece: &Piece) -> Bytes {
    let id = piece.job.as_deref().unwrap_or_default();
    let mut out = BytesMut::with_capacity(2 + id.len() + 4 + piece.frames.len());
    // Ids of jobs have 128 bytes at most.
    out.put_u16(if piece.job.is_some() { id.len() as u16 } else { DEFINE });
    out.put_slice(id.as_bytes());
    // What is in memory of a log, or read at once, is a few megabytes.
    out.put_u32(piece.frames.len() as u32);
    out.put_slice(&piece.frames);
    out.freeze()
}

/// Takes pieces out of bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
struct Decoder {
    buffer: BytesMut,
    logs: HashMap<Option<String>, LogDecoder>,
    ready: VecDeque<JobFrame>,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        while let Some((job, frames)) = self.piece()? {
            self.frames(job, &frames)?;
        }
        Ok(())
    }

    fn frames(&mut self, job: Option<String>, frames: &[u8]) -> Result<(), String> {
        let log = self.logs.entry(job.clone()).or_default();
        log.push(frames);
        while let Some(frame) = log.next_frame().map_err(|error| error.to_string())? {
            self.ready.push_back((job.clone(), frame));
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<Option<(Option<String>, Bytes)>, String> {
        let mut head = &self.buffer[..];
        let Ok(length) = head.try_get_u16() else { return Ok(None) };
        let id_length = if length == DEFINE { 0 } else { usize::from(length) };
        let Some((id, mut rest)) = head.split_at_checked(id_length) else { return Ok(None) };
        let Ok(length_of_frames) = rest.try_get_u32() else { return Ok(None) };
        if rest.len() < length_of_frames as usize {
            return Ok(None);
        }
        let id = std::str::from_utf8(id).map_err(|error| error.to_string())?;
        let job = (length != DEFINE).then(|| id.to_owned());
        self.buffer.advance(2 + id_length + 4);
        Ok(Some((job, self.buffer.split_to(length_of_frames as usize).freeze())))
    }
}

impl RunningBuild {
    /// Hands the logs of the build to `each`, or those of one job: what they have so far, then what comes, until the build is over. Jobs
    /// wait for nobody who listens; whoever is slower than they are misses something, which a frame of the host's stream says.
    ///
    /// # Errors
    /// When the build does not answer, or its process goes away.
    pub async fn follow(
        &self,
        job: Option<&str>,
        mut each: impl FnMut(Option<&str>, &LogFrame),
    ) -> Result<(), OutsideError> {
        let mut frames = self.frames(job).await?;
        while let Some((job, frame)) = frames.try_next().await? {
            each(job.as_deref(), &frame);
        }
        Ok(())
    }

    /// The same as a stream.
    pub(crate) async fn frames(
        &self,
        job: Option<&str>,
    ) -> Result<BoxStream<'static, Result<JobFrame, OutsideError>>, OutsideError> {
        let answer = self.ask("/logs", &Wanted { job: job.map(str::to_owned) }, None).await?;
        let of = self.clone();
        let bytes = answer.bytes_stream().map_err(cause);
        let frames = unpacked(bytes, Decoder::default(), |decoder, bytes| decoder.push(&bytes));
        Ok(frames.map_err(move |reason| of.unreachable_because(reason)).boxed())
    }
}

#[cfg(test)]
mod tests;
