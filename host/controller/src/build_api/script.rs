//! What the script asks for.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, BuildInfo, NewEvent, NewReport};
use monkeyci_build::BuildCommand;

use super::Api;
use super::admission::{BuildPath, admit, asker};
use crate::running::{check_event, check_report};
use crate::serve::{Refusal, parse};

pub(crate) async fn read_build(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Json<BuildInfo>, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ReadBuild).await?;
    let info = build.info.get().cloned();
    info.map(Json).ok_or_else(|| Refusal::not_found("the code has not been checked out yet"))
}

pub(crate) async fn publish_event(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::PublishEvent).await?;
    let NewEvent { name, payload } = parse(&body)?;
    check_event(&build, &name, &payload)?;
    build.command(BuildCommand::Publish { by: asker(&claims), name, payload }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn add_report(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::AddReport).await?;
    let NewReport { message } = parse(&body)?;
    check_report(&message)?;
    build.command(BuildCommand::Report { by: asker(&claims), message }).await?;
    Ok(StatusCode::NO_CONTENT)
}
