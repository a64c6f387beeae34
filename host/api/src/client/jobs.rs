//! What the sidecar of a job asks and tells.

use reqwest::Body;

use super::{CALL_TIMEOUT, Client, ClientError, drain};
use crate::{Action, SidecarPlan, SidecarReport};

impl Client {
    /// See [`ClientError`].
    pub async fn plan(&self, job: &str) -> Result<SidecarPlan, ClientError> {
        self.get(Action::ReadPlan(job.to_owned())).await
    }

    /// See [`ClientError`].
    pub async fn job_running(&self, job: &str) -> Result<(), ClientError> {
        self.post(Action::ReportRunning(job.to_owned()), &()).await
    }

    /// See [`ClientError`].
    pub async fn job_result(&self, job: &str, report: &SidecarReport) -> Result<(), ClientError> {
        self.post(Action::ReportResult(job.to_owned()), report).await
    }

    /// See [`ClientError`].
    pub async fn send_log(&self, job: Option<&str>, frames: Body) -> Result<(), ClientError> {
        let response = self.send(Action::WriteLog(job.map(str::to_owned)), Some(frames), None).await?;
        drain(response).await
    }

    /// Hands in the file in which `job` exposes its outputs: lines `name=value`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_outputs(&self, job: &str, file: Vec<u8>) -> Result<(), ClientError> {
        let action = Action::ReportOutputs(job.to_owned());
        drain(self.send(action, Some(file.into()), Some(CALL_TIMEOUT)).await?).await
    }

    /// Hands in a JUnit XML file of `job`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_tests(&self, job: &str, junit: Body) -> Result<(), ClientError> {
        let action = Action::ReportTests(job.to_owned());
        drain(self.send(action, Some(junit), Some(CALL_TIMEOUT)).await?).await
    }
}
