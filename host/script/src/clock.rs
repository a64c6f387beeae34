//! The clocks and the random source of an instance. While `define` runs they are the same in every instance of a build; afterwards time is
//! real, and random numbers begin with real chance. Both are recorded then: see [`crate::tape`].

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{SeedableRng, TryRng};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::surroundings::Surroundings;

/// Whether `define` runs in this instance; shared by all that behaves differently then.
#[derive(Clone, Debug)]
pub(crate) struct Defining(Arc<AtomicBool>);

impl Defining {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// It runs once more, in another instance.
    pub(crate) fn again(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The monotonic clock of an action, in nanoseconds from its first look at it. It goes on over the death of a host: by the time of day then,
/// for there is nothing else. Clones are the same clock.
#[derive(Clone)]
pub(crate) struct ActionClock {
    reading: Arc<Mutex<Reading>>,
    surroundings: Arc<dyn Surroundings>,
}

#[derive(Debug, Default)]
struct Reading {
    /// The time of day at which it began, in milliseconds since the Unix epoch.
    began_ms: u64,
    /// What it showed at a moment of this process.
    base: Option<(Instant, u64)>,
    /// What it has shown last.
    last: u64,
}

impl ActionClock {
    /// One that nobody has looked at.
    pub(crate) fn new(surroundings: Arc<dyn Surroundings>) -> Self {
        Self { reading: Arc::default(), surroundings }
    }

    /// It begins, or has begun, at this time of day.
    pub(crate) fn begin(&self, began_ms: u64) {
        self.reading().began_ms = began_ms;
    }

    /// It has shown this.
    pub(crate) fn has_shown(&self, nanoseconds: u64) {
        let mut reading = self.reading();
        reading.last = reading.last.max(nanoseconds);
    }

    /// What it shows.
    pub(crate) fn now(&self) -> u64 {
        let mut reading = self.reading();
        let Reading { began_ms, last, .. } = *reading;
        let (moment, shown) = *reading.base.get_or_insert_with(|| {
            let passed = self.surroundings.day_ms().saturating_sub(began_ms).saturating_mul(1_000_000);
            (Instant::now(), passed.max(last))
        });
        let passed = u64::try_from(moment.elapsed().as_nanos()).unwrap_or(u64::MAX);
        reading.last = reading.last.max(shown.saturating_add(passed));
        reading.last
    }

    /// How long it is until it shows this.
    pub(crate) fn until(&self, nanoseconds: u64) -> Duration {
        Duration::from_nanos(nanoseconds.saturating_sub(self.now()))
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Reading> {
        // Nothing panics while it holds the lock.
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random bytes: from the build's id while `define` runs, from the action's own seed afterwards.
pub(crate) struct Random(StdRng);

impl Random {
    /// For `define`.
    pub(crate) fn of_define(build: &str, purpose: &str) -> Self {
        Self(StdRng::from_seed(seed(&[build.as_bytes(), purpose.as_bytes()])))
    }

    /// For an action.
    pub(crate) fn of_action(drawn: &[u8], purpose: &str) -> Self {
        Self(StdRng::from_seed(seed(&[drawn, purpose.as_bytes()])))
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

/// The seed of a script's hash maps: the same in every instance of a build.
pub(crate) fn hash_seed(build: &str) -> u128 {
    let seed = seed(&[build.as_bytes(), b"hash"]);
    let mut half = [0; 16];
    half.copy_from_slice(&seed[..16]);
    u128::from_be_bytes(half)
}

fn seed(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::Machine;

    #[test]
    fn the_clock_of_an_action_goes_on_where_it_was_and_never_back() {
        let clock = ActionClock::new(Arc::new(Machine));
        clock.begin(Machine.day_ms());
        clock.has_shown(5_000_000_000_000);
        assert!(clock.now() >= 5_000_000_000_000, "it has shown more than the time of day says");
        let other = ActionClock::new(Arc::new(Machine));
        other.begin(Machine.day_ms() - 3_600_000);
        assert!(other.now() >= 3_600_000_000_000, "an hour has passed, whoever ran then");
        assert_eq!(other.until(1), Duration::ZERO);
    }
}
