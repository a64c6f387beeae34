//! How jobs ended.

use std::time::Duration;

use crate::host::jobs;

pub use jobs::Status;

/// How a job stood at the moment of asking.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let summary = action("summary", |context| {
///     let test = context.look_up("test")?;
///     if let Some(tests) = test.tests() {
///         context.report(&format!("{} of {} tests failed: {}", tests.failed, tests.total, tests.failures.join(", ")))?;
///     }
///     for (name, value) in test.outputs() {
///         println!("{name} = {value}");
///     }
///     Ok(())
/// })
/// .needs("test")
/// .always();
/// ```
#[derive(Debug)]
pub struct Outcome {
    job: String,
    inner: jobs::Outcome,
}

impl Outcome {
    pub(crate) fn new(job: &str, inner: jobs::Outcome) -> Self {
        Self { job: job.to_owned(), inner }
    }

    /// The job's id.
    pub fn job(&self) -> &str {
        &self.job
    }

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

    /// The exit code of its commands, where there was one.
    pub fn exit_code(&self) -> Option<i32> {
        self.inner.exit_code()
    }

    /// How long it ran; none while it has not ended.
    pub fn duration(&self) -> Option<Duration> {
        self.inner.duration().map(Duration::from_millis)
    }

    /// The output `name` that the job exposed.
    pub fn output(&self, name: &str) -> Option<String> {
        self.inner.output(name)
    }

    /// All outputs that the job exposed: names and values, sorted by name.
    pub fn outputs(&self) -> Vec<(String, String)> {
        self.inner.outputs()
    }

    /// The links that the job added: titles and addresses.
    pub fn links(&self) -> Vec<(String, String)> {
        self.inner.links()
    }

    /// The share of the code that the job's tests cover, in percent.
    pub fn coverage(&self) -> Option<f64> {
        self.inner.coverage()
    }

    /// The summary of the job's test report.
    pub fn tests(&self) -> Option<TestSummary> {
        self.inner.tests().map(|tests| TestSummary {
            total: tests.total(),
            failed: tests.failed(),
            skipped: tests.skipped(),
            failures: tests.failures(),
        })
    }
}

/// The summary of a test report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestSummary {
    /// How many tests there were.
    pub total: u32,
    /// How many failed, or ended by an error.
    pub failed: u32,
    /// How many were skipped, are disabled, or did not run: what neither passed nor failed.
    pub skipped: u32,
    /// The names of those that failed: the first 100.
    pub failures: Vec<String>,
}
