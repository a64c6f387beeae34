//! Archives on their way between the build API and the volume: streamed, with a few hundred kilobytes in memory.
//!
//! Packing and unpacking block, so they run on a thread of their own; a short queue connects them with the request.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use bytes::{Buf, Bytes, BytesMut};
use cap_std::fs::Dir;
use futures::{StreamExt, stream};
use monkeyci_api::{Body, ByteStream, ClientError};
use monkeyci_archive::{
    ArchiveError, Globs, Links, Packed, UnpackLimits, Unpacked, pack_all, pack_matching, unpack, unpack_as,
};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

const QUEUE: usize = 4;
const CHUNK: usize = 128 * 1024;

/// Unpacks a download into `dir`. What was packed gets the path `at`, if there is one.
pub(super) async fn receive(
    mut archive: ByteStream,
    dir: Dir,
    at: Option<PathBuf>,
    owner: (u32, u32),
) -> Result<Unpacked, ArchiveError> {
    let (queue, chunks) = mpsc::channel(QUEUE);
    // Only the job's container and this program see the directory, and this program looks at it through `Dir`: a link may
    // point anywhere.
    let limits = UnpackLimits { links: Links::Any, ..UnpackLimits::default() };
    let unpacking = spawn_blocking(move || {
        let reader = QueueReader { chunks, current: Bytes::new() };
        match at {
            Some(path) => unpack_as(reader, &dir, &path, &limits, Some(owner)),
            None => unpack(reader, &dir, &limits, Some(owner)),
        }
    });
    let mut queue = Some(queue);
    let mut wrong = None;
    while let Some(chunk) = archive.next().await {
        let chunk = match chunk {
            Err(error @ ClientError::Changed { .. }) => {
                wrong = Some(error);
                break;
            }
            Err(error) => {
                let broken = io::Error::other(error.to_string());
                wrong = Some(error);
                Err(broken)
            }
            Ok(chunk) => Ok(chunk),
        };
        let failed = chunk.is_err();
        // An error says that unpacking has given up; why, it tells itself. The rest still comes: it may have given up because
        // the archive is not the one that was saved, which is known at its end.
        if let Some(open) = &queue
            && open.send(chunk).await.is_err()
        {
            queue = None;
        }
        if failed {
            break;
        }
    }
    drop(queue);
    let unpacked = unpacking.await.unwrap_or_else(|error| Err(ArchiveError::Read(io::Error::other(error))));
    match wrong {
        Some(wrong) => Err(ArchiveError::Read(io::Error::other(wrong))),
        None => unpacked,
    }
}

/// Whether what came is not what was saved: then what was unpacked may be wrong, and nobody can say where.
pub(super) fn is_changed(error: &ArchiveError) -> bool {
    matches!(cause(error), Some(ClientError::Changed { .. }))
}

/// Whether it did not come whole, and may when it is asked for once more.
pub(super) fn is_cut_off(error: &ArchiveError) -> bool {
    matches!(cause(error), Some(ClientError::Unreachable(_)))
}

fn cause(error: &ArchiveError) -> Option<&ClientError> {
    let ArchiveError::Read(error) = error else { return None };
    error.get_ref()?.downcast_ref::<ClientError>()
}

/// Packs these paths of `dir`, or of the first one the files that match, into the body of a request. An error in between breaks the request
/// off, so that nobody takes the half for the whole; the handle tells it.
pub(super) async fn send(
    dir: Dir,
    paths: Vec<PathBuf>,
    globs: Option<Globs>,
) -> (Option<Body>, JoinHandle<Result<Packed, ArchiveError>>) {
    let (queue, mut chunks) = mpsc::channel(QUEUE);
    let packing = spawn_blocking(move || {
        let mut writer = QueueWriter { queue, current: BytesMut::new() };
        let packed = match (paths.as_slice(), globs) {
            ([path, ..], Some(globs)) => pack_matching(&dir, path, &globs, &mut writer)?,
            (paths, _) => pack_all(&dir, paths, &mut writer)?,
        };
        writer.finish().map_err(ArchiveError::Write)?;
        Ok(packed)
    });
    // What fails at once, a missing path for one, needs no request.
    let Some(first) = chunks.recv().await else { return (None, packing) };
    let body = stream::unfold((Some(first), Some(chunks)), |(next, chunks)| async move {
        let mut chunks = chunks?;
        let chunk = match next {
            Some(chunk) => Some(chunk),
            None => chunks.recv().await,
        };
        match chunk {
            Some(Chunk::Data(bytes)) => Some((Ok(bytes), (None, Some(chunks)))),
            Some(Chunk::End) => None,
            None => Some((Err(io::Error::other("packing failed")), (None, None))),
        }
    });
    (Some(Body::wrap_stream(body)), packing)
}

struct QueueReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for QueueReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let n = self.current.len().min(buf.len());
        self.current.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

enum Chunk {
    Data(Bytes),
    /// The archive is whole.
    End,
}

struct QueueWriter {
    queue: mpsc::Sender<Chunk>,
    current: BytesMut,
}

impl QueueWriter {
    fn finish(mut self) -> io::Result<()> {
        self.push()?;
        self.send(Chunk::End)
    }

    fn push(&mut self) -> io::Result<()> {
        let bytes = self.current.split().freeze();
        if bytes.is_empty() { Ok(()) } else { self.send(Chunk::Data(bytes)) }
    }

    fn send(&self, chunk: Chunk) -> io::Result<()> {
        self.queue.blocking_send(chunk).map_err(|_| io::Error::other("the upload has ended"))
    }
}

impl Write for QueueWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.current.extend_from_slice(buf);
        if self.current.len() >= CHUNK {
            self.push()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}
