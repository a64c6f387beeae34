//! The guard against tests that hang: the only place of these tests that looks at a clock. Nothing is judged by it.

use std::future::Future;
use std::time::Duration;

/// What has not happened by then never will.
const HANGS: Duration = Duration::from_secs(120);

/// Waits for the end of something.
pub(crate) async fn ends<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, future).await.unwrap_or_else(|_| panic!("waited in vain for the end of {what}"))
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    ends(what, looking).await;
}
