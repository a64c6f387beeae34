//! The events of a build, from the journal's past to what happens now.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use monkeyci_build::{Event, EventBody};
use monkeyci_storage::JournalError;
use monkeyci_storage::journal::Page;

use super::build::Build;
use super::drive::LOOK;

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
        let listener = Listener { build: self.clone(), last: after, read: VecDeque::new(), over: false, looked: false };
        stream::unfold(listener, async |mut listener| {
            let next = listener.next().await.transpose()?;
            listener.over |= next.is_err();
            Some((next, listener))
        })
        .boxed()
    }
}

impl Listener {
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
        if let Some(driven) = host.0.driven.get(id) {
            let mut durable = driven.durable.clone();
            let written = durable.beyond(self.last);
            tokio::select! {
                biased;
                written = written => {
                    // Why it is not written, who waits for the build is told.
                    if written.is_err() {
                        driven.over().await;
                    }
                }
                () = driven.over() => {}
            }
            // It is forgotten in a moment.
            while host.0.driven.get(id).is_some_and(|known| known.ended.borrow().is_some()) {
                tokio::task::yield_now().await;
            }
            return Ok(());
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
