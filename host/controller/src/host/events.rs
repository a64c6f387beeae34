//! The events of a build, from the journal's past to what happens now.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use monkeyci_build::{Event, EventBody};
use monkeyci_storage::JournalError;
use monkeyci_storage::journal::Page;

use super::build::Build;
use super::drive::LOOK;
use super::driven::Found;

/// Why there are no more events of a build.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// Nobody drives it, and it is not over.
    #[error("the build {build} has lost its host before its end: `resume` goes on with it")]
    Lost {
        /// The build.
        build: String,
    },
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Somebody who listens.
struct Listener {
    build: Build,
    /// The last event that was read.
    last: u64,
    read: VecDeque<Event>,
    over: bool,
    /// Whether it was looked once more after nobody drove the build.
    looked: bool,
    /// Whether it ends when the build is parked, and whether it is.
    until_parked: bool,
    parked: Arc<AtomicBool>,
}

impl Build {
    /// The events of the build after a place in its journal (0 for all), in order and each once: those that have been, and then those that
    /// come, whoever drives the build. The last one is [`EventBody::BuildEnded`].
    ///
    /// What comes is on disk: no crash takes it back. So [`Event::seq`] of the last event that one has seen is all that one needs to go on later,
    /// also with another host. Numbers have gaps, because what only hosts need to know [is not shown](EventBody::is_shown).
    ///
    /// The stream ends early when the host shuts down. It fails, and ends, when the build loses its host, or the journal can't be read.
    pub fn events(&self, after: u64) -> BoxStream<'static, Result<Event, EventsError>> {
        Listener::new(self, after, false).stream()
    }

    /// The same, but the stream also ends when the build is parked, and what is given with it says so then.
    pub(super) fn events_until_parked(
        &self,
        after: u64,
    ) -> (BoxStream<'static, Result<Event, EventsError>>, Arc<AtomicBool>) {
        let listener = Listener::new(self, after, true);
        let is_parked = listener.parked.clone();
        (listener.stream(), is_parked)
    }
}

impl Listener {
    fn new(build: &Build, after: u64, until_parked: bool) -> Self {
        let (build, read) = (build.clone(), VecDeque::new());
        Self { build, last: after, read, over: false, looked: false, until_parked, parked: Arc::default() }
    }

    fn stream(self) -> BoxStream<'static, Result<Event, EventsError>> {
        stream::unfold(self, async |mut listener| {
            let next = listener.next().await.transpose()?;
            listener.over |= next.is_err();
            Some((next, listener))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Event>, EventsError> {
        let host = self.build.host.clone();
        while !self.over {
            while let Some(event) = self.read.pop_front() {
                self.over |= matches!(event.body, EventBody::BuildEnded { .. });
                if event.body.is_shown() {
                    return Ok(Some(event));
                }
            }
            let page = host.0.journals.events_after(self.build.id(), self.last, Page::default()).await?;
            if let Some(last) = page.last() {
                (self.last, self.read, self.looked) = (last.seq, page.into(), false);
                continue;
            }
            tokio::select! {
                biased;
                () = host.0.closed.cancelled() => return Ok(None),
                news = self.news() => news?,
            }
        }
        Ok(None)
    }

    /// Waits until there may be more in the journal.
    async fn news(&mut self) -> Result<(), EventsError> {
        let (host, id) = (&self.build.host, self.build.id());
        match host.0.driven.find(id) {
            None => {}
            Some(Found::Driven(driven)) => {
                // Who listens keeps nobody from being parked.
                let (mut durable, gone) = (driven.durable.clone(), driven.gone.clone());
                drop(driven);
                tokio::select! {
                    biased;
                    written = durable.beyond(self.last) => {
                        // Why it is not written, who waits for the build is told.
                        if written.is_err() {
                            gone.cancelled().await;
                        }
                    }
                    () = gone.cancelled() => {}
                }
                return Ok(());
            }
            // Once more: something may have been written before it was.
            Some(Found::Parked(_)) if !std::mem::replace(&mut self.looked, true) => return Ok(()),
            Some(Found::Parked(parked)) => {
                self.over = self.until_parked;
                self.parked.store(self.until_parked, Ordering::Relaxed);
                if !self.until_parked {
                    let gone = parked.gone.clone();
                    drop(parked);
                    gone.cancelled().await;
                    self.looked = false;
                }
                return Ok(());
            }
        }
        if host.0.home.is_live(id) {
            self.looked = false;
            return tokio::time::sleep(LOOK).map(Ok).await;
        }
        // It may have ended, or have been taken over, since it was looked at.
        match std::mem::replace(&mut self.looked, true) {
            false => Ok(()),
            // Whoever goes on after the end hears nothing more, nor does who listens to a host that lets go of its builds.
            true if host.0.driven.is_open().is_err() || self.build.is_over().await? => {
                self.over = true;
                Ok(())
            }
            true => Err(EventsError::Lost { build: id.to_owned() }),
        }
    }
}
