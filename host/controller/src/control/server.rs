//! The host's side: what it answers on its socket.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use futures::future::BoxFuture;
use http::StatusCode;
use monkeyci_build::BuildCommand;
use monkeyci_storage::Blobs;
use serde::de::DeserializeOwned;

use super::{Continue, Decision, Nothing, OfBuild, OutsideEvent, SOCKET, following};
use crate::error::ControllerError;
use crate::running::{BuildHandle, check_event};
use crate::serve::{Listener, Refusal, parse};

/// A build that is driven here, for as long as this is there.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) live: Arc<BuildHandle>,
    pub(crate) blobs: Blobs,
    /// Keeps it from being parked.
    pub(crate) _driven: Arc<dyn Any + Send + Sync>,
}

/// Why a build is not reached here.
#[derive(Debug)]
pub(crate) enum NotReached {
    /// This process does not drive it.
    NotHere,
    /// It can't be driven now.
    Refused(String),
}

impl From<NotReached> for Refusal {
    fn from(why: NotReached) -> Self {
        match why {
            NotReached::NotHere => Self::not_here("the build does not run in this process"),
            NotReached::Refused(reason) => Self::conflict(reason),
        }
    }
}

/// Who drives the builds of this process.
pub(crate) trait Driving: Send + Sync + 'static {
    /// A build; one that is parked is brought back first.
    fn reach<'a>(&'a self, build: &'a str) -> BoxFuture<'a, Result<Inside, NotReached>>;

    /// Stops a build, also one that can't be brought back.
    fn cancel<'a>(&'a self, build: &'a str, by: &'a str) -> BoxFuture<'a, Result<(), Refusal>>;
}

type Host = State<Arc<dyn Driving>>;

/// Makes the builds of a process reachable, in its own directory, until the listener is dropped.
pub(crate) fn listen(dir: &Path, driving: Arc<dyn Driving>) -> Result<Listener, ControllerError> {
    let router = Router::new()
        .route("/decisions", post(decide))
        .route("/continues", post(let_go_on))
        .route("/events", post(publish))
        .route("/cancel", post(stop))
        .route("/logs", post(following::logs))
        .with_state(driving);
    Listener::unix_of_host(dir, SOCKET, router)
}

/// The build that a request names, and what it asks of that.
pub(super) async fn asked<T: DeserializeOwned>(driving: &dyn Driving, body: &Bytes) -> Result<(Inside, T), Refusal> {
    let OfBuild::<String, T> { build, what } = parse(body)?;
    Ok((driving.reach(&build).await?, what))
}

async fn decide(State(host): Host, body: Bytes) -> Result<StatusCode, Refusal> {
    let (inside, Decision { job, by, comment, approved }) = asked(&*host, &body).await?;
    inside.live.command(BuildCommand::Decide { job, by, comment, approved }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn let_go_on(State(host): Host, body: Bytes) -> Result<StatusCode, Refusal> {
    let (inside, Continue { job, by }) = asked(&*host, &body).await?;
    inside.live.command(BuildCommand::Continue { job, by }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn publish(State(host): Host, body: Bytes) -> Result<StatusCode, Refusal> {
    let (inside, OutsideEvent { by, name, payload }) = asked(&*host, &body).await?;
    check_event(&inside.live, &name, &payload)?;
    inside.live.command(BuildCommand::PublishFromOutside { by, name, payload }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(State(host): Host, body: Bytes) -> Result<StatusCode, Refusal> {
    let OfBuild::<String, Nothing> { build, what: _ } = parse(&body)?;
    host.cancel(&build, "monkeyci-host cancel").await?;
    Ok(StatusCode::NO_CONTENT)
}
