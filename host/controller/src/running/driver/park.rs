//! Builds of which nothing runs, and that wait for a person: their drivers end, and others go on with them.

use std::time::Duration;

use monkeyci_build::{EventBody, Phase};

use super::{Driver, Said};
use crate::error::ControllerError;

/// How long to wait with the next try, at least, when somebody had something to do with the build.
const AGAIN: Duration = Duration::from_millis(200);
/// The same at most. It doubles from one time to the next.
const AGAIN_AT_MOST: Duration = Duration::from_secs(10);

/// When and how a build is parked.
pub(crate) struct Park {
    /// How long it has waited then.
    pub(crate) after: Duration,
    /// Parks it, unless somebody has something to do with it; told when it reaches its time limit, in milliseconds since the Unix epoch.
    pub(crate) leave: Box<dyn Fn(Option<u64>) -> bool + Send + Sync>,
}

/// How driving a build came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    /// It is over.
    Over,
    /// It is parked.
    Parked,
}

impl Driver {
    /// Has the build parked so, if at all.
    pub(crate) fn parks(self, park: Option<Park>) -> Self {
        Self { park, ..self }
    }

    /// How long nothing has to happen until the build is parked; `None` if something of it runs, waits for a slot or for its next attempt, or
    /// is not on disk. Then what is left of it waits for a person.
    pub(super) fn rests(&self) -> Option<Duration> {
        let park = self.park.as_ref()?;
        // An action that waits has a task too.
        let is_busy = !self.tasks.is_empty() || !self.unanswered.is_empty() || self.written < self.journal.last();
        let state = self.live.state();
        let rests = state.phase() == Phase::Running && state.running() == 0 && state.next_deadline_ms().is_none();
        (!is_busy && rests && !state.stopping()).then_some(park.after)
    }

    /// Tries to park the build.
    pub(super) fn is_parked(&mut self, time_limit_ms: Option<u64>) -> bool {
        let Some(park) = &mut self.park else { return false };
        let is_parked = (park.leave)(time_limit_ms);
        park.after = (park.after * 2).clamp(AGAIN, AGAIN_AT_MOST.max(park.after));
        is_parked
    }

    /// Goes on where it was parked: with nothing, unless it is to be ended.
    pub(super) async fn begin_parked(&mut self, cancel: Option<String>, said: Said) -> Result<(), ControllerError> {
        self.said = said;
        if let Some(by) = cancel {
            self.write(EventBody::CancelRequested { by })?;
        }
        let outstanding = self.live.state().outstanding();
        self.carry_out(outstanding).await
    }
}

pub(super) async fn after(rests: Option<Duration>) {
    match rests {
        Some(rests) => tokio::time::sleep(rests).await,
        None => std::future::pending().await,
    }
}
