//! The guard against tests that hang: the only place of the end-to-end tests that looks at a clock.
//!
//! Nothing is judged by it. It is far longer than anything takes on a slow and busy machine, and only ends a test that would
//! wait for ever.

use std::time::{Duration, Instant};

/// What has not happened by then never will.
pub const HANGS: Duration = Duration::from_secs(300);

/// Waits until `look` finds something.
pub fn found<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    found_or(look, || panic!("waited in vain for {what}"))
}

/// Waits until `look` finds something; ends by `hangs` where that never happens.
pub fn found_or<T>(mut look: impl FnMut() -> Option<T>, hangs: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    while began.elapsed() < HANGS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    hangs()
}

/// Waits until it is so, and leaves the thread to other tasks meanwhile.
pub async fn until_async(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANGS, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// Waits until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    found(what, || is_so().then_some(()));
}
