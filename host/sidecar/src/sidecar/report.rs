//! Delivers the job's end: the one call that must not get lost.

use std::time::Duration;

use monkeyci_api::{Client, ClientError, SidecarReport};

/// Pauses between attempts: about ten seconds in all, in which a controller can be restarted.
const PAUSES_MS: [u64; 7] = [100, 200, 500, 1000, 2000, 3000, 3000];

pub(super) async fn deliver(client: &Client, job: &str, report: &SidecarReport) -> Result<(), ClientError> {
    for pause in PAUSES_MS {
        match client.job_result(job, report).await {
            Err(ClientError::Unreachable(_)) => tokio::time::sleep(Duration::from_millis(pause)).await,
            other => return other,
        }
    }
    client.job_result(job, report).await
}
