//! The guard against tests that hang: the only place of these tests that looks at a clock. Nothing is judged by it.

use std::time::{Duration, Instant};

/// What has not happened by then never will: far longer than anything takes on a slow and busy machine.
pub const HANGS: Duration = Duration::from_secs(300);

/// Waits until `look` finds something.
pub fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < HANGS, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
