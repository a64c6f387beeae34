//! What jobs say of their results: outputs and test reports.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use monkeyci_api::Action;
use monkeyci_storage::names;

use super::Api;
use super::admission::{ItemPath, admit};
use super::{junit, outputs};
use crate::serve::Refusal;

/// The largest test report: 16 MiB.
const REPORT: usize = 16 << 20;
/// The most test reports of one job.
const REPORTS: u32 = 1000;

pub(crate) async fn report_outputs(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReportOutputs(path.item.clone()))?;
    let said = outputs::parse(&body).map_err(|wrong| {
        // A line of the log is easily missed, and who reads the outputs would only learn that there are none.
        build.with_results(&path.item, |results| {
            results.warn(&format!("none of its outputs count: {wrong}"));
        });
        Refusal::invalid(wrong)
    })?;
    build.with_results(&path.item, |results| said.merge_into(results));
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn report_tests(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReportTests(path.item.clone()))?;
    let xml = axum::body::to_bytes(body, REPORT)
        .await
        .map_err(|error| Refusal::too_large(format!("a test report has at most {REPORT} bytes: {error}")))?;
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
    let number = build.next_test_report(&path.item);
    if number >= REPORTS {
        return Err(Refusal::too_many(format!("a job has at most {REPORTS} test reports")));
    }
    let bytes = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(masked))]).boxed();
    let name = names::test_report(&build.id, &path.item, number);
    api.blobs.put(&name, bytes).await.map_err(|error| Refusal::store("a test report", error))?;
    build.with_results(&path.item, |results| results.tests.get_or_insert_default().add(summary));
    Ok(StatusCode::NO_CONTENT)
}
