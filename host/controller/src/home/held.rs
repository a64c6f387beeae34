//! A build's directory that is held while somebody looks into what was kept of it: the sweep leaves it alone as long.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// What is locked: shared by all who look into it.
pub(super) const SHELLS: &str = "shells";

/// A build's directory that is held. Any number of processes may hold it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) path: PathBuf,
    lock: File,
}

impl Held {
    /// Holds a build's directory; `None` if there is none any more.
    pub(crate) fn hold(path: &Path) -> io::Result<Option<Self>> {
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join(SHELLS));
        let lock = match open {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        // Waits for a moment at most: somebody may be looking whether it is held.
        flock(&lock, FlockOperation::LockShared)?;
        // Whoever removes it has looked before.
        Ok(path.join(SHELLS).exists().then(|| Self { path: path.to_owned(), lock }))
    }

    /// Whether nobody else holds it. Nobody else can from now on, until this is dropped.
    pub(crate) fn is_last(&self) -> bool {
        if flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        // A try that fails has let go of what was held. Whoever has it all has it for a moment, or removes the directory.
        if let Err(error) = flock(&self.lock, FlockOperation::LockShared) {
            tracing::warn!(%error, path = %self.path.display(), "a directory is not held any more");
        }
        false
    }

    /// Removes the directory.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

/// Whether somebody holds the directory.
pub(crate) fn is_held(path: &Path) -> bool {
    File::open(path.join(SHELLS)).is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_until_the_last_one_lets_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let hold = || Held::hold(dir.path()).expect("no error").expect("it is there");
        assert!(!is_held(dir.path()));
        let (first, second) = (hold(), hold());
        assert!(is_held(dir.path()) && !first.is_last());
        drop(second);
        assert!(is_held(dir.path()) && first.is_last());
        first.remove().expect("removed");
        assert!(!is_held(dir.path()));
        assert!(Held::hold(dir.path()).expect("no error").is_none());
    }
}
