//! The guard against tests that hang: the only place of these tests that looks at a clock.
//!
//! Nothing is judged by it. It is far longer than anything takes on a slow and busy machine, and only ends a test that would
//! wait for ever.

use std::time::{Duration, Instant};

/// What has not happened by then never will.
pub const HANGS: Duration = Duration::from_secs(120);

/// Waits until `done` says so.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < HANGS, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
