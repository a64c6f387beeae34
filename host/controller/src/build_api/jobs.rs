//! How jobs stand, and what their sidecars ask and tell.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, Continued, HoldQuery, JobOutcome, SidecarPlan, SidecarReport};
use monkeyci_build::BuildCommand;

use super::admission::{ItemPath, admit};
use super::{Api, wait_for};
use crate::running::{BuildOver, Refused};
use crate::serve::{Refusal, parse};

pub(crate) async fn read_job(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<JobOutcome>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadJob(path.item.clone())).await?;
    let outcome = build.job_outcome(&path.item);
    outcome.map(Json).ok_or_else(|| build.state().no_job(&path.item).into())
}

pub(crate) async fn read_plan(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<SidecarPlan>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadPlan(path.item.clone())).await?;
    build.pod(&path.item, |pod| Json(pod.plan.clone())).ok_or_else(|| not_running(&path.item))
}

pub(crate) async fn report_running(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReportRunning(path.item.clone())).await?;
    build.pod(&path.item, |_| ()).ok_or_else(|| not_running(&path.item))?;
    // Written down before the command runs, so that its output comes after it. In a task of its own: it is done whole also when
    // the sidecar dies meanwhile, and takes this handler along.
    let reporting = tokio::spawn(async move { build.command_runs(&path.item, claims.attempt).await });
    reporting.await.unwrap_or(Err(Refused::Over(BuildOver)))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers when somebody lets the job go on, or when the time is over for which to wait: then it is asked again.
pub(crate) async fn report_held(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Continued>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReportHeld(path.item.clone())).await?;
    let HoldQuery { number, held, wait_ms } = parse(&body)?;
    build.pod(&path.item, |_| ()).ok_or_else(|| not_running(&path.item))?;
    let last = build.last_seq();
    let (job, attempt) = (path.item.clone(), claims.attempt);
    build.command(BuildCommand::Hold { job, attempt, number, held: Box::new(held) }).await?;
    let continued = || {
        let state = build.state();
        Ok(state.job(&path.item).filter(|known| known.has_continued(number)).map(|_| ()))
    };
    let continued = wait_for(last, wait_ms, continued).await?.is_some();
    Ok(Json(Continued { continued }))
}

pub(crate) async fn report_result(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReportResult(path.item.clone())).await?;
    let result: SidecarReport = parse(&body)?;
    build.pod(&path.item, |_| ()).ok_or_else(|| not_running(&path.item))?;
    // In a task of its own: what is written down has to be told, also when the sidecar goes meanwhile.
    let reporting = tokio::spawn(async move {
        let (job, attempt, report) = (path.item, claims.attempt, Box::new(result.clone()));
        build.command(BuildCommand::ReportEnd { job: job.clone(), attempt, report }).await?;
        build.pod(&job, |pod| pod.report.take().map(|reported| reported.send(result)));
        Ok::<_, Refused>(())
    });
    reporting.await.unwrap_or(Err(Refused::Over(BuildOver)))?;
    Ok(StatusCode::NO_CONTENT)
}

fn not_running(job: &str) -> Refusal {
    Refusal::not_found(format!("job {job:?} does not run now"))
}
