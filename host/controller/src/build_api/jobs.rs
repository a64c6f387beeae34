//! How jobs stand, and what their sidecars ask and tell.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, JobOutcome, SidecarPlan, SidecarReport};
use monkeyci_build::EventBody;

use super::Api;
use super::admission::{ItemPath, admit};
use super::submit::no_job;
use crate::running::BuildOver;
use crate::serve::{Refusal, parse};

pub(crate) async fn read_job(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<JobOutcome>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadJob(path.item.clone()))?;
    let outcome = build.job_outcome(&path.item);
    outcome.map(Json).ok_or_else(|| no_job(&build.state(), &path.item))
}

pub(crate) async fn read_plan(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<SidecarPlan>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadPlan(path.item.clone()))?;
    build.pod(&path.item, |pod| Json(pod.plan.clone())).ok_or_else(|| not_running(&path.item))
}

pub(crate) async fn report_running(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReportRunning(path.item.clone()))?;
    let running = build.pod(&path.item, |pod| pod.running.take()).ok_or_else(|| not_running(&path.item))?;
    // Once; and written down before the command runs, so that its output comes after it.
    if let Some(running) = running {
        // In a task of its own: it is done whole also when the sidecar dies meanwhile, and takes this handler along.
        let reporting = tokio::spawn(async move {
            build.record(EventBody::JobRunning { job: path.item }).await?;
            // The job's task may be gone already.
            let _ = running.send(());
            Ok(())
        });
        reporting.await.unwrap_or(Err(BuildOver)).map_err(Refusal::build_over)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn report_result(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReportResult(path.item.clone()))?;
    let result: SidecarReport = parse(&body)?;
    let report = build.pod(&path.item, |pod| pod.report.take()).ok_or_else(|| not_running(&path.item))?;
    let report = report.ok_or_else(|| Refusal::conflict(format!("job {:?} has reported its result", path.item)))?;
    let _ = report.send(result);
    api.tokens.revoke(&claims.jti);
    Ok(StatusCode::NO_CONTENT)
}

fn not_running(job: &str) -> Refusal {
    Refusal::not_found(format!("job {job:?} does not run now"))
}
