//! The end of a driver: of a build that is over, or that this process lets go of and another one goes on with.

use std::time::Duration;

use monkeyci_build::{Phase, StopReason};
use tokio::task::AbortHandle;

use super::Driver;
use crate::error::ControllerError;

impl Driver {
    /// Has on disk what has been appended, if the disk takes it within a moment: whoever goes on finds the more of it. What this gives is
    /// why the build is driven no more.
    pub(super) async fn write_before_letting_go(&mut self) -> ControllerError {
        let last = self.journal.last();
        if let Ok(Ok(())) = tokio::time::timeout(self.last_write, self.durable.wait(last)).await {
            self.answer(last);
        }
        ControllerError::LetGo { build: self.live.id.clone() }
    }

    /// Ends all that still runs: nothing, unless the loop ended early. Jobs clear their containers away.
    pub(super) async fn end(&mut self) {
        if self.live.state().phase() != Phase::New {
            for stop in self.stops.values() {
                stop.send_replace(Some(StopReason::Cancelled));
            }
        }
        self.preliminary.iter().for_each(AbortHandle::abort);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(60), all).await.is_err() {
            tracing::error!("jobs of the build did not come to an end; the next build clears away what is left");
            self.tasks.abort_all();
        }
    }

    /// Stops to work for the build. Nothing is stopped or removed that would go on without this process: that is as if it had been killed.
    pub(super) async fn let_go(&mut self) {
        self.tasks.shutdown().await;
    }
}
