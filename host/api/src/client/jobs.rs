//! What the sidecar of a job asks and tells.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use reqwest::Body;

use super::{CALL_TIMEOUT, Client, ClientError, bytes_of, drain, malformed};
use crate::{Action, Continued, HoldQuery, LOG_FROM_HEADER, REPORTS_BEFORE_HEADER, SidecarPlan, SidecarReport};

/// The places up to which a log is kept, as they move on. To be kept is to be stored, or counted as left out.
pub type Kept = BoxStream<'static, Result<u64, ClientError>>;

impl Client {
    /// See [`ClientError`].
    pub async fn plan(&self, job: &str) -> Result<SidecarPlan, ClientError> {
        self.get(Action::ReadPlan(job.to_owned())).await
    }

    /// See [`ClientError`].
    pub async fn job_running(&self, job: &str) -> Result<(), ClientError> {
        self.post(Action::ReportRunning(job.to_owned()), &()).await
    }

    /// Says that the job is held, and hears whether it may go on: at once if it may, else when the time is over for which to wait.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn job_held(&self, job: &str, query: &HoldQuery) -> Result<Continued, ClientError> {
        self.ask(Action::ReportHeld(job.to_owned()), query, Duration::from_millis(query.wait_ms)).await
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

    /// Sends the log of `job` from a place on, and hears up to where it is kept. A place is the number of bytes of output before it. What
    /// was sent before may come again, in the same frames: it is kept once.
    ///
    /// # Errors
    /// See [`ClientError`]. The stream ends with one when the connection breaks.
    pub async fn stream_log(&self, job: &str, from: u64, frames: Body) -> Result<Kept, ClientError> {
        let mut request = self.request(Action::WriteLog(Some(job.to_owned())), Some(frames), None)?;
        request.headers_mut().insert(LOG_FROM_HEADER, from.into());
        let bytes = bytes_of(self.execute(request).await?);
        let places = stream::try_unfold((bytes, BytesMut::new()), async |(mut bytes, mut open)| {
            loop {
                if open.len() >= size_of::<u64>() {
                    let place = open.get_u64();
                    return Ok(Some((place, (bytes, open))));
                }
                match bytes.try_next().await? {
                    Some(more) => open.extend_from_slice(&more),
                    None if open.is_empty() => return Ok(None),
                    None => return Err(malformed("what is kept of a log ends inside of a number")),
                }
            }
        });
        Ok(places.boxed())
    }

    /// Hands in the file in which `job` exposes its outputs: lines `name=value`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_outputs(&self, job: &str, file: Vec<u8>) -> Result<(), ClientError> {
        let action = Action::ReportOutputs(job.to_owned());
        drain(self.send(action, Some(file.into()), Some(CALL_TIMEOUT)).await?).await
    }

    /// Hands in a JUnit XML file of `job`. One that comes again counts once, if it is said how many were taken before.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_tests(&self, job: &str, before: Option<u32>, junit: Body) -> Result<(), ClientError> {
        let mut request = self.request(Action::ReportTests(job.to_owned()), Some(junit), Some(CALL_TIMEOUT))?;
        if let Some(before) = before {
            request.headers_mut().insert(REPORTS_BEFORE_HEADER, before.into());
        }
        drain(self.execute(request).await?).await
    }
}
