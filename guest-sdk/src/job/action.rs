//! Action jobs, and functions that jobs can call by name.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::common::{Common, Ending, RefineFn, ending_setters, graph_setters};
use crate::setters::by_value;
use crate::{Context, JobRef, Refine, Result, RetryOn, RunWhen};

pub(crate) type ActionFn = Box<dyn FnOnce(&Context) -> Result<()>>;

/// An action job: a closure of the script, run in an instance of its own.
pub struct ActionJob {
    pub(crate) common: Common,
    pub(crate) run: Run,
    pub(crate) creates_artifacts: Vec<String>,
}

/// What an action job runs.
pub(crate) enum Run {
    /// Its own closure.
    Closure(ActionFn),
    /// A function by its name, with an argument.
    Call { handler: String, argument: String },
    /// No job at all: a function that jobs can call by the id.
    Handler(ActionFn),
}

/// An action job: `run` is called in a fresh instance of the script when the job's turn comes. An error is the job's
/// failure.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let check = action("check-branch", |context| {
///     ensure!(context.build().branch().is_some(), "not on a branch");
///     Ok(())
/// });
/// ```
pub fn action(id: impl Into<String>, run: impl FnOnce(&Context) -> Result<()> + 'static) -> ActionJob {
    ActionJob::new(id, Run::Closure(Box::new(run)))
}

/// An action job that calls the function `handler` of the script, which finds `argument` with [`Context::argument`].
///
/// The function is a [`handler`], or the closure of an action job of that id. This is how an action
/// [submits](Context::submit) further actions: what it captures can't go into another instance, but an argument can.
pub fn action_call(id: impl Into<String>, handler: impl Into<String>, argument: impl Into<String>) -> ActionJob {
    ActionJob::new(id, Run::Call { handler: handler.into(), argument: argument.into() })
}

/// A function without a job, to be called by jobs that [`action_call`] makes. Return it among the jobs.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(_: &Build) -> Result<impl IntoJobs> {
///     let greet = handler("greet", |context| {
///         println!("hello, {}", context.argument().unwrap_or_default());
///         Ok(())
///     });
///     let plan = action("plan", |context| {
///         context.submit([action_call("greet-ann", "greet", "Ann"), action_call("greet-bob", "greet", "Bob")])?;
///         Ok(())
///     });
///     Ok((greet, plan))
/// }
/// ```
pub fn handler(name: impl Into<String>, run: impl FnOnce(&Context) -> Result<()> + 'static) -> Handler {
    Handler(ActionJob::new(name, Run::Handler(Box::new(run))))
}

/// A function of the script without a job. Made by [`handler`].
#[derive(Debug)]
pub struct Handler(pub(crate) ActionJob);

impl ActionJob {
    fn new(id: impl Into<String>, run: Run) -> Self {
        Self { common: Common::new(id), run, creates_artifacts: Vec::new() }
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn ending_mut(&mut self) -> &mut Ending {
        &mut self.common.ending
    }

    /// The action creates the artifact `id` (see [`Context::artifacts`]), so that other jobs may restore it. It is a failure
    /// of the job when it does not.
    pub fn creates_artifact(mut self, id: impl Into<String>) -> Self {
        self.creates_artifacts.push(id.into());
        self
    }

    /// Puts `change` round the closure, if the job has one of its own.
    pub(crate) fn wrap(mut self, change: impl FnOnce(ActionFn) -> ActionFn) -> Self {
        self.run = match self.run {
            Run::Closure(run) => Run::Closure(change(run)),
            Run::Handler(run) => Run::Handler(change(run)),
            call @ Run::Call { .. } => call,
        };
        self
    }
}

graph_setters!(by_value, ActionJob);
ending_setters!(by_value, ActionJob);

impl fmt::Debug for ActionJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionJob")
            .field("common", &self.common)
            .field("run", &self.run)
            .field("creates_artifacts", &self.creates_artifacts)
            .finish()
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closure(_) => f.write_str("Closure"),
            Self::Handler(_) => f.write_str("Handler"),
            Self::Call { handler, argument } => write!(f, "Call({handler:?}, {argument:?})"),
        }
    }
}
