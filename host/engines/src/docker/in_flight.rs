//! Requests that outlive the future that made them.
//!
//! A request that the daemon has read is carried out, even when the client hangs up: a dropped [`Engine::start`] could leave
//! a container that comes into being after [`Engine::remove`] has looked. So whatever makes or starts an object runs in a
//! task of its own, and who clears a pod waits for the tasks of its key first.
//!
//! [`Engine::start`]: crate::Engine::start
//! [`Engine::remove`]: crate::Engine::remove

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use tokio::sync::RwLock;

/// How long to wait for requests of a dropped future. Longer than any engine takes to make a container; after it, the
/// second look of `remove` is what is left.
const DRAIN: Duration = Duration::from_secs(30);

/// The pods that have requests under way: each request holds its pod's lock for reading.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<String, Arc<RwLock<()>>>>);

impl InFlight {
    /// Runs `request` to its end even when the returned future is dropped.
    pub(super) async fn run<T, F>(&self, key: &str, request: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let lock = Arc::clone(self.locks().entry(key.to_owned()).or_default());
        let under_way = lock.read_owned().await;
        let task = tokio::spawn(async move {
            let answer = request.await;
            drop(under_way);
            answer
        });
        task.await.unwrap_or_else(|error| Err(Error::IOError { err: io::Error::other(error) }))
    }

    /// Returns when no request of this pod is under way.
    pub(super) async fn drained(&self, key: &str) {
        let Some(lock) = self.locks().get(key).cloned() else {
            return;
        };
        if tokio::time::timeout(DRAIN, lock.write()).await.is_err() {
            tracing::warn!(pod = key, "the engine still works on a request that was dropped {DRAIN:?} ago");
        }
        // Forgotten when nobody but the map and we have it, so no request either.
        let mut locks = self.locks();
        if Arc::strong_count(&lock) == 2 {
            locks.remove(key);
        }
    }

    /// Returns when each pod has been without a request for a moment.
    pub(super) async fn all_drained(&self) {
        let keys: Vec<String> = self.locks().keys().cloned().collect();
        for key in keys {
            self.drained(&key).await;
        }
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<String, Arc<RwLock<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_dropped_request_is_waited_for() {
        let in_flight = InFlight::default();
        let done = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&done);
        let (go_on, told) = tokio::sync::oneshot::channel();
        let slow = in_flight.run("pod", async move {
            let _ = told.await;
            finished.store(true, Ordering::SeqCst);
            Ok(())
        });
        assert!(slow.now_or_never().is_none(), "it waits");
        let mut drained = std::pin::pin!(in_flight.drained("pod"));
        assert!((&mut drained).now_or_never().is_none(), "it is waited for");
        go_on.send(()).expect("it runs on");
        drained.await;
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn other_pods_are_not_waited_for() {
        let in_flight = InFlight::default();
        let endless = in_flight.run("pod", std::future::pending::<Result<(), Error>>());
        assert!(endless.now_or_never().is_none());
        in_flight.drained("other").await;
    }
}
