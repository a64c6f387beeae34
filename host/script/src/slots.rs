//! Who may run: an instance has a slot while its guest runs, and none while it waits for jobs or events.
//!
//! What an instance waits for may need a slot to come about. So waiting must not use slots up, or as many waiting instances as
//! there are slots would wait for ever. They have a limit of their own, and whoever is beyond it waits without an instance: see
//! [`crate::waiting`].

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// The slots of all instances of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// An instance's slot.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    /// None while it waits.
    running: Option<OwnedSemaphorePermit>,
}

/// An instance's leave to wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// It counts for as long as this lives.
    _permit: OwnedSemaphorePermit,
}

/// Too many instances wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyWait;

impl Slots {
    pub(crate) fn new(limits: &Limits) -> Self {
        let of = |permits: u32| Arc::new(Semaphore::new(permits as usize));
        Self { running: of(limits.instances), waiting: of(limits.waiting_instances) }
    }

    /// How many instances live, of so many that may.
    pub(crate) fn live(&self, limits: &Limits) -> usize {
        let all = (limits.instances + limits.waiting_instances) as usize;
        all.saturating_sub(self.running.available_permits() + self.waiting.available_permits())
    }

    /// A slot for a new instance, when one is free.
    pub(crate) async fn take(&self) -> Slot {
        // The semaphore is never closed.
        Slot { slots: self.clone(), running: self.running.clone().acquire_owned().await.ok() }
    }
}

impl Slot {
    /// Gives the slot up. Before the guest goes on, [`take_again`](Self::take_again) has to be called.
    pub(crate) fn give_up(&mut self) -> Result<Waiting, TooManyWait> {
        let permit = self.slots.waiting.clone().try_acquire_owned().map_err(|_| TooManyWait)?;
        self.running = None;
        Ok(Waiting { _permit: permit })
    }

    /// Takes a slot again, when one is free.
    pub(crate) async fn take_again(&mut self, waiting: Waiting) {
        self.running = self.slots.running.clone().acquire_owned().await.ok();
        // Not before: all that live have a place in the pool.
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_leave_their_slots_to_others_and_too_many_of_them_are_told() {
        let limits = Limits { instances: 1, waiting_instances: 1, ..Limits::default() };
        let slots = Slots::new(&limits);
        let mut first = slots.take().await;
        let waits = first.give_up().expect("nobody else waits");
        let mut second = slots.take().await;
        assert_eq!((slots.live(&limits), second.give_up().err()), (2, Some(TooManyWait)));
        // The first may go on when the second has ended.
        let mut goes_on = std::pin::pin!(first.take_again(waits));
        assert!(goes_on.as_mut().now_or_never().is_none());
        drop(second);
        goes_on.await;
        assert_eq!(slots.live(&limits), 1);
    }
}
