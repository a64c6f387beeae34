//! Uploads that broke off with their process. A bucket keeps their parts until a rule of its own removes them; a directory, for ever.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use object_store::path::Path as BlobName;

use crate::blobs::Blobs;

impl Blobs {
    /// How many bytes there are below a path.
    pub async fn size_below(&self, below: &BlobName) -> Result<u64, object_store::Error> {
        self.store.list(Some(below)).try_fold(0, async |size, meta| Ok(size + meta.size)).await
    }

    /// The names and sizes of what uploads into a directory have left to which nothing was added since a moment, in milliseconds since the
    /// Unix epoch; and removes it with `remove`.
    pub async fn unfinished(&self, since_ms: u64, remove: bool) -> Result<Vec<(String, u64)>, object_store::Error> {
        // The root itself is no name of a file.
        let below = self.local.as_ref().and_then(|local| local.path_to_filesystem(&BlobName::from("any")).ok());
        let root = below.and_then(|below| below.parent().map(Path::to_owned));
        let Some(root) = root else { return Ok(Vec::new()) };
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(since_ms);
        let looked = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            look(
                &root,
                &mut |path, size| {
                    let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
                    found.push((name, size));
                    if remove { gone(fs::remove_file(path)) } else { Ok(()) }
                },
                since,
            )?;
            Ok::<_, io::Error>(found)
        });
        let found = looked.await.map_err(io::Error::other).and_then(|found| found);
        found.map_err(|error| object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(error) })
    }
}

/// Shows what is below a directory and was not finished.
fn look(dir: &Path, each: &mut impl FnMut(&PathBuf, u64) -> io::Result<()>, since: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // Somebody else may remove it meanwhile.
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            gone(look(&path, each, since))?;
        } else if is_unfinished(&path) && metadata.modified()? < since {
            each(&path, metadata.len())?;
        }
    }
    Ok(())
}

/// A blob is written under its name with a `#` and a number after it, and gets its name when it is whole. No blob's own name ends so.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_broke_off_long_ago_goes_and_what_is_written_now_and_what_is_whole_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        for name in ["a/whole", "b/c/whole"] {
            blobs.put_whole(&name.into(), "12345".into()).await.expect("stored");
        }
        let files = ["a/part#1", "b/c/part#23", "a/now#1"].map(|name| dir.path().join(name));
        for file in &files {
            fs::write(file, "123").expect("written");
        }
        let hour = 60 * 60 * 1000;
        let times = |ms: u64| fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        for (file, ms) in files.iter().zip([hour, hour, 3 * hour]) {
            fs::File::options().write(true).open(file).and_then(|file| file.set_times(times(ms))).expect("set");
        }
        let names = async |remove| {
            let mut found = blobs.unfinished(2 * hour, remove).await.expect("looked");
            found.sort();
            found
        };
        let both = [("a/part#1".to_owned(), 3), ("b/c/part#23".to_owned(), 3)];
        assert_eq!(names(false).await, both);
        assert_eq!(names(true).await, both);
        assert_eq!(names(true).await, []);
        assert!(files[2].exists());
        assert_eq!(blobs.size_below(&BlobName::default()).await.expect("sizes"), 10);
        assert_eq!(blobs.size_below(&"a".into()).await.expect("sizes"), 5);
    }
}
