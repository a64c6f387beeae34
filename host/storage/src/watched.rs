//! A value that several watch, each of whom is woken in the order in which it came to wait.
//!
//! Tokio's `watch` wakes those who wait in an order that it draws. Where several tasks of a build wait for the same, a simulation would
//! then be another run each time.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A value that is watched: whoever has this changes it.
pub struct Watched<T>(Arc<Shared<T>>);

/// Watches a value.
pub struct Watcher<T> {
    shared: Arc<Shared<T>>,
    /// The change that it has seen last.
    seen: u64,
}

/// Nobody changes the value any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody changes what is watched any more")]
pub struct Gone;

struct Shared<T> {
    now: Mutex<Now<T>>,
    changed: Notify,
}

struct Now<T> {
    value: T,
    /// How often it was changed.
    changes: u64,
    /// Whether the one is gone who changes it.
    is_final: bool,
}

impl<T> Shared<T> {
    fn now(&self) -> MutexGuard<'_, Now<T>> {
        // A change that panics half way is one of its caller's.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Watched<T> {
    /// This value, which nobody watches yet.
    pub fn new(value: T) -> Self {
        let now = Mutex::new(Now { value, changes: 0, is_final: false });
        Self(Arc::new(Shared { now, changed: Notify::new() }))
    }

    /// Watches it. What it is now counts as seen.
    pub fn watch(&self) -> Watcher<T> {
        let seen = self.0.now().changes;
        Watcher { shared: self.0.clone(), seen }
    }

    /// Lets `look` see what it is now.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.now().value)
    }

    /// Makes it another one.
    pub fn set(&self, value: T) {
        self.change(|now| *now = value);
    }

    /// Changes it.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        let mut now = self.0.now();
        change(&mut now.value);
        now.changes += 1;
        drop(now);
        self.0.changed.notify_waiters();
    }
}

impl<T: Clone> Watched<T> {
    /// What it is now.
    pub fn get(&self) -> T {
        self.look(T::clone)
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.0.now().is_final = true;
        self.0.changed.notify_waiters();
    }
}

impl<T> Watcher<T> {
    /// Lets `look` see what it is now.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.shared.now().value)
    }

    /// What it is now counts as seen.
    pub fn has_seen(&mut self) {
        self.seen = self.shared.now().changes;
    }

    /// Returns when it was changed since it was seen last, and has seen it then.
    ///
    /// # Errors
    /// When nobody changes it any more.
    pub async fn changed(&mut self) -> Result<(), Gone> {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            // Who comes to wait stands in the line before it looks, and misses no change.
            changed.as_mut().enable();
            {
                let now = self.shared.now();
                if now.changes != self.seen {
                    self.seen = now.changes;
                    return Ok(());
                }
                if now.is_final {
                    return Err(Gone);
                }
            }
            changed.await;
        }
    }
}

impl<T: Clone> Watcher<T> {
    /// What it is now.
    pub fn get(&self) -> T {
        self.look(T::clone)
    }

    /// Returns what it is when `is_it` says so.
    ///
    /// # Errors
    /// When it is not, and nobody changes it any more.
    pub async fn until(&mut self, mut is_it: impl FnMut(&T) -> bool) -> Result<T, Gone> {
        loop {
            {
                let now = self.shared.now();
                self.seen = now.changes;
                if is_it(&now.value) {
                    return Ok(now.value.clone());
                }
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Watcher<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T: fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|value| f.debug_tuple("Watched").field(value).finish())
    }
}

impl<T: fmt::Debug> fmt::Debug for Watcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|value| f.debug_tuple("Watcher").field(value).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        for _ in 0..20 {
            let (watched, (woken, mut order)) = (Watched::new(0), tokio::sync::mpsc::unbounded_channel());
            for number in 0..50 {
                let (mut watcher, woken) = (watched.watch(), woken.clone());
                tokio::spawn(async move {
                    watcher.until(|value| *value == 1).await.expect("a value");
                    woken.send(number).expect("heard");
                });
            }
            drop(woken);
            // All of them wait.
            tokio::task::yield_now().await;
            watched.set(1);
            for number in 0..50 {
                assert_eq!(order.recv().await, Some(number));
            }
        }
    }

    #[tokio::test]
    async fn a_change_that_was_not_seen_is_heard_of_at_once_and_one_that_was_seen_is_not() {
        let watched = Watched::new("one");
        let mut watcher = watched.watch();
        watched.set("two");
        assert_eq!((watcher.changed().await, watcher.get()), (Ok(()), "two"));
        watched.set("three");
        watcher.has_seen();
        drop(watched);
        assert_eq!(watcher.changed().await, Err(Gone));
        assert_eq!(watcher.until(|value| *value == "three").await, Ok("three"));
        assert_eq!(watcher.until(|value| *value == "four").await, Err(Gone));
    }

    #[tokio::test]
    async fn who_waits_hears_that_nothing_will_change_any_more() {
        let watched = Watched::new(());
        let mut watcher = watched.watch();
        let waits = tokio::spawn(async move { watcher.changed().await });
        tokio::task::yield_now().await;
        drop(watched);
        assert_eq!(waits.await.expect("it ends"), Err(Gone));
    }
}
