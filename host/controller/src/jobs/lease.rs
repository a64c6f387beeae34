//! Whether an engine still lives.
//!
//! A request that waits for the end of a container says nothing for hours, and so does an engine that hangs. So whoever waits
//! for an engine asks it now and then whether it answers at all.

use std::time::Duration;

use monkeyci_engines::Engine;

/// How long an engine may be away before it counts as gone.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How long to wait for an engine that is away until it is asked again.
pub(crate) const AGAIN: Duration = Duration::from_millis(250);
/// How often an engine that answers is asked whether it does.
pub(crate) const BEAT: Duration = Duration::from_secs(5);

/// Returns when the engine has not answered for so long, with what is to be said of it.
pub(crate) async fn over(engine: &dyn Engine, lease: Duration) -> String {
    loop {
        let mut last_said = "it hangs".to_owned();
        let answered = async {
            while let Err(error) = engine.answers().await {
                last_said = error.to_string();
                tokio::time::sleep(AGAIN).await;
            }
        };
        if tokio::time::timeout(lease, answered).await.is_err() {
            return format!("{last_said}; it was not back after {} s", lease.as_secs_f32());
        }
        tokio::time::sleep(BEAT).await;
    }
}
