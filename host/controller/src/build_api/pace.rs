//! How often a build calls: so that one that does nothing else leaves the host to others.

use std::sync::Mutex;
use std::time::Duration;

use crate::lock::lock;

/// How many calls a build makes in a second, in the long run.
pub(super) const CALLS_PER_SECOND: u32 = 10_000;
/// How many it makes at once before that.
pub(super) const CALLS_AT_ONCE: u32 = 50_000;

/// What a call takes, and what is there to be taken.
const CALL: Duration = Duration::from_nanos(1_000_000_000 / CALLS_PER_SECOND as u64);
const ALL: Duration = Duration::from_nanos(1_000_000_000 / CALLS_PER_SECOND as u64 * CALLS_AT_ONCE as u64);

/// A bucket of calls, which fills again as time passes. Whoever finds it empty waits, in the order of coming, and is not refused.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When it is full again, by a time that only goes on.
    full: Mutex<Duration>,
}

impl Pace {
    /// Takes a call out; returns how long that has to wait.
    pub(super) fn turn(&self, now: Duration) -> Duration {
        let mut full = lock(&self.full);
        *full = (*full).max(now).saturating_add(CALL);
        full.saturating_sub(now).saturating_sub(ALL)
    }

    /// There is none to be taken for so long.
    #[cfg(test)]
    pub(super) fn is_used_up_for(&self, now: Duration, time: Duration) {
        *lock(&self.full) = now + ALL + time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_calls_go_at_once_and_after_that_as_many_as_time_allows() {
        let (pace, mut now) = (Pace::default(), Duration::from_secs(7));
        assert!((0..CALLS_AT_ONCE).all(|_| pace.turn(now).is_zero()));
        // Each further one waits a little longer than the one before.
        let waits: Vec<_> = (0..100).map(|_| pace.turn(now)).collect();
        assert_eq!(waits, (1..=100).map(|call| CALL * call).collect::<Vec<_>>());
        now += CALL * 100;
        assert_eq!(pace.turn(now), CALL);
        // A second of rest is worth a second of calls.
        now += CALL + Duration::from_secs(1);
        assert_eq!((0..=CALLS_PER_SECOND).filter(|_| pace.turn(now).is_zero()).count(), CALLS_PER_SECOND as usize);
        // However long it rests, there are no more at once.
        now += Duration::from_secs(60 * 60);
        assert_eq!((0..CALLS_AT_ONCE + 1000).filter(|_| pace.turn(now).is_zero()).count(), CALLS_AT_ONCE as usize);
    }

    #[test]
    fn builds_have_a_pace_of_their_own() {
        let (greedy, other) = (Pace::default(), Pace::default());
        let now = Duration::from_secs(1);
        for _ in 0..CALLS_AT_ONCE + 1 {
            greedy.turn(now);
        }
        assert!(!greedy.turn(now).is_zero() && other.turn(now).is_zero());
    }
}
