//! Blobs: artifacts, caches, logs and workspace archives, in an object store.

use std::io;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use monkeyci_api::Stored;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

/// The blob store.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
}

/// The names of blobs.
pub(crate) mod names {
    use object_store::path::Path;

    /// An artifact of a build.
    pub(crate) fn artifact(build: &str, id: &str) -> Path {
        parts(&["artifacts"], build, &format!("{id}.tar.zst"))
    }

    /// All caches of a build's repository in one scope; `identity` tells repositories of the same name apart.
    fn caches(build: &str, identity: &str, scope: &str, id: &str) -> Path {
        let repository = build.rsplit_once('/').map_or(build, |(repository, _)| repository);
        parts(&["caches"], &format!("{repository}/{identity}"), scope).join(id)
    }

    /// The directory of a cache's contents under all keys.
    pub(crate) fn cache_keys(build: &str, identity: &str, scope: &str, id: &str) -> Path {
        caches(build, identity, scope, id)
    }

    /// A cache's content under `key`. A key may be longer than the name of a file, so it takes several parts.
    pub(crate) fn cache(build: &str, identity: &str, scope: &str, id: &str, key: &str) -> Path {
        let parts = key.as_bytes().chunks(KEY_PART).map(|part| format!("k-{}", super::hex(part)));
        parts.fold(caches(build, identity, scope, id), |path, part| path.join(part)).join(CACHE_FILE)
    }

    /// The key of a cache's content; none if the path is no content below `keys`.
    pub(crate) fn cache_key(keys: &Path, content: &Path) -> Option<String> {
        let mut parts: Vec<_> = content.prefix_match(keys)?.collect();
        if parts.pop()?.as_ref() != CACHE_FILE {
            return None;
        }
        let mut key = Vec::new();
        for part in parts {
            let part = part.as_ref().strip_prefix("k-")?.as_bytes();
            let digits = part.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            key.extend(digits.collect::<Option<Vec<u8>>>()?);
        }
        String::from_utf8(key).ok()
    }

    /// What of a key stands in one part of a path, in bytes: names of files have 255 at most.
    const KEY_PART: usize = 100;
    const CACHE_FILE: &str = "cache.tar.zst";

    /// A test report of a job.
    pub(crate) fn test_report(build: &str, job: &str, number: u32) -> Path {
        parts(&["test-reports"], &format!("{build}/{job}"), &format!("{number:04}.xml"))
    }

    /// A part of the log of a job, or of `define`. There is more than one part when the connection that brought it broke.
    pub(crate) fn log(build: &str, job: Option<&str>, part: u32) -> Path {
        // Ids of jobs start with a letter or digit, so nothing collides with this name.
        parts(&["logs"], &format!("{build}/{}", job.unwrap_or("_define")), &format!("{part:04}.frames"))
    }

    /// The workspace archive of a build.
    pub(crate) fn workspace(build: &str) -> Path {
        parts(&["workspaces"], build, "workspace.tar.zst")
    }

    fn parts(prefix: &[&str], id: &str, name: &str) -> Path {
        prefix.iter().copied().chain(id.split('/')).chain([name]).collect()
    }
}

impl Blobs {
    /// A store in a directory.
    pub(crate) fn local(dir: &FsPath) -> Result<Self, object_store::Error> {
        Ok(Self { store: Arc::new(LocalFileSystem::new_with_prefix(dir)?) })
    }

    /// A writer for a blob that appears when it is shut down, and not at all when it is aborted.
    pub(crate) fn writer(&self, name: &Path) -> BufWriter {
        BufWriter::new(self.store.clone(), name.clone())
    }

    /// Stores a stream as one blob: whole, or not at all.
    pub(crate) async fn put<E: Into<io::Error>>(
        &self,
        name: &Path,
        mut bytes: BoxStream<'_, Result<Bytes, E>>,
    ) -> Result<Stored, io::Error> {
        let mut writer = self.writer(name);
        let (mut size, mut hash) = (0, Sha256::new());
        while let Some(chunk) = bytes.next().await {
            let written = match chunk.map_err(Into::into) {
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    hash.update(&chunk);
                    writer.write_all(&chunk).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                let _ = writer.abort().await;
                return Err(error);
            }
        }
        writer.shutdown().await?;
        let digest = hex(&hash.finalize());
        Ok(Stored { size, digest })
    }

    /// A blob's bytes; none if there is no such blob.
    pub(crate) async fn get(
        &self,
        name: &Path,
    ) -> Result<Option<BoxStream<'static, Result<Bytes, object_store::Error>>>, object_store::Error> {
        match self.store.get(name).await {
            Ok(found) => Ok(Some(found.into_stream().map_err(Into::into).boxed())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The blobs below a path, with the time of their last change in milliseconds since the Unix epoch.
    pub(crate) async fn list(&self, below: &Path) -> Result<Vec<(Path, i64)>, object_store::Error> {
        let found = self.store.list(Some(below));
        found.map_ok(|meta| (meta.location, meta.last_modified.timestamp_millis())).try_collect().await
    }

    /// Removes a blob. One that is not there is no error.
    pub(crate) async fn remove(&self, name: &Path) -> Result<(), object_store::Error> {
        match self.store.delete(name).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Bytes in hexadecimal: digests, and names made of them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
