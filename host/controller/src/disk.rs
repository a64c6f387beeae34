//! What a build may take of the disk: what its actions write, its artifacts, caches, test reports and logs. All of it draws on one budget.
//!
//! The journals of all builds stand on the same disk, mostly. So there is a reserve for them, too: while less is free, nobody may bring
//! anything.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use monkeyci_limits::{Area, Limit, Per};

use crate::lock::lock;

/// What builds may take of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// What a build may have there, in bytes. What it has saved before the host died counts too.
    pub of_build: u64,
    /// What has to stay free where the journal is, in bytes; but no more than a twentieth of that disk.
    pub reserve: u64,
}

impl Default for DiskLimits {
    /// 32 GiB for a build, 256 MiB for the journal.
    fn default() -> Self {
        Self { of_build: 32 << 30, reserve: 256 << 20 }
    }
}

/// What a file takes beside its bytes.
pub(crate) const FILE: u64 = 4096;

/// Why a build may bring no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskError {
    /// It has all that it may have.
    #[error(
        "the build's disk, {} MiB for what its actions write, its artifacts, caches, test reports and logs, is used up; save less, or less often",
        .limit >> 20
    )]
    UsedUp {
        /// What it may have, in bytes.
        limit: u64,
    },
    /// The journal needs what is left.
    #[error("the host's disk is almost full: what is left is for the journal; make room there")]
    Reserve,
}

impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        let kind = match error {
            DiskError::UsedUp { .. } => io::ErrorKind::QuotaExceeded,
            DiskError::Reserve => io::ErrorKind::StorageFull,
        };
        Self::new(kind, error)
    }
}

impl DiskError {
    /// The one that is the cause of an error, if one is.
    pub(crate) fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            cause = match error.downcast_ref::<io::Error>() {
                // What an I/O error was made from is not its source.
                Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
                None => error.source(),
            };
        }
        None
    }
}

/// The budget of a build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Budget>);

#[derive(Debug, Default)]
struct Budget {
    set: OnceLock<(DiskLimits, PathBuf)>,
    used: Mutex<u64>,
    refused: Mutex<Option<DiskError>>,
    said: AtomicBool,
}

/// What something takes of the disk until this is dropped, or for as long as the build [keeps](Taken::keep) it.
#[derive(Debug)]
pub(crate) struct Taken {
    disk: Disk,
    bytes: AtomicU64,
}

impl Disk {
    /// Sets the limits; `journal` is a directory of the disk that the journal is on.
    pub(crate) fn set(&self, limits: DiskLimits, journal: PathBuf) {
        // Once for a build.
        let _ = self.0.set.set((limits, journal));
    }

    /// Begins to take something.
    pub(crate) fn begin(&self) -> Taken {
        Taken { disk: self.clone(), bytes: AtomicU64::new(0) }
    }

    /// Counts what was taken in another process.
    pub(crate) fn count(&self, bytes: u64) {
        let mut used = lock(&self.0.used);
        *used = used.saturating_add(bytes);
    }

    /// How many bytes are taken, and whether it was said that logs are not kept whole.
    pub(crate) fn taken(&self) -> (u64, bool) {
        (*lock(&self.0.used), self.0.said.load(Ordering::Relaxed))
    }

    /// Goes on where that was so.
    pub(crate) fn go_on(&self, (used, said): (u64, bool)) {
        *lock(&self.0.used) = used;
        self.0.said.store(said, Ordering::Relaxed);
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// When the build may not have them.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), DiskError> {
        self.try_take(bytes).inspect_err(|error| *lock(&self.0.refused) = Some(error.clone()))
    }

    fn try_take(&self, bytes: u64) -> Result<(), DiskError> {
        let limits = self.0.set.get().map_or_else(DiskLimits::default, |(limits, _)| *limits);
        if self.0.set.get().is_some_and(|(limits, journal)| is_reserved(limits.reserve, journal)) {
            return Err(DiskError::Reserve);
        }
        let mut used = lock(&self.0.used);
        let after = used.saturating_add(bytes);
        if after > limits.of_build {
            return Err(DiskError::UsedUp { limit: limits.of_build });
        }
        *used = after;
        Ok(())
    }

    /// Gives so many bytes back.
    pub(crate) fn give_back(&self, bytes: u64) {
        let mut used = lock(&self.0.used);
        *used = used.saturating_sub(bytes);
    }

    /// Whether nobody has said yet that logs are not kept whole.
    pub(crate) fn is_said_first(&self) -> bool {
        !self.0.said.swap(true, Ordering::Relaxed)
    }

    /// The budget that somebody was refused who says this of it.
    pub(crate) fn named_in(&self, message: &str) -> Option<String> {
        let refused = lock(&self.0.refused);
        let DiskError::UsedUp { .. } = refused.as_ref()? else { return None };
        let limit = refused.as_ref()?.to_string();
        message.contains(&limit).then_some(limit)
    }
}

/// Whether what is free where the journal is has to stay free.
fn is_reserved(reserve: u64, journal: &Path) -> bool {
    // A disk that can't be asked is not kept free: whoever writes to it will be told.
    let Ok(disk) = rustix::fs::statvfs(journal) else { return false };
    let (all, free) = (disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_bavail.saturating_mul(disk.f_frsize));
    keeps_free(reserve, all, free)
}

fn keeps_free(reserve: u64, all: u64, free: u64) -> bool {
    free < reserve.min(all / 20)
}

impl Taken {
    /// Takes more.
    ///
    /// # Errors
    /// As [`Disk::take`].
    pub(crate) fn take(&self, bytes: u64) -> Result<(), DiskError> {
        self.disk.take(bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// It stays for as long as the build.
    pub(crate) fn keep(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.disk.give_back(self.bytes.load(Ordering::Relaxed));
    }
}

/// The limits of a host that was set up with `set`.
pub(crate) fn limits(set: &DiskLimits) -> Area {
    let limits = vec![
        Limit::bytes(
            "disk: what actions write, artifacts, caches, test reports, logs",
            Per::Build,
            set.of_build,
            "far above what builds hand on; the clone has limits of its own",
        ),
        Limit::bytes("a file of them, beside its bytes", Per::Call, FILE, "an empty file takes a block and an entry"),
        Limit::bytes(
            "what stays free of the journal's disk",
            Per::Host,
            set.reserve,
            "while less is free, nothing is taken in, so that all builds can go on writing what happens",
        )
        .by_machine("a twentieth of that disk, 256 MiB at most"),
    ];
    Area { name: "the disk", limits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_takes_so_much_of_the_disk_and_what_is_given_back_or_never_kept_is_free_again() {
        let disk = Disk::default();
        disk.set(DiskLimits { of_build: 100, reserve: 0 }, std::env::temp_dir());
        disk.count(40);
        let upload = disk.begin();
        upload.take(60).expect("free");
        assert_eq!(upload.take(1), Err(DiskError::UsedUp { limit: 100 }));
        drop(upload);
        let upload = disk.begin();
        upload.take(50).expect("free again");
        upload.keep();
        assert_eq!(disk.take(11), Err(DiskError::UsedUp { limit: 100 }));
        disk.give_back(1);
        disk.take(11).expect("free");
    }

    #[test]
    fn nobody_takes_what_is_reserved_for_the_journal() {
        let disk = Disk::default();
        disk.set(DiskLimits { of_build: u64::MAX, reserve: u64::MAX }, std::env::temp_dir());
        let machine = rustix::fs::statvfs(std::env::temp_dir()).expect("a disk");
        // At most a twentieth of it, whatever is asked for.
        let is_full = machine.f_bavail < machine.f_blocks / 20;
        assert_eq!(disk.take(1), if is_full { Err(DiskError::Reserve) } else { Ok(()) });
        assert!(keeps_free(10, 1000, 9) && !keeps_free(10, 1000, 10) && !keeps_free(u64::MAX, 1000, 50));
    }

    #[test]
    fn the_error_is_found_below_others_of_the_system() {
        let error = io::Error::other(io::Error::from(DiskError::UsedUp { limit: 1 << 30 }));
        let found = DiskError::of(&error).expect("it is there").to_string();
        assert!(found.contains("the build's disk, 1024 MiB"), "{found}");
        assert_eq!(DiskError::of(&io::Error::other("else")), None);
    }
}
