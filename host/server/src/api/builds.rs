//! Builds: asked for, listed, shown, their artifacts; and what people say to them.

use axum::body::Body;
use axum::response::{IntoResponse, Json, Response};
use futures::StreamExt;
use http::{HeaderValue, StatusCode, header};
use monkeyci_build::Given;
use monkeyci_controller::{BuildsError, Decision, Standing};
use serde::Deserialize;

use super::streams::slot;
use super::wire::{Artifacts, BuildBody, Builds, DecisionBody, NewBuild, ShownBuild};
use super::{Call, Paged};
use crate::Server;
use crate::budget::{LONGEST_KEY, WAITING};
use crate::refusal::Refusal;
use crate::starting::build_id;
use crate::store::{Asked, AskedBuild, BuildFilter, State, Taken};
use crate::tokens::drawn;

pub(super) async fn trigger(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let NewBuild { branch, tag, commit, params } = call.json()?;
    let repository = call.repository()?;
    let key = call.header("idempotency-key")?;
    if key.is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(Refusal::invalid(format_args!("an Idempotency-Key has 1 to {LONGEST_KEY} characters")));
    }
    let key = key.map_or_else(|| format!("drawn/{}", drawn()), |key| format!("given/{key}"));
    let is_commit = |id: &str| (7..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let reference = match (&branch, &tag, commit) {
        (None, None, None) => None,
        (_, _, Some(commit)) if is_commit(&commit) => Some(commit),
        (_, _, Some(commit)) => return Err(Refusal::invalid(format_args!("{commit:?} is no commit's id"))),
        (Some(branch), None, None) => Some(format!("refs/heads/{branch}")),
        (None, Some(tag), None) => Some(format!("refs/tags/{tag}")),
        (Some(_), Some(_), None) => {
            return Err(Refusal::invalid("name a branch or a tag; or a commit, and of which branch or tag it is"));
        }
    };
    let mut given = Given { branch, tag, ..Given::default() };
    given.check().map_err(Refusal::invalid)?;
    if reference.as_ref().is_some_and(|reference| reference.starts_with("refs/")) {
        // The code is found by the name, so that nobody has to say it.
        given = Given::default();
    }
    let (key, trigger) = (format!("{}/{key}", repository.id), "api".to_owned());
    let asked = Asked { key, trigger, reference, params, given, origin: None };
    let build = build_id(server, repository, &asked.key);
    let taken = server.0.store.take_build((repository.id, &build, &asked), server.0.host.day_ms(), WAITING).await?;
    match taken {
        Taken::New => server.0.starting.wake(),
        // Whoever took it may have told nobody.
        Taken::Before(before) if before.asked == asked => server.0.starting.wake(),
        Taken::Before(_) => {
            return Err(Refusal::other_request(
                "something else was asked for with this Idempotency-Key; take another one",
            ));
        }
        Taken::Full { of_repository } => return Err(Refusal::full(of_repository)),
    }
    let row = server.0.store.build(&build).await?.ok_or_else(|| Refusal::failed("a build is gone", &build))?;
    Ok((StatusCode::ACCEPTED, Json(told(server, row).await?)).into_response())
}

pub(super) async fn list(server: &Server, call: &Call) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        repository: Option<String>,
        branch: Option<String>,
        cursor: Option<String>,
        limit: Option<u32>,
    }
    let Wanted { repository, branch, cursor, limit } = call.query()?;
    let (before, limit) = Paged { cursor, limit }.read()?;
    let grant = call.grant()?;
    let repository = match repository {
        None => grant.repository,
        Some(name) => {
            let found = server.0.store.repository(&name).await?.map(|repository| repository.id);
            grant.is_for(found)?;
            found
        }
    };
    let found = server.0.store.builds(&BuildFilter { repository, branch, before, limit }).await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.number.to_string());
    let mut builds = Vec::new();
    for row in found {
        builds.push(body(server, row).await?);
    }
    Ok(Json(Builds { builds, next }).into_response())
}

pub(super) async fn show(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let row = call.build()?.clone();
    let record = match row.state {
        State::Begun => match server.0.host.build(&row.build).await {
            Ok(build) => Some(build.record().await?),
            // What is old is removed.
            Err(BuildsError::NoBuild { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        _ => None,
    };
    Ok(Json(ShownBuild { build: told(server, row).await?, record }).into_response())
}

pub(super) async fn artifacts(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let row = call.build()?;
    let artifacts = match row.state {
        State::Begun => server.0.host.build(&row.build).await?.record().await?.artifacts().cloned().collect(),
        _ => Vec::new(),
    };
    Ok(Json(Artifacts { artifacts }).into_response())
}

pub(super) async fn artifact(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let (row, id) = (call.build()?, call.name("artifact"));
    let slot = slot(server)?;
    let (record, bytes) = server.0.host.build(&row.build).await?.artifact(id).await?;
    // As long as somebody reads.
    let bytes = bytes.inspect(move |_| _ = &slot);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zstd")),
        (header::CONTENT_LENGTH, HeaderValue::from(record.size)),
        // What a job made is no page of this server's.
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

pub(super) async fn decide(server: &Server, call: &Call, approved: bool) -> Result<Response, Refusal> {
    let DecisionBody { comment } = call.json()?;
    let row = call.build()?;
    if row.state != State::Begun {
        return Err(Refusal::conflict(format_args!(
            "the build {} has no jobs: it is {}",
            row.build,
            row.state.as_str()
        )));
    }
    let decision = Decision { job: call.name("job").to_owned(), by: call.grant()?.by(), comment, approved };
    server.0.host.build(&row.build).await?.decide(decision).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn cancel(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let (row, by) = (call.build()?, call.grant()?.by());
    let reason = format!("cancelled by {by}");
    if server.0.starting.cancel(server, row, &reason).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // The host has it, or has it in a moment: then it stands in its journal that it is cancelled, before that is answered.
    match server.begun(&row.build).await? {
        Some(build) => build.cancel(&by).await?,
        None => return Err(Refusal::conflict(format_args!("the build {} is over", row.build))),
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// How a build ended that has begun; `None` if it goes on. Who has looked once need not read its journal again; one that can't be read may be
/// readable another time.
pub(super) async fn ended(server: &Server, row: &AskedBuild) -> Result<Option<String>, Refusal> {
    if row.ended.is_some() {
        return Ok(row.ended.clone());
    }
    let looked = match server.0.host.build(&row.build).await {
        Ok(build) => build.standing().await,
        // What is old is removed.
        Err(BuildsError::NoBuild { .. }) => Ok(Standing::Unreadable),
        Err(error) => Err(error),
    };
    let standing = match looked {
        Ok(standing) => standing,
        Err(error) => {
            tracing::warn!(%error, build = row.build, "a build can't be read");
            return Ok(Some(Standing::Unreadable.as_str().to_owned()));
        }
    };
    match standing {
        Standing::Running | Standing::Lost => Ok(None),
        standing => {
            server.0.store.build_ended(row.number, standing.as_str()).await?;
            Ok(Some(standing.as_str().to_owned()))
        }
    }
}

/// The same, of one build: with why it waits, if it does.
async fn told(server: &Server, row: AskedBuild) -> Result<BuildBody, Refusal> {
    let waits = match row.state {
        State::Waiting => Some(server.0.starting.waits(server, &row).await?),
        _ => None,
    };
    let body = body(server, row).await?;
    Ok(BuildBody { reason: waits.or(body.reason), ..body })
}

async fn body(server: &Server, row: AskedBuild) -> Result<BuildBody, Refusal> {
    let status = match row.state {
        State::Begun => ended(server, &row).await?.unwrap_or_else(|| Standing::Running.as_str().to_owned()),
        state => state.as_str().to_owned(),
    };
    let AskedBuild { build, repository_name, asked, reason, commit, branch, accepted_ms, .. } = row;
    let tag = asked.tag().map(str::to_owned);
    Ok(BuildBody {
        build,
        repository: repository_name,
        status,
        reason,
        trigger: asked.trigger,
        branch,
        tag,
        commit,
        accepted_ms,
    })
}
