//! Reading the build's events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::declare::millis;
use crate::error::Told;
use crate::host::events;
use crate::{JobRef, Result};

/// Reads the build's events in order, without missing one, however slow the reader is. Made by
/// [`Context::subscribe`](crate::Context::subscribe); only an action may read.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// # use std::time::Duration;
/// let watch = action("watch", |context| {
///     let events = context.subscribe().kind("job/ended").from_start();
///     while let Some(event) = events.next(Duration::from_secs(60))? {
///         println!("{} {:?}: {}", event.seq(), event.job(), event.payload());
///     }
///     Ok(())
/// });
/// ```
#[derive(Debug)]
pub struct Subscription {
    inner: events::Subscription,
}

impl Subscription {
    pub(crate) fn new() -> Self {
        Self { inner: events::Subscription::new() }
    }

    /// Reads from the build's first event on. Without it: events that come after [`subscribe`](crate::Context::subscribe).
    pub fn from_start(self) -> Self {
        self.inner.from_start();
        self
    }

    /// Only events of this [kind](Event::kind); of one of these kinds when it is called more than once.
    pub fn kind(self, kind: &str) -> Self {
        self.inner.kind(kind);
        self
    }

    /// Only published events of this name; of one of these names when it is called more than once.
    pub fn named(self, name: &str) -> Self {
        self.inner.named(name);
        self
    }

    /// Only events of this job.
    pub fn of_job(self, job: impl JobRef) -> Self {
        self.inner.of_job(job.id());
        self
    }

    /// The next event; none when there is none within `timeout`.
    ///
    /// # Errors
    /// Outside an action.
    pub fn next(&self, timeout: Duration) -> Result<Option<Event>> {
        Ok(self.inner.next(millis(timeout)).told()?.map(|inner| Event { inner }))
    }
}

/// An event of the build.
#[derive(Debug)]
pub struct Event {
    inner: events::Event,
}

impl Event {
    /// Its place in the build's journal, from 1 without gaps.
    pub fn seq(&self) -> u64 {
        self.inner.seq()
    }

    /// When it was recorded.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.inner.time())
    }

    /// What kind of event it is: `script/event` for one that a script published, `build/event` for one that came from outside,
    /// `job/ended` and so on for what the host records.
    pub fn kind(&self) -> String {
        self.inner.kind()
    }

    /// The name of a published event.
    pub fn name(&self) -> Option<String> {
        self.inner.name()
    }

    /// The job that it is about, or that published it.
    pub fn job(&self) -> Option<String> {
        self.inner.job()
    }

    /// The JSON text of a published event; the whole event as a JSON object for all others.
    pub fn payload(&self) -> String {
        self.inner.payload()
    }
}
