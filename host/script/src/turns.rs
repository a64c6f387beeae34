//! How many scripts are compiled at a time: each may take a gigabyte, so as many as there are builds would take the machine's memory.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The turns of all that compile.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Mutex<u32>,
    freed: Condvar,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Turns);

impl Turns {
    pub(crate) fn new(at_once: u32) -> Self {
        Self(Arc::new(Inner { free: Mutex::new(at_once.max(1)), freed: Condvar::new() }))
    }

    /// A turn, when there is one; this thread waits for it.
    pub(crate) fn take(&self) -> Turn {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.0.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn(self.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_compile_at_a_time_than_have_a_turn_and_all_get_one() {
        let (turns, now, most) = (Turns::new(2), AtomicU32::new(0), AtomicU32::new(0));
        let compile = || {
            let turn = turns.take();
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            drop(turn);
        };
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(compile);
            }
        });
        let at_least_one = most.load(Ordering::SeqCst);
        assert!((1..=2).contains(&at_least_one), "{at_least_one} at a time");
        // All turns are free again.
        let _both = (turns.take(), turns.take());
        assert_eq!(*turns.0.free.lock().expect("nobody panicked"), 0);
    }
}
