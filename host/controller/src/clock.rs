//! The time: of day, and of a build, which nobody sets.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What tells the time. By default the clocks of the machine do; simulations and tests have their own.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, in milliseconds since the Unix epoch. People and programs set it, forwards and backwards.
    fn day_ms(&self) -> u64;

    /// How long it is since some moment. Nobody sets this, and it stands still while the machine is suspended.
    fn since(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug)]
pub(crate) struct MachineClock(Instant);

impl MachineClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for MachineClock {
    fn day_ms(&self) -> u64 {
        now_ms()
    }

    fn since(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A time that begins with the time of day, and then only goes on: time limits are measured by it, and so are the times of a build's
/// events. A step of the clock and a night in which the machine slept change neither.
#[derive(Clone)]
pub(crate) struct SteadyTime {
    clock: Arc<dyn Clock>,
    began_ms: u64,
    began: Duration,
}

impl SteadyTime {
    /// Begins now.
    pub(crate) fn begin(clock: Arc<dyn Clock>) -> Self {
        Self { began_ms: clock.day_ms(), began: clock.since(), clock }
    }

    /// Begins now, but not before a moment that has been, in milliseconds since the Unix epoch: another machine's clock may be ahead.
    pub(crate) fn begin_after(clock: Arc<dyn Clock>, been_ms: u64) -> Self {
        let time = Self::begin(clock);
        Self { began_ms: time.began_ms.max(been_ms), ..time }
    }

    /// How long it is since it began.
    pub(crate) fn passed(&self) -> Duration {
        self.clock.since().saturating_sub(self.began)
    }

    /// The time now, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.began_ms.saturating_add(millis(self.passed()))
    }
}

impl fmt::Debug for SteadyTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadyTime").field("began_ms", &self.began_ms).finish_non_exhaustive()
    }
}

/// A time in milliseconds, as journals have them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day, in milliseconds since the Unix epoch: for what is shown and named, and never for a limit.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}
