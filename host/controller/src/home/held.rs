//! What was kept of a build, held while somebody looks into it: the sweep leaves the build's directory alone as long.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Where what is locked is, a file for each pod: shared by all who look into that.
pub(super) const SHELLS: &str = "shells";

/// A pod of a build's directory that is held. Any number of processes may hold it.
#[derive(Debug)]
pub(crate) struct Held {
    /// The build's directory.
    pub(crate) path: PathBuf,
    lock: File,
}

impl Held {
    /// Holds the pod of this key in a build's directory; `None` if there is no such directory any more.
    pub(crate) fn hold(path: &Path, key: &str) -> io::Result<Option<Self>> {
        let file = path.join(SHELLS).join(key);
        let made = match DirBuilder::new().mode(0o700).create(path.join(SHELLS)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        let open = |()| OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file);
        let lock = match made.and_then(open) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        // Waits for a moment at most: somebody may be looking whether it is held.
        flock(&lock, FlockOperation::LockShared)?;
        // Whoever removes it has looked before.
        Ok(file.exists().then(|| Self { path: path.to_owned(), lock }))
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

    /// Removes the build's directory.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

/// Whether somebody holds something of a build's directory.
pub(crate) fn is_held(path: &Path) -> bool {
    let is_locked = |file: PathBuf| {
        File::open(file).is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err())
    };
    fs::read_dir(path.join(SHELLS)).into_iter().flatten().any(|entry| entry.is_ok_and(|entry| is_locked(entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_until_the_last_one_lets_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = |key: &str| Held::hold(dir.path(), key).expect("no error").expect("it is there");
        assert!(!is_held(dir.path()));
        // Who looks into another pod is nobody here.
        let other = held("other");
        assert!(is_held(dir.path()) && other.is_last());
        let (first, second) = (held("pod"), held("pod"));
        drop(other);
        assert!(is_held(dir.path()) && !first.is_last());
        drop(second);
        assert!(is_held(dir.path()) && first.is_last());
        first.remove().expect("removed");
        assert!(!is_held(dir.path()));
        assert!(Held::hold(dir.path(), "pod").expect("no error").is_none());
    }
}
