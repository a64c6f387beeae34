//! What the script asks for.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, BuildInfo, NewEvent, NewReport};
use monkeyci_build::EventBody;
use serde::de::DeserializeOwned;

use super::Api;
use super::admit::{BuildPath, admit};
use super::problem::Refusal;
use crate::live::LiveBuild;

/// The longest name of an event, in characters.
const NAME_LIMIT: usize = 128;
/// The most bytes of an event's payload, and of a report's message.
const TEXT_LIMIT: usize = 64 * 1024;

pub(crate) async fn read_build(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Json<BuildInfo>, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ReadBuild)?;
    let info = build.info.get().cloned();
    info.map(Json).ok_or_else(|| Refusal::not_found("the code has not been checked out yet"))
}

pub(crate) async fn publish_event(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::PublishEvent)?;
    let NewEvent { name, payload } = parse(&body)?;
    check_event(&build, &name, &payload)?;
    let job = claims.role.job().map(str::to_owned);
    build.record(EventBody::ScriptEvent { job, name, payload }).await.map_err(Refusal::build_over)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks an event's name and payload, and takes them off what the build may write down.
pub(crate) fn check_event(build: &LiveBuild, name: &str, payload: &str) -> Result<(), Refusal> {
    let length = name.chars().count();
    if !(1..=NAME_LIMIT).contains(&length) || name.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!(
            "an event's name has 1 to {NAME_LIMIT} characters and no control characters; this one has {length}"
        )));
    }
    check_length("an event's payload", payload)?;
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(payload) {
        return Err(Refusal::invalid(format!("the payload of event {name:?} is not JSON: {error}")));
    }
    // Whoever waits for the event would wait for another name, and read something else than was published.
    let found = build.masking.find(name).map(|secret| ("name", secret));
    let found = found.or_else(|| build.masking.json(payload).err().map(|secret| ("payload", secret)));
    if let Some((what, secret)) = found {
        return Err(Refusal::invalid(format!(
            "the {what} of the event has the value of the secret {secret:?} in it, where it can't be masked; leave it out, \
             or put it into a string of the payload"
        )));
    }
    check_words(build, name.len() + payload.len())
}

pub(crate) async fn add_report(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::AddReport)?;
    let NewReport { message } = parse(&body)?;
    check_length("a report's message", &message)?;
    check_words(&build, message.len())?;
    let job = claims.role.job().map(str::to_owned);
    build.record(EventBody::ScriptReport { job, message }).await.map_err(Refusal::build_over)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("the body is not what it should be: {error}")))
}

fn check_words(build: &LiveBuild, bytes: usize) -> Result<(), Refusal> {
    if build.take_words(bytes) {
        return Ok(());
    }
    Err(Refusal::too_many("the build's events and reports have reached their limit of 16 MiB"))
}

fn check_length(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() <= TEXT_LIMIT {
        return Ok(());
    }
    Err(Refusal::too_large(format!("{what} has at most {TEXT_LIMIT} bytes; this one has {}", text.len())))
}
