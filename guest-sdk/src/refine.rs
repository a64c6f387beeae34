//! Jobs that are completed when their turn comes.

use std::time::Duration;

use crate::job::common::{Ending, ending_setters};
use crate::job::container::{Container, Variable, container_setters};
use crate::setters::in_place;
use crate::{Cache, RetryOn, SavedArtifact, Secret, Service};

/// A job whose turn has come, to be completed or skipped by the closure that was given to
/// [`refine`](crate::ContainerJob::refine) or [`late_container`](crate::late_container).
///
/// What is set here is added to what was declared; where there can be only one, such as an image, it replaces that. The
/// context tells how earlier jobs ended. An error is the job's failure.
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
}

impl Refine {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
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
