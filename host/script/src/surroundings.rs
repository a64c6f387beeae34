//! Where the time and the chance come from that a script sees.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where time and chance come from. By default they are the machine's; a simulation has its own.
pub trait Surroundings: Send + Sync + 'static {
    /// The time of day, in milliseconds since the Unix epoch.
    fn day_ms(&self) -> u64;

    /// What the random numbers of this job's action begin with.
    fn seed(&self, job: Option<&str>) -> [u8; 32];
}

/// The machine's.
pub(crate) struct Machine;

impl Surroundings for Machine {
    fn day_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
    }

    fn seed(&self, _: Option<&str>) -> [u8; 32] {
        rand::random()
    }
}
