//! How jobs ended, for simulations.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Status, TestSummary};

/// How a job stands in a simulation. Made by [`ended`], or from a [`Status`].
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pub(crate) status: Status,
    pub(crate) message: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) duration: Option<Duration>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) links: Vec<(String, String)>,
    pub(crate) coverage: Option<f64>,
    pub(crate) tests: Option<TestSummary>,
}

/// A job that has this status.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// use monkeyci_sdk::testing::{Simulation, ended};
///
/// let simulation = Simulation::new()
///     .outcome("lint", Status::Failure)
///     .outcome("package", ended(Status::Success).output("image", "app:7").exit_code(0));
/// ```
pub fn ended(status: Status) -> Ended {
    let over = status >= Status::Success;
    Ended { status, duration: over.then_some(Duration::from_secs(1)), ..Ended::default() }
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        ended(status)
    }
}

impl Ended {
    /// Why it ended so.
    pub fn message(mut self, text: impl Into<String>) -> Self {
        self.message = Some(text.into());
        self
    }

    /// The exit code of its commands.
    pub fn exit_code(mut self, code: i32) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// How long it ran. Without it: a second.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// An output that it exposed.
    pub fn output(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.outputs.insert(name.into(), value.into());
        self
    }

    /// A link that it added.
    pub fn link(mut self, title: impl Into<String>, url: impl Into<String>) -> Self {
        self.links.push((title.into(), url.into()));
        self
    }

    /// The share of the code that its tests cover, in percent.
    pub fn coverage(mut self, percent: f64) -> Self {
        self.coverage = Some(percent);
        self
    }

    /// Its test report: so many tests, of which these failed.
    pub fn tests<S: Into<String>>(mut self, total: u32, failures: impl IntoIterator<Item = S>) -> Self {
        let failures: Vec<String> = failures.into_iter().map(Into::into).collect();
        let failed = u32::try_from(failures.len()).unwrap_or(u32::MAX);
        self.tests = Some(TestSummary { total, failed, skipped: 0, failures });
        self
    }
}
