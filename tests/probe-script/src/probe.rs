//! What cases are made of.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

/// The build and the image with a shell.
pub struct Probe<'a> {
    pub build: &'a Build,
    pub image: String,
}

/// A case's jobs; none when a module does not have the case.
pub type Case = Result<Option<Vec<Job>>>;

impl Probe<'_> {
    /// A container job with these lines.
    pub fn sh(&self, id: &str, lines: &[&str]) -> ContainerJob {
        container(id, &self.image).shell(lines.iter().copied())
    }

    /// How long a job may take that is to be stopped, or not: five minutes unless the test says otherwise.
    pub fn limit(&self) -> Result<Duration> {
        Ok(Duration::from_millis(self.build.param_or("limit-ms", "300000")?.parse()?))
    }
}

/// Jobs of both kinds as a list.
pub fn all(jobs: impl IntoJobs) -> Case {
    Ok(Some(jobs.into_jobs()?))
}

/// Prints that a call was refused, and why; an error when it was not.
pub fn refused<T>(what: &str, result: Result<T>) -> Result<()> {
    match result {
        Ok(_) => bail!("{what} was not refused"),
        Err(error) => println!("{what} was refused: {error:#}"),
    }
    Ok(())
}
