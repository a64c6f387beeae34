//! Jobs that an action adds to the build, and waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, NewJobs, WaitQuery, Waited};
use monkeyci_build::{BuildState, EventBody, check_submitted};
use tokio::time::{Instant, timeout_at};

use super::admission::{BuildPath, admit};
use super::{Api, LONGEST_WAIT};
use crate::running::LiveBuild;
use crate::serve::{Refusal, parse};

pub(crate) async fn submit(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::SubmitJobs)?;
    let NewJobs { jobs } = parse(&body)?;
    if jobs.is_empty() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let by = claims.role.job().unwrap_or_default().to_owned();
    // One at a time: two submissions at once could both take an id.
    let _turn = build.submitting.lock().await;
    let checked = check_submitted(build.state().graph(), &jobs);
    let jobs = checked.map_err(|faults| Refusal::invalid(format!("the jobs can't be added: {faults}")))?;
    let faults = build.secret_faults(&jobs);
    if !faults.is_empty() {
        return Err(Refusal::invalid(format!("the jobs can't be added: {faults}")));
    }
    if jobs.iter().any(|job| job.container().is_some()) {
        build.pack_workspace(&api.blobs).await.map_err(|error| Refusal::store("the workspace", error))?;
    }
    build.record(EventBody::JobsSubmitted { by, jobs }).await.map_err(Refusal::build_over)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn wait(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Waited>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::WaitForJobs)?;
    let query: WaitQuery = parse(&body)?;
    let own = claims.role.job().unwrap_or_default();
    if query.jobs.is_empty() {
        return Err(Refusal::invalid("there is no job to wait for"));
    }
    if query.jobs.iter().any(|job| job == own) {
        return Err(Refusal::invalid(format!("{own:?} would wait for itself")));
    }
    let mut last = build.last_seq();
    if let Some(over) = first_over(&build, &query.jobs)? {
        return Ok(Json(Waited { over: Some(over) }));
    }
    let _waits = if query.forever { Some(Waiting::begin(&build, own, &query.jobs)?) } else { None };
    let end = Instant::now() + Duration::from_millis(query.wait_ms).min(LONGEST_WAIT);
    if query.wait_ms > 0 && build.starts_waiting(own) {
        build.record(EventBody::JobWaiting { job: own.to_owned() }).await.map_err(Refusal::build_over)?;
    }
    loop {
        last.mark_unchanged();
        let over = first_over(&build, &query.jobs)?;
        if over.is_some() || !matches!(timeout_at(end, last.changed()).await, Ok(Ok(()))) {
            return Ok(Json(Waited { over }));
        }
    }
}

/// An action that waits without a limit, for as long as this lives.
struct Waiting<'a> {
    build: &'a LiveBuild,
    job: &'a str,
}

impl<'a> Waiting<'a> {
    fn begin(build: &'a LiveBuild, job: &'a str, others: &[String]) -> Result<Self, Refusal> {
        let begun = build.waits().begin(&build.state(), job, others);
        begun.map_err(|circle| Refusal::invalid(circle.to_string()))?;
        Ok(Self { build, job })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.build.waits().end(self.job);
    }
}

/// There is no such job, or not any more.
pub(super) fn no_job(state: &BuildState, job: &str) -> Refusal {
    Refusal::not_found(match state.removed(job) {
        Some(reason) => format!("the job {job:?} was removed by a condition of the script: {reason}"),
        None => format!("the build has no job {job:?}"),
    })
}

fn first_over(build: &LiveBuild, jobs: &[String]) -> Result<Option<String>, Refusal> {
    let state = build.state();
    for job in jobs {
        match state.job(job) {
            Some(known) if known.status.is_final() => return Ok(Some(job.clone())),
            Some(_) => {}
            None => return Err(no_job(&state, job)),
        }
    }
    Ok(None)
}
