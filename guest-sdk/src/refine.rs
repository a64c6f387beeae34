//! Jobs that are completed when their turn comes.

use std::time::Duration;

use crate::job::common::{Ending, ending_setters};
use crate::job::container::{Container, Restore, Variable, container_setters};
use crate::setters::in_place;
use crate::{Cache, Job, JobRef, Lines, PullPolicy, RetryOn, SavedArtifact, Secret, Service};

/// A job whose turn has come, to be completed or skipped by the closure that was given to
/// [`refine`](crate::ContainerJob::refine) or [`late_container`](crate::late_container).
///
/// What is set here is added to what was declared; where there can be only one, such as an image, it replaces that. The
/// context tells how earlier jobs ended. An error is the job's failure. What the job needs is settled by then.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let deploy = container("deploy", "debian:12")
///     .shell(["make deploy"])
///     .needs("plan")
///     .refine(|job, context| {
///         let plan = context.look_up("plan")?;
///         match plan.output("changes").as_deref() {
///             None | Some("0") => job.skip("the plan has no changes"),
///             Some(changes) => job.env("CHANGES", changes),
///         };
///         Ok(())
///     });
/// ```
#[derive(Debug, Default)]
pub struct Refine {
    pub(crate) id: String,
    pub(crate) ending: Ending,
    pub(crate) container: Container,
    pub(crate) skip: Option<String>,
    /// The command that was declared: lines are added to it.
    declared: Command,
}

/// The command of a container job: its program, and its shell lines.
type Command = (Option<Vec<String>>, Option<Vec<String>>);

impl Refine {
    /// Nothing but the command of the job as it was declared.
    pub(crate) fn new(job: &Job) -> Self {
        let declared = match job {
            Job::Container(job) => (job.container.argv.clone(), job.container.shell.clone()),
            Job::Action(_) => Command::default(),
        };
        let container = Container { argv: declared.0.clone(), shell: declared.1.clone(), ..Container::default() };
        Self { id: job.id().to_owned(), container, declared, ..Self::default() }
    }

    /// What the closure has said, without what was declared before.
    pub(crate) fn said(mut self) -> Self {
        if self.container.argv == self.declared.0 {
            self.container.argv = None;
        }
        if self.container.shell == self.declared.1 {
            self.container.shell = None;
        }
        self
    }

    /// The job's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Skips the job, as an intended skip: it is no failure, and those that need the job go on, unless they restore
    /// artifacts or read outputs of it.
    pub fn skip(&mut self, reason: impl Into<String>) -> &mut Self {
        self.skip = Some(reason.into());
        self
    }

    /// The image to run.
    pub fn image(&mut self, reference: impl Into<String>) -> &mut Self {
        self.container.image = Some(reference.into());
        self
    }

    fn ending_mut(&mut self) -> &mut Ending {
        &mut self.ending
    }

    fn container_mut(&mut self) -> &mut Container {
        &mut self.container
    }
}

ending_setters!(in_place, Refine);
container_setters!(in_place, Refine);
