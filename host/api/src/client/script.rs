//! What a script asks and tells.

use std::time::Duration;

use monkeyci_build::JobDraft;

use super::{CALL_TIMEOUT, Client, ClientError, drain};
use crate::{
    Action, BuildInfo, EventPage, EventQuery, JobOutcome, Names, NewEvent, NewJobs, NewReport, ParamValue, Revealed,
    WaitQuery, Waited,
};

impl Client {
    /// See [`ClientError`]; so for all calls.
    pub async fn build_info(&self) -> Result<BuildInfo, ClientError> {
        self.get(Action::ReadBuild).await
    }

    /// See [`ClientError`].
    pub async fn param(&self, name: &str) -> Result<Option<String>, ClientError> {
        Ok(self.get::<ParamValue>(Action::ReadParam(name.to_owned())).await?.value)
    }

    /// See [`ClientError`].
    pub async fn publish(&self, name: &str, payload: &str) -> Result<(), ClientError> {
        self.post(Action::PublishEvent, &NewEvent { name: name.to_owned(), payload: payload.to_owned() }).await
    }

    /// See [`ClientError`].
    pub async fn report(&self, message: &str) -> Result<(), ClientError> {
        self.post(Action::AddReport, &NewReport { message: message.to_owned() }).await
    }

    /// See [`ClientError`].
    pub async fn job_outcome(&self, job: &str) -> Result<JobOutcome, ClientError> {
        self.get(Action::ReadJob(job.to_owned())).await
    }

    /// The names of all parameters that were given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn params(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<Names>(Action::ListParams).await?.names)
    }

    /// The names of all secrets that were given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn secrets(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get::<Names>(Action::ListSecrets).await?.names)
    }

    /// Whether there is such a secret: no error then.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn secret(&self, name: &str) -> Result<(), ClientError> {
        drain(self.send(Action::ReadSecret(name.to_owned()), None, Some(CALL_TIMEOUT)).await?).await
    }

    /// The bytes of a secret.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reveal(&self, name: &str) -> Result<Vec<u8>, ClientError> {
        let answer: Revealed = self.ask(Action::RevealSecret(name.to_owned()), &(), Duration::ZERO).await?;
        Ok(answer.value.0)
    }

    /// The next events.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, query: &EventQuery) -> Result<EventPage, ClientError> {
        self.ask(Action::ReadEvents, query, Duration::from_millis(query.wait_ms)).await
    }

    /// Adds jobs to the build.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(&self, jobs: Vec<JobDraft>) -> Result<(), ClientError> {
        self.post(Action::SubmitJobs, &NewJobs { jobs }).await
    }

    /// Waits until one of the jobs is over, and says which.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn wait_for_jobs(&self, query: &WaitQuery) -> Result<Option<String>, ClientError> {
        let wait = Duration::from_millis(query.wait_ms);
        Ok(self.ask::<_, Waited>(Action::WaitForJobs, query, wait).await?.over)
    }
}
