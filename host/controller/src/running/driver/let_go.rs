//! Letting go of a build: this process drives it no more, and another one goes on with it.

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

    /// Stops to work for the build. Nothing is stopped or removed that would go on without this process: that is as if it had been killed.
    pub(super) async fn let_go(&mut self) {
        self.tasks.shutdown().await;
    }
}
