//! Jobs, as plain values. The host learns of them when the script's function has returned them.

mod action;
pub(crate) mod common;
pub(crate) mod container;
mod into_jobs;
pub(crate) mod lines;
mod policy;
mod reference;
mod stored;

use std::rc::Rc;
use std::time::Duration;

use crate::setters::by_value;
use crate::{Context, Refine, Result};
use common::{Common, Ending, RefineFn, ending_setters, graph_setters};

pub(crate) use action::{ActionFn, Run};
pub use action::{ActionJob, Handler, action, action_call, handler};
pub use container::{ContainerJob, container, late_container};
pub use into_jobs::IntoJobs;
pub use lines::Lines;
pub use policy::{PullPolicy, RetryOn, RunWhen};
pub use reference::JobRef;
pub use stored::{Cache, SavePolicy, SavedArtifact, artifact, cache};

/// Jobs that can be labelled: of both kinds.
pub trait Labelled: labelled::Sealed {
    #[doc(hidden)]
    fn labelled(self, name: &str, value: &str) -> Self;
}

mod labelled {
    pub trait Sealed {}
}

macro_rules! labelled {
    ($($type:ty)*) => {
        $(
            impl labelled::Sealed for $type {}

            impl Labelled for $type {
                fn labelled(self, name: &str, value: &str) -> Self {
                    self.label(name, value)
                }
            }
        )*
    };
}

labelled!(ActionJob ContainerJob Job);

/// A job of either kind. Made by `into()`, where jobs of both kinds go into one list.
#[derive(Debug)]
pub enum Job {
    /// An action job, or a [handler](crate::handler).
    Action(Box<ActionJob>),
    /// A container job.
    Container(Box<ContainerJob>),
}

impl Job {
    /// Whether it is an action job.
    pub fn is_action(&self) -> bool {
        matches!(self, Self::Action(job) if !matches!(job.run, Run::Handler(_)))
    }

    /// Whether it is a [handler](crate::handler): a function without a job.
    pub fn is_handler(&self) -> bool {
        matches!(self, Self::Action(job) if matches!(job.run, Run::Handler(_)))
    }

    /// Whether it is a container job.
    pub fn is_container(&self) -> bool {
        matches!(self, Self::Container(_))
    }

    /// The value of a label; of several with this name, the last.
    pub fn label_value(&self, name: &str) -> Option<&str> {
        let labels = self.common().ending.labels.iter().rev();
        labels.into_iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Changes it if it is a container job.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// # let job: Job = container("test", "debian:12").into();
    /// let verbose = job.map_container(|job| job.shell_first(["set -x"]).env("VERBOSE", "1"));
    /// ```
    pub fn map_container(self, change: impl FnOnce(ContainerJob) -> ContainerJob) -> Self {
        match self {
            Self::Container(job) => change(*job).into(),
            action => action,
        }
    }

    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Action(job) => &job.common,
            Self::Container(job) => &job.common,
        }
    }

    fn common_mut(&mut self) -> &mut Common {
        match self {
            Self::Action(job) => &mut job.common,
            Self::Container(job) => &mut job.common,
        }
    }

    fn ending_mut(&mut self) -> &mut Ending {
        &mut self.common_mut().ending
    }
}

graph_setters!(by_value, Job);
ending_setters!(by_value, Job);

impl From<ActionJob> for Job {
    fn from(job: ActionJob) -> Self {
        Self::Action(Box::new(job))
    }
}

impl From<Handler> for Job {
    fn from(handler: Handler) -> Self {
        Self::Action(Box::new(handler.0))
    }
}

impl From<ContainerJob> for Job {
    fn from(job: ContainerJob) -> Self {
        Self::Container(Box::new(job))
    }
}
