//! The guard against tests that hang: the only place of these tests that looks at a clock. Nothing is judged by it.

use std::time::Duration;

/// Waits until it is so. What has not happened after two minutes never will.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let hangs = Duration::from_secs(120);
    tokio::time::timeout(hangs, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}
