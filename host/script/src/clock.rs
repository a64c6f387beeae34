//! The clock and the random source of an instance. While `define` runs both are the same in every instance of a build;
//! afterwards time is real, and random numbers depend on the job.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{SeedableRng, TryRng};
use sha2::{Digest, Sha256};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Whether `define` runs in this instance; shared by all that behaves differently then.
#[derive(Clone, Debug)]
pub(crate) struct Defining(Arc<AtomicBool>);

impl Defining {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The time of day: stands still at the build's start while `define` runs.
pub(crate) struct WallClock {
    pub(crate) defining: Defining,
    pub(crate) defined_at: Duration,
}

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        if self.defining.is() {
            self.defined_at
        } else {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
        }
    }
}

/// The monotonic clock: stands still at 0 while `define` runs.
pub(crate) struct MonotonicClock {
    pub(crate) defining: Defining,
    pub(crate) start: Instant,
}

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        if self.defining.is() { 0 } else { u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX) }
    }
}

/// Random bytes: from the build's id while `define` runs, from the build's and the job's afterwards.
pub(crate) struct Random {
    defining: Defining,
    define: StdRng,
    act: StdRng,
}

impl Random {
    pub(crate) fn new(defining: Defining, build: &str, job: Option<&str>, purpose: &str) -> Self {
        Self {
            defining,
            define: StdRng::from_seed(seed(&[build, purpose])),
            act: StdRng::from_seed(seed(&[build, purpose, job.unwrap_or_default()])),
        }
    }

    fn source(&mut self) -> &mut StdRng {
        if self.defining.is() { &mut self.define } else { &mut self.act }
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.source().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.source().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.source().try_fill_bytes(bytes)
    }
}

/// The seed of a script's hash maps: the same in every instance of a build.
pub(crate) fn hash_seed(build: &str) -> u128 {
    let seed = seed(&[build, "hash"]);
    let mut half = [0; 16];
    half.copy_from_slice(&seed[..16]);
    u128::from_be_bytes(half)
}

fn seed(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
