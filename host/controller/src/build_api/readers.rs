//! How many contents may be open at a time for scripts to read: each holds a file or a connection to the store, and one of an artifact
//! a decoder's memory too. Whoever opens a reader decides when it is read, so without a limit one script could keep all that this
//! process may open, and whatever another build opens would fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::lock;
use crate::serve::Refusal;

/// How many may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReaderLimits {
    /// For all builds together.
    pub(crate) of_host: u32,
    /// For one build.
    pub(crate) of_build: u32,
}

impl Default for ReaderLimits {
    /// A quarter of what this process may have open, and of that a quarter for one build.
    fn default() -> Self {
        let open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let of_host = u32::try_from(open / 4).unwrap_or(u32::MAX).clamp(16, 1024);
        Self { of_host, of_build: (of_host / 4).clamp(ARTIFACT, 64) }
    }
}

/// What a reader of an artifact counts for: its decoder holds up to 8 MiB.
pub(crate) const ARTIFACT: u32 = 4;
/// What a reader of a file counts for.
pub(crate) const FILE: u32 = 1;

/// The readers that are open.
#[derive(Debug)]
pub(crate) struct Readers {
    limits: ReaderLimits,
    of_host: Arc<Semaphore>,
    of_builds: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The right to have a reader open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    _of_build: OwnedSemaphorePermit,
    _of_host: OwnedSemaphorePermit,
}

impl Readers {
    pub(crate) fn new(limits: ReaderLimits) -> Self {
        Self { limits, of_host: Arc::new(Semaphore::new(limits.of_host as usize)), of_builds: Mutex::default() }
    }

    /// Opens one more for `build`, which counts for `weight`.
    ///
    /// # Errors
    /// When too many are open.
    pub(crate) fn open(&self, build: &str, weight: u32) -> Result<Open, Refusal> {
        let of_build = self.limits.of_build;
        let mine = {
            let mut builds = lock(&self.of_builds);
            builds.entry(build.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(of_build as usize))).clone()
        };
        let mine = mine.try_acquire_many_owned(weight).map_err(|_| {
            Refusal::too_many(format!(
                "the build has too many readers open: {of_build}, of which one of an artifact counts as {ARTIFACT}; read to the end, or \
                 drop them"
            ))
        })?;
        // Others have them: it may go well in a moment.
        let host = self.of_host.clone().try_acquire_many_owned(weight);
        let host = host.map_err(|_| Refusal::too_many("all builds together have too many readers open; try again"))?;
        Ok(Open { _of_build: mine, _of_host: host })
    }

    /// A build is over.
    pub(crate) fn forget(&self, build: &str) {
        lock(&self.of_builds).remove(build);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_gets_so_many_readers_and_others_get_theirs() {
        let readers = Readers::new(ReaderLimits { of_host: 10, of_build: 6 });
        let mut open: Vec<Open> = (0..2).map(|_| readers.open("a", FILE).expect("free")).collect();
        open.push(readers.open("a", ARTIFACT).expect("free"));
        assert!(readers.open("a", FILE).is_err());
        open.extend((0..4).map(|_| readers.open("b", FILE).expect("free")));
        assert!(readers.open("b", FILE).is_err(), "the host has no more");
        drop(open);
        readers.forget("a");
        readers.open("a", ARTIFACT).expect("free again");
    }
}
