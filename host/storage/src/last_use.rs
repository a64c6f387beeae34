//! When blobs were last used: what nobody has used for long goes first when there are too many.

use std::fs::{File, FileTimes};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::path::Path;

use crate::blobs::Blobs;

/// A blob, its size, and when it was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The blob.
    pub name: Path,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last used, in milliseconds since the Unix epoch; in a bucket, when it was stored.
    pub last_ms: u64,
}

impl Blobs {
    /// Says that a blob was used now. Buckets don't keep that.
    pub fn used(&self, name: &Path) {
        let Some(path) = self.local.as_ref().and_then(|local| local.path_to_filesystem(name).ok()) else { return };
        let touched =
            File::open(&path).and_then(|file| file.set_times(FileTimes::new().set_accessed(SystemTime::now())));
        if let Err(error) = touched {
            tracing::debug!(%error, path = %path.display(), "that a blob was used is not kept");
        }
    }

    /// The blobs below a path, the one first that was not used for longest.
    pub async fn by_last_use(&self, below: &Path) -> Result<Vec<Used>, object_store::Error> {
        let mut found: Vec<Used> = self
            .store
            .list(Some(below))
            .map_ok(|meta| {
                let stored = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
                let last_ms = self.accessed_ms(&meta.location).unwrap_or(0).max(stored);
                Used { name: meta.location, size: meta.size, last_ms }
            })
            .try_collect()
            .await?;
        found.sort_by(|a, b| (a.last_ms, &a.name).cmp(&(b.last_ms, &b.name)));
        Ok(found)
    }

    fn accessed_ms(&self, name: &Path) -> Option<u64> {
        let path = self.local.as_ref()?.path_to_filesystem(name).ok()?;
        let accessed = std::fs::metadata(path).and_then(|metadata| metadata.accessed()).ok()?;
        accessed.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_used_last_comes_last_and_when_it_was_stored_stays_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        for name in ["c/a", "c/b"] {
            blobs.put_whole(&name.into(), "1".into()).await.expect("stored");
            let long_ago = UNIX_EPOCH + std::time::Duration::from_secs(1);
            let times = FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
            File::open(dir.path().join(name)).expect("a file").set_times(times).expect("set");
        }
        let order = async || {
            let found = blobs.by_last_use(&"c".into()).await.expect("listed");
            found.into_iter().map(|used| used.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order().await, ["c/a", "c/b"]);
        blobs.used(&"c/a".into());
        assert_eq!(order().await, ["c/b", "c/a"]);
        let stored: Vec<_> = blobs.list(&"c".into()).await.expect("listed").into_iter().map(|(_, at)| at).collect();
        assert_eq!(stored, [1000, 1000]);
    }
}
