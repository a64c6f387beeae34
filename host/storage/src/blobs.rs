//! Blobs: artifacts, caches, logs and workspace archives, in an object store.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::blob_store::{self, BlobStore, BlobStoreError};

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub digest: String,
}

/// The blob store.
#[derive(Clone, Debug)]
pub struct Blobs {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The store again, if it is a directory.
    pub(crate) local: Option<Arc<LocalFileSystem>>,
    /// The size of the parts of an upload.
    part: usize,
}

/// A blob is sent to a bucket in parts of this size, while the next one fills. Parts may number 10 000, so a blob has at most 80 GiB.
pub(crate) const PART: usize = 8 << 20;
/// A disk takes parts of any size, and any number.
const PART_ON_DISK: usize = 1 << 20;
/// The parts that are under way at a time: with the one that fills, an upload takes at most 24 MiB of memory.
pub(crate) const PARTS_UNDER_WAY: usize = 2;

/// Bytes of a blob that arrive in pieces.
pub type BlobBytes = BoxStream<'static, Result<Bytes, object_store::Error>>;

impl Blobs {
    /// Opens the store that was asked for; `local` is the directory of [`BlobStore::Local`].
    ///
    /// # Errors
    /// When it can't be used.
    pub async fn open(store: &BlobStore, local: &FsPath) -> Result<Self, BlobStoreError> {
        Ok(match store {
            BlobStore::Local => Self::local(local)
                .map_err(|error| BlobStoreError::Local { path: local.to_owned(), reason: error.to_string() })?,
            BlobStore::Url(url) => {
                Self::new(blob_store::open(url, std::env::vars_os().filter_map(as_text).collect()).await?)
            }
        })
    }

    /// A store in a directory.
    pub fn local(dir: &FsPath) -> Result<Self, object_store::Error> {
        // Directories go with the last blob in them.
        let local = Arc::new(LocalFileSystem::new_with_prefix(dir)?.with_automatic_cleanup(true));
        Ok(Self { store: local.clone(), local: Some(local), part: PART_ON_DISK })
    }

    /// A store that has been opened.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, local: None, part: PART }
    }

    /// A store without anything in it.
    pub fn none() -> Self {
        Self { store: Arc::new(InMemory::new()), local: None, part: PART }
    }

    /// Stores a stream as one blob: whole, or not at all.
    pub async fn put<E: Into<io::Error>>(
        &self,
        name: &Path,
        bytes: BoxStream<'_, Result<Bytes, E>>,
    ) -> Result<Stored, io::Error> {
        self.write(name, bytes, |_| Bytes::new()).await
    }

    /// Stores a stream as one blob with what `end` makes of the digest after it: whole, or not at all. The digest is that of the
    /// stream alone, and so is the size.
    pub(crate) async fn write<E: Into<io::Error>>(
        &self,
        name: &Path,
        mut bytes: BoxStream<'_, Result<Bytes, E>>,
        end: impl FnOnce(&[u8]) -> Bytes,
    ) -> Result<Stored, io::Error> {
        let mut upload = Upload::new(self, name);
        let (mut size, mut hash) = (0, Sha256::new());
        while let Some(chunk) = bytes.next().await {
            let chunk = match chunk.map_err(Into::into) {
                Ok(chunk) => chunk,
                Err(error) => {
                    upload.abort().await;
                    return Err(error);
                }
            };
            size += chunk.len() as u64;
            hash.update(&chunk);
            upload.write(&chunk).await?;
        }
        let digest = hash.finalize();
        upload.write(&end(&digest)).await?;
        upload.finish().await?;
        Ok(Stored { size, digest: hex(&digest) })
    }

    /// Stores a few bytes as one blob, in place of what it was.
    pub async fn put_whole(&self, name: &Path, bytes: PutPayload) -> Result<(), object_store::Error> {
        self.store.put(name, bytes).await.map(drop)
    }

    /// A blob's bytes; none if there is no such blob.
    pub async fn get(&self, name: &Path) -> Result<Option<BlobBytes>, object_store::Error> {
        Ok(self.get_with(name, GetOptions::default()).await?.map(bytes_of))
    }

    /// Whether there is such a blob.
    pub async fn has(&self, name: &Path) -> Result<bool, object_store::Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        Ok(self.get_with(name, options).await?.is_some())
    }

    /// A blob's size in bytes; none if there is no such blob.
    pub async fn size(&self, name: &Path) -> Result<Option<u64>, object_store::Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        Ok(self.get_with(name, options).await?.map(|found| found.meta.size))
    }

    /// Makes a blob of another name of the bytes of one, without reading them: in a directory they are the same bytes. Returns whether
    /// there was one.
    pub async fn copy(&self, from: &Path, to: &Path) -> Result<bool, object_store::Error> {
        match self.store.copy(from, to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What of a blob the options ask for; none if there is no such blob.
    pub(crate) async fn get_with(
        &self,
        name: &Path,
        options: GetOptions,
    ) -> Result<Option<GetResult>, object_store::Error> {
        match self.store.get_opts(name, options).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The blobs below a path, with the time of their last change in milliseconds since the Unix epoch.
    pub async fn list(&self, below: &Path) -> Result<Vec<(Path, i64)>, object_store::Error> {
        let found = self.store.list(Some(below));
        found.map_ok(|meta| (meta.location, meta.last_modified.timestamp_millis())).try_collect().await
    }

    /// Removes a blob. One that is not there is no error.
    pub async fn remove(&self, name: &Path) -> Result<(), object_store::Error> {
        match self.store.delete(name).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes all blobs below a path.
    pub async fn remove_below(&self, below: &Path) -> Result<(), object_store::Error> {
        for (name, _) in self.list(below).await? {
            self.remove(&name).await?;
        }
        Ok(())
    }
}

/// A variable of the environment; `None` if it is no text.
fn as_text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// What was found, as it is read.
pub(crate) fn bytes_of(found: GetResult) -> BlobBytes {
    let range = found.range.clone();
    match found.payload {
        GetResultPayload::File(file, _) => read_ahead(file, range),
        GetResultPayload::Stream(bytes) => bytes,
    }
}

/// What is read from a file at once. The store's own stream takes 8 KiB, which costs more in passing them on than in reading them.
const CHUNK: u64 = 256 << 10;

/// A part of a file, of which the next chunk is read while the last one is under way.
fn read_ahead(mut file: File, range: Range<u64>) -> BlobBytes {
    let first = tokio::task::spawn_blocking(move || {
        let found = file.seek(SeekFrom::Start(range.start));
        let mut rest = file.take(range.end - range.start);
        (found.and_then(|_| next_chunk(&mut rest)), rest)
    });
    let chunks = stream::unfold(Some(first), |reading| async {
        let (chunk, mut rest) = match reading?.await {
            Ok(read) => read,
            Err(error) => return Some((Err(io::Error::other(error)), None)),
        };
        match chunk {
            // A file that was cut off meanwhile is no whole blob.
            Ok(chunk) if chunk.is_empty() && rest.limit() > 0 => Some((Err(ErrorKind::UnexpectedEof.into()), None)),
            Ok(chunk) if chunk.is_empty() => None,
            Ok(chunk) => {
                let next = tokio::task::spawn_blocking(move || (next_chunk(&mut rest), rest));
                Some((Ok(chunk), Some(next)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    chunks.map_err(|error| object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) }).boxed()
}

fn next_chunk(file: &mut impl Read) -> io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(CHUNK as usize);
    file.take(CHUNK).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}

/// An upload that leaves nothing unless it is finished: also when whoever waits for it goes away in the middle, as the handler of
/// a request does when its connection breaks.
struct Upload(Option<BufWriter>);

impl Upload {
    fn new(blobs: &Blobs, name: &Path) -> Self {
        let writer = BufWriter::with_capacity(blobs.store.clone(), name.clone(), blobs.part);
        Self(Some(writer.with_max_concurrency(PARTS_UNDER_WAY)))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.0 {
            Some(writer) => writer.write_all(bytes).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if written.is_err()
            && let Some(writer) = self.0.take()
        {
            abort(writer).await;
        }
        written
    }

    async fn finish(&mut self) -> io::Result<()> {
        // From here on the writer itself clears away what it can't complete.
        match self.0.take() {
            Some(mut writer) => writer.shutdown().await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    async fn abort(&mut self) {
        if let Some(writer) = self.0.take() {
            clear_away(writer).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(clear_away(writer));
        }
    }
}

/// Gives an upload up that nothing is wrong with.
async fn clear_away(mut writer: BufWriter) {
    // It may be about to begin at the store: what has not begun here can't be ended there.
    if let Err(error) = writer.flush().await {
        tracing::debug!(%error, "an upload that is given up had not begun");
        return;
    }
    abort(writer).await;
}

async fn abort(mut writer: BufWriter) {
    if let Err(error) = writer.abort().await {
        tracing::warn!(%error, "the parts of an upload that broke off could not be removed");
    }
}

/// Bytes in hexadecimal: digests, and names made of them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn stored(content: &[u8]) -> (tempfile::TempDir, Blobs, Path) {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let name = Path::from("blob");
        blobs.put_whole(&name, Bytes::copy_from_slice(content).into()).await.expect("stored");
        (dir, blobs, name)
    }

    #[tokio::test]
    async fn a_blob_of_any_size_comes_back_as_it_was() {
        let chunk = CHUNK as usize;
        for size in [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk + 7] {
            let content: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let (_dir, blobs, name) = stored(&content).await;
            let bytes = blobs.get(&name).await.expect("a store").expect("a blob");
            let chunks: Vec<Bytes> = bytes.try_collect().await.expect("bytes");
            assert!(chunks.concat() == content, "{size}");
        }
    }

    #[tokio::test]
    async fn a_blob_that_is_cut_off_while_it_is_read_is_an_error() {
        let (dir, blobs, name) = stored(&vec![7; 4 * CHUNK as usize]).await;
        let bytes = blobs.get(&name).await.expect("a store").expect("a blob");
        let file = std::fs::File::options().write(true).open(dir.path().join("blob")).expect("a file");
        file.set_len(CHUNK * 3 / 2).expect("cut");
        assert!(bytes.try_collect::<Vec<Bytes>>().await.is_err());
    }
}
