//! What jobs say of their results: outputs and test reports.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, MAX_TEST_REPORT, REPORTS_BEFORE_HEADER};
use monkeyci_build::{BuildCommand, CommandError, Results};
use monkeyci_storage::{hex, names};
use sha2::{Digest, Sha256};

use super::Api;
use super::admission::{ItemPath, admit};
use super::outputs;
use crate::disk::FILE;
use crate::junit;
use crate::running::Refused;
use crate::serve::Refusal;

pub(crate) async fn report_outputs(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReportOutputs(path.item.clone())).await?;
    let mut refused = None;
    let mut said = outputs::parse(&body).unwrap_or_else(|wrong| {
        let warning = none_counts(&wrong);
        refused = Some(Refusal::invalid(wrong));
        warning
    });
    build.masking.withhold(&mut said);
    let say = |results| BuildCommand::Say { job: path.item.clone(), attempt: claims.attempt, results };
    if let Err(error) = build.command(say(Box::new(said))).await {
        if matches!(error, Refused::Command(CommandError::ResultsUsedUp)) {
            build.command(say(Box::new(none_counts(&error.to_string())))).await?;
        }
        return Err(error.into());
    }
    refused.map_or(Ok(StatusCode::NO_CONTENT), Err)
}

/// A line of the log is easily missed, and who reads the outputs would only learn that there are none.
fn none_counts(why: &str) -> Results {
    Results { warning: Some(format!("none of its outputs count: {why}")), ..Results::default() }
}

pub(crate) async fn report_tests(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReportTests(path.item.clone())).await?;
    let before = headers.get(REPORTS_BEFORE_HEADER).and_then(|before| before.to_str().ok()?.parse().ok());
    let had = build.state().job(&path.item).map_or(0, |known| known.test_reports);
    if before.is_some_and(|before: u32| before < had) {
        // The answer to it was lost.
        return Ok(StatusCode::NO_CONTENT);
    }
    let xml = axum::body::to_bytes(body, MAX_TEST_REPORT as usize)
        .await
        .map_err(|error| Refusal::too_large(format!("a test report has at most {MAX_TEST_REPORT} bytes: {error}")))?;
    let masking = build.masking.clone();
    let (summary, masked) = tokio::task::spawn_blocking(move || {
        let text = junit::decode(&xml)?;
        let summary = junit::parse(&text, |words| masking.text(words))?;
        // What is stored is the decoded text: of other encodings, no secret would be known.
        Ok::<_, String>((summary, masking.bytes(text.as_bytes())))
    })
    .await
    .map_err(|error| Refusal::store("a test report", error))?
    .map_err(|error| Refusal::invalid(format!("this is no JUnit XML: {error}")))?;
    let digest = hex(&Sha256::digest(&masked));
    let taken = build.disk.begin();
    taken.take(masked.len() as u64 + FILE)?;
    let bytes = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(masked))]).boxed();
    let name = names::test_report(&build.id, &path.item, claims.attempt, &digest);
    api.blobs.put(&name, bytes).await.map_err(|error| Refusal::store("a test report", error))?;
    taken.keep();
    let results = Box::new(Results { tests: Some(summary), ..Results::default() });
    build.command(BuildCommand::Say { job: path.item, attempt: claims.attempt, results }).await?;
    Ok(StatusCode::NO_CONTENT)
}
