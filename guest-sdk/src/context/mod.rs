//! What an action can see and do.

mod results;
mod submit;

use std::time::Duration;

use crate::error::Told;
use crate::host::{events, jobs, workspace};
use crate::{Artifacts, Build, Event, FileReader, Hooks, JobRef, Outcome, Result, Subscription, Workspace};

pub use events::Level;
pub use submit::JobHandle;

/// What an action job's closure works with.
#[derive(Debug)]
pub struct Context {
    build: Build,
    /// The hooks that hold for the jobs that the action submits, those that were applied first before the others.
    hooks: Vec<Hooks>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self { build: Build::new(), hooks: Vec::new() }
    }

    /// The same, for a job that these hooks were applied to.
    pub(crate) fn hooked(&self, hooks: &Hooks) -> Self {
        // The closure of the hooks that were applied last is called first.
        let hooks = std::iter::once(hooks).chain(&self.hooks).cloned().collect();
        Self { build: Build::new(), hooks }
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
        Ok(Outcome::new(job.id(), jobs::look_up(job.id()).told()?))
    }

    /// Publishes an event of the script's own: a name and a JSON text. The values of secrets are masked inside of its strings.
    ///
    /// # Errors
    /// When the name or the payload is of the wrong form or too long, or has the value of a secret in it where that can't be masked.
    pub fn publish(&self, name: impl AsRef<str>, payload: impl AsRef<str>) -> Result<()> {
        events::publish(name.as_ref(), payload.as_ref()).told()
    }

    /// Adds a message to the build's report, which people see when the build has ended.
    ///
    /// # Errors
    /// When the message is too long.
    pub fn report(&self, message: impl AsRef<str>) -> Result<()> {
        events::report(message.as_ref()).told()
    }

    /// Writes a line with a level to the log. `println!` writes there too.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        events::log(level, message.as_ref());
    }

    /// Reads the build's events from now on, or from the start: see [`Subscription`].
    pub fn subscribe(&self) -> Subscription {
        Subscription::new()
    }

    /// Waits for the first published event of this name, also if it was published before; none when there is none within
    /// `timeout`.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// # use std::time::Duration;
    /// let smoke = action("smoke-test", |context| {
    ///     let deployed = context.wait_for_event("deployed", Duration::from_secs(600))?;
    ///     let deployed = deployed.context("nothing was deployed within ten minutes")?;
    ///     println!("deployed: {}", deployed.payload());
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    /// Outside an action.
    pub fn wait_for_event(&self, name: &str, timeout: Duration) -> Result<Option<Event>> {
        self.subscribe().named(name).from_start().next(timeout)
    }

    /// The argument that this action was given with [`action_call`](crate::action_call); none for a job that calls no handler.
    pub fn argument(&self) -> Option<String> {
        jobs::argument()
    }

    /// The build's artifacts.
    pub fn artifacts(&self) -> Artifacts {
        Artifacts { _private: () }
    }

    /// The code that is built, to read: the same as `context.build().workspace()`.
    pub fn workspace(&self) -> Workspace {
        self.build.workspace()
    }

    /// Opens a file of the workspace, for reading in chunks.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// use std::io::{BufRead, BufReader};
    ///
    /// let count = action("count-lines", |context| {
    ///     let lines = BufReader::new(context.open_file("data/large.csv")?).lines().count();
    ///     context.output("lines", lines)
    /// });
    /// ```
    ///
    /// # Errors
    /// When there is no such file, or the path leads out.
    pub fn open_file(&self, path: &str) -> Result<FileReader> {
        Ok(FileReader::new(workspace::open(path).told()?))
    }

    /// Writes a file into the action's output area; directories above it are made. What is there is gone when the action
    /// ends, unless it is [saved](Artifacts::save) as an artifact.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// let notes = action("notes", |context| {
    ///     context.write_file("notes/index.html", "<h1>What is new</h1>")?;
    ///     context.append_file("notes/index.html", "<p>Everything</p>")?;
    ///     context.artifacts().save("notes", "notes")?;
    ///     Ok(())
    /// })
    /// .creates_artifact("notes");
    /// ```
    ///
    /// # Errors
    /// When the path leads out, or a limit is reached.
    pub fn write_file(&self, path: &str, contents: impl AsRef<[u8]>) -> Result<()> {
        workspace::write_file(path, contents.as_ref()).told()
    }

    /// Adds to the end of a file in the action's output area, and makes it where it is missing.
    ///
    /// # Errors
    /// When the path leads out, or a limit is reached.
    pub fn append_file(&self, path: &str, contents: impl AsRef<[u8]>) -> Result<()> {
        workspace::append_file(path, contents.as_ref()).told()
    }
}
