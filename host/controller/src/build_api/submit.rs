//! Jobs that an action adds to the build, and waits for.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, NewJobs, WaitQuery, Waited};
use monkeyci_build::{BuildCommand, WaitFor};

use super::admission::{BuildPath, admit};
use super::{Api, wait_for};
use crate::running::SUBMITTED;
use crate::serve::{Refusal, parse};

pub(crate) async fn submit(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::SubmitJobs).await?;
    let NewJobs { jobs } = parse(&body)?;
    if jobs.is_empty() {
        return Ok(StatusCode::NO_CONTENT);
    }
    if !build.may_submit(body.len()) {
        let limit = SUBMITTED >> 20;
        return Err(Refusal::too_many(format!(
            "the jobs that the build's actions submit have reached their limit of {limit} MiB; hand large values on as artifacts"
        )));
    }
    let (job, attempt) = (claims.role.job().unwrap_or_default().to_owned(), claims.attempt);
    build.command(BuildCommand::Submit { job, attempt, jobs }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn wait(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Waited>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::WaitForJobs).await?;
    let query: WaitQuery = parse(&body)?;
    let own = claims.role.job().unwrap_or_default();
    let last = build.last_seq();
    let first_over = || Ok::<_, Refusal>(build.state().first_over(own, &query.jobs)?.map(str::to_owned));
    if let Some(over) = first_over()? {
        return Ok(Json(Waited { over: Some(over) }));
    }
    if query.wait_ms > 0 {
        let what = if query.forever { WaitFor::AnyOf(query.jobs.clone()) } else { WaitFor::ForATime };
        build.command(BuildCommand::Wait { job: own.to_owned(), attempt: claims.attempt, what }).await?;
    }
    Ok(Json(Waited { over: wait_for(last, query.wait_ms, first_over).await? }))
}
