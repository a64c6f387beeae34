//! What an action can see and do.

use std::time::Duration;

use crate::__bindings::monkeyci::script::{events, jobs};
use crate::{Build, JobRef, Result};

pub use events::Level;
pub use jobs::Status;

/// What an action job's closure works with.
#[derive(Debug)]
pub struct Context {
    build: Build,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self { build: Build::new() }
    }

    /// What is being built.
    pub fn build(&self) -> &Build {
        &self.build
    }

    /// How a job stands now.
    ///
    /// # Errors
    /// When the build has no such job.
    pub fn look_up(&self, job: impl JobRef) -> Result<Outcome> {
        Ok(Outcome { inner: jobs::look_up(job.id())? })
    }

    /// Publishes an event of the script's own: a name and a JSON text.
    ///
    /// # Errors
    /// When the name or the payload is of the wrong form or too long.
    pub fn publish(&self, name: &str, payload: &str) -> Result<()> {
        Ok(events::publish(name, payload)?)
    }

    /// Adds a message to the build's report, which people see when the build has ended.
    ///
    /// # Errors
    /// When the message is too long.
    pub fn report(&self, message: &str) -> Result<()> {
        Ok(events::report(message)?)
    }

    /// Writes a line with a level to the log. `println!` writes there too.
    pub fn log(&self, level: Level, message: &str) {
        events::log(level, message);
    }
}

/// How a job stood at the moment of asking.
#[derive(Debug)]
pub struct Outcome {
    inner: jobs::Outcome,
}

impl Outcome {
    /// Where the job is in its life.
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        matches!(self.status(), Status::Success | Status::Warning)
    }

    /// Why it ended as it did, in a sentence.
    pub fn message(&self) -> Option<String> {
        self.inner.message()
    }

    /// The exit code of its command, where there was one.
    pub fn exit_code(&self) -> Option<i32> {
        self.inner.exit_code()
    }

    /// How long it ran; none while it has not ended.
    pub fn duration(&self) -> Option<Duration> {
        self.inner.duration().map(Duration::from_millis)
    }
}
