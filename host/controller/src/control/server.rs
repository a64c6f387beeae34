//! The build's side: what it answers on its socket.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::StatusCode;
use monkeyci_build::BuildCommand;
use monkeyci_storage::Blobs;

use super::{Continue, Decision, OutsideEvent, SOCKET, following};
use crate::error::ControllerError;
use crate::home::make_dir;
use crate::running::{BuildHandle, check_event};
use crate::serve::{Listener, Refusal, parse};

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) live: Arc<BuildHandle>,
    pub(crate) blobs: Blobs,
}

/// Makes a build reachable, in its own directory, until the listener is dropped.
pub(crate) fn listen(dir: &Path, inside: Inside) -> Result<Listener, ControllerError> {
    let dir = dir.join("control");
    make_dir(&dir).map_err(|source| ControllerError::Home { path: dir.clone(), source })?;
    let router = Router::new()
        .route("/decisions", post(decide))
        .route("/continues", post(let_go_on))
        .route("/events", post(publish))
        .route("/cancel", post(stop))
        .route("/logs", post(following::logs))
        .with_state(inside);
    Listener::unix(&dir, SOCKET, router)
}

async fn decide(State(inside): State<Inside>, body: Bytes) -> Result<StatusCode, Refusal> {
    let Decision { job, by, comment, approved } = parse(&body)?;
    inside.live.command(BuildCommand::Decide { job, by, comment, approved }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn let_go_on(State(inside): State<Inside>, body: Bytes) -> Result<StatusCode, Refusal> {
    let Continue { job, by } = parse(&body)?;
    inside.live.command(BuildCommand::Continue { job, by }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn publish(State(inside): State<Inside>, body: Bytes) -> Result<StatusCode, Refusal> {
    let OutsideEvent { by, name, payload } = parse(&body)?;
    check_event(&inside.live, &name, &payload)?;
    inside.live.command(BuildCommand::PublishFromOutside { by, name, payload }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(State(inside): State<Inside>) -> Result<Json<()>, Refusal> {
    inside.live.command(BuildCommand::Cancel { by: "monkeyci-host cancel".to_owned() }).await?;
    Ok(Json(()))
}
