//! Locks of files, by which is told who lives: a process that dies lets go of them, however it dies.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::make_dir;

/// Whether somebody holds a lock.
pub(super) fn is_locked(path: &Path) -> bool {
    // Shared: so it is told from the lock of whoever lives.
    File::open(path).is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}

/// Makes the directory of a build and locks it; `None` if somebody else has it.
pub(super) fn lock_dir(path: &Path) -> io::Result<Option<File>> {
    loop {
        make_dir(path)?;
        let lock = match File::create(path.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lock => lock?,
        };
        if !lock_alone(&lock)? {
            return Ok(None);
        }
        // Whoever had it may have removed it with the directory.
        let is_there = fs::metadata(path.join("lock"))
            .is_ok_and(|there| lock.metadata().is_ok_and(|own| (there.dev(), there.ino()) == (own.dev(), own.ino())));
        if is_there {
            return Ok(Some(lock));
        }
    }
}

/// Locks a build for this process alone; false if it runs. Those that only look which builds run share their lock for a moment: they are
/// waited for.
fn lock_alone(lock: &File) -> io::Result<bool> {
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {}
            locked => return Ok(locked.map(|()| true)?),
        }
        match flock(lock, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => return Ok(false),
            shared => shared?,
        }
        flock(lock, FlockOperation::Unlock)?;
        std::thread::yield_now();
    }
}
