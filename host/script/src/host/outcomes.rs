//! `jobs`, the reading side: how jobs stand.

use monkeyci_api::{JobOutcome, NotKnown};
use monkeyci_build::TestSummary;
use wasmtime::component::Resource;

use crate::bindings::monkeyci::script::jobs::{HostOutcome, HostTests, Status};
use crate::store::State;

/// Something that the script asks about of a job, and that nobody knows before the job has run.
#[derive(Debug, thiserror::Error)]
#[error("{what} of {job}")]
pub(crate) struct NotKnownYet {
    pub(crate) job: String,
    pub(crate) what: String,
}

/// An outcome of which the ending is known, or that the job is not over.
fn ended(outcome: &JobOutcome) -> Result<&JobOutcome, NotKnownYet> {
    match &outcome.not_known {
        Some(NotKnown { job, ending: true }) => Err(NotKnownYet { job: job.clone(), what: "its end".to_owned() }),
        _ => Ok(outcome),
    }
}

/// An outcome of which all is known.
fn said<'a>(outcome: &'a JobOutcome, what: &str) -> Result<&'a JobOutcome, NotKnownYet> {
    match &outcome.not_known {
        Some(NotKnown { job, .. }) => Err(NotKnownYet { job: job.clone(), what: what.to_owned() }),
        None => Ok(outcome),
    }
}

impl HostOutcome for State {
    async fn status(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Status> {
        self.count_call()?;
        Ok(match ended(self.table.get(&outcome)?)?.status {
            monkeyci_build::Status::Pending => Status::Pending,
            monkeyci_build::Status::Blocked => Status::Blocked,
            monkeyci_build::Status::Queued => Status::Queued,
            monkeyci_build::Status::Running => Status::Running,
            monkeyci_build::Status::Success => Status::Success,
            monkeyci_build::Status::Warning => Status::Warning,
            monkeyci_build::Status::Failure => Status::Failure,
            monkeyci_build::Status::Error => Status::Error,
            monkeyci_build::Status::Skipped => Status::Skipped,
            monkeyci_build::Status::Cancelled => Status::Cancelled,
        })
    }

    async fn message(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        let outcome = said(self.table.get(&outcome)?, "what it says of its result")?;
        let said = outcome.results.message.clone();
        // What the job said itself says more than "succeeded".
        Ok(match &outcome.ending {
            Some(monkeyci_build::Ending::Succeeded) => said.or_else(|| Some("succeeded".to_owned())),
            ending => ending.as_ref().map(ToString::to_string),
        })
    }

    async fn exit_code(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<i32>> {
        self.count_call()?;
        Ok(ended(self.table.get(&outcome)?)?.ending.as_ref().and_then(monkeyci_build::Ending::exit_code))
    }

    async fn duration(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<u64>> {
        self.count_call()?;
        Ok(said(self.table.get(&outcome)?, "how long it takes")?.duration_ms)
    }

    async fn output(&mut self, outcome: Resource<JobOutcome>, name: String) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        let outcome = said(self.table.get(&outcome)?, &format!("its output {name:?}"))?;
        Ok(outcome.results.outputs.get(&name).cloned())
    }

    async fn outputs(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Vec<(String, String)>> {
        self.count_call()?;
        Ok(said(self.table.get(&outcome)?, "its outputs")?.results.outputs.clone().into_iter().collect())
    }

    async fn links(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Vec<(String, String)>> {
        self.count_call()?;
        Ok(said(self.table.get(&outcome)?, "its links")?.results.links.clone())
    }

    async fn coverage(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<f64>> {
        self.count_call()?;
        Ok(said(self.table.get(&outcome)?, "its coverage")?.results.coverage)
    }

    async fn tests(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<Resource<TestSummary>>> {
        self.count_call()?;
        Ok(match said(self.table.get(&outcome)?, "its test report")?.results.tests.clone() {
            Some(tests) => Some(self.table.push(tests)?),
            None => None,
        })
    }

    async fn drop(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<()> {
        let outcome = self.table.delete(outcome)?;
        self.let_go(outcome.results.size());
        Ok(())
    }
}

impl HostTests for State {
    async fn total(&mut self, tests: Resource<TestSummary>) -> wasmtime::Result<u32> {
        self.count_call()?;
        Ok(self.table.get(&tests)?.total)
    }

    async fn failed(&mut self, tests: Resource<TestSummary>) -> wasmtime::Result<u32> {
        self.count_call()?;
        Ok(self.table.get(&tests)?.failed)
    }

    async fn skipped(&mut self, tests: Resource<TestSummary>) -> wasmtime::Result<u32> {
        self.count_call()?;
        let tests = self.table.get(&tests)?;
        Ok(tests.skipped.saturating_add(tests.not_run))
    }

    async fn failures(&mut self, tests: Resource<TestSummary>) -> wasmtime::Result<Vec<String>> {
        self.count_call()?;
        Ok(self.table.get(&tests)?.failures.iter().map(|failure| failure.name.clone()).collect())
    }

    async fn drop(&mut self, tests: Resource<TestSummary>) -> wasmtime::Result<()> {
        self.table.delete(tests)?;
        Ok(())
    }
}
