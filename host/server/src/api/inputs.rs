//! Parameters and secrets: set, listed, removed; and which builds were given which.

use axum::response::{IntoResponse, Json, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;

use super::repositories::{check_label, check_name};
use super::wire::{InputBody, Inputs, NewInputBody, UseBody, Uses};
use super::{Call, Paged};
use crate::Server;
use crate::budget::{LONGEST_VALUE, MAX_HOLDING, MAX_INPUTS};
use crate::origin::Origin;
use crate::pattern::Pattern;
use crate::refusal::Refusal;
use crate::store::{self, InputKind, InputRow, Kept, NewInput, Place};

/// The place that a request is about: of the repository that its path names, or of all.
fn place(
    call: &Call,
    (label, branch, event): (Option<String>, Option<Pattern>, Option<Origin>),
) -> Result<Place, Refusal> {
    let repository = call.let_in.repository.as_ref().map(|repository| repository.id);
    if let Some(label) = &label {
        check_label(label)?;
        if repository.is_some() {
            return Err(Refusal::invalid("a label tells repositories apart; what is kept for one repository has none"));
        }
    }
    Ok(Place { repository, label, branch, event })
}

pub(super) async fn set(server: &Server, call: &Call, kind: InputKind) -> Result<Response, Refusal> {
    let NewInputBody { value, base64, label, branch, event, reveal } = call.hidden_json()?;
    let name = call.name("name");
    check_name(kind.as_str(), name)?;
    let place = place(call, (label, branch, event))?;
    let value = match (value, base64) {
        (Some(value), None) => value.0.into_bytes(),
        // What is wrong with it is not said: it would show something of it.
        (None, Some(text)) if kind == InputKind::Secret => {
            STANDARD.decode(text.0).map_err(|_| Refusal::invalid("`base64` is no base64, with its padding"))?
        }
        _ if kind == InputKind::Secret => return Err(Refusal::invalid("give the secret as `value` or as `base64`")),
        _ => return Err(Refusal::invalid("a parameter is a text: give it as `value`")),
    };
    if value.len() > LONGEST_VALUE {
        return Err(Refusal::too_large(format_args!("a value has at most {LONGEST_VALUE} bytes")));
    }
    if value.is_empty() && kind == InputKind::Secret {
        return Err(Refusal::invalid("a secret that is empty is none"));
    }
    if reveal && kind == InputKind::Param {
        return Err(Refusal::invalid("scripts read all parameters: `reveal` is for secrets"));
    }
    look_after(server).await?;
    let (set_by, set_ms) = (call.grant()?.by(), server.0.host.day_ms());
    let new = NewInput { kind, name, place: &place, value: &value, reveal, set_by: &set_by, set_ms };
    match server.0.store.set_input(&new, MAX_INPUTS).await? {
        Kept::New | Kept::Instead => {
            tracing::info!(name, by = set_by, repository = place.repository, "a {} was set", kind.as_str());
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Kept::Full => Err(Refusal::conflict(format_args!(
            "{MAX_INPUTS} parameters and secrets are kept here, as many as there may be, with those that were replaced and builds still have"
        ))),
    }
}

pub(super) async fn list(server: &Server, call: &Call, kind: InputKind) -> Result<Response, Refusal> {
    let repository = call.let_in.repository.as_ref().map(|repository| repository.id);
    let rows = server.0.store.inputs(kind, repository).await?;
    let shown = |row: InputRow| {
        // Jobs and journals show parameters; of a secret nobody is told.
        let value = match kind {
            InputKind::Param => Some(String::from_utf8_lossy(&server.0.store.value(&row)?).into_owned()),
            InputKind::Secret => None,
        };
        let InputRow { name, place: Place { repository: _, label, branch, event }, reveal, set_by, set_ms, .. } = row;
        Ok(InputBody { name, value, label, branch, event, reveal, set_by, set_ms })
    };
    let inputs = rows.into_iter().map(shown).collect::<Result<_, Refusal>>()?;
    Ok(Json(Inputs { inputs }).into_response())
}

pub(super) async fn remove(server: &Server, call: &Call, kind: InputKind) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        label: Option<String>,
        branch: Option<Pattern>,
        event: Option<Origin>,
    }
    let Wanted { label, branch, event } = call.query()?;
    let (name, place) = (call.name("name"), place(call, (label, branch, event))?);
    look_after(server).await?;
    match server.0.store.remove_input(kind, name, &place, server.0.host.day_ms()).await? {
        true => {
            let (by, kind) = (call.grant()?.by(), kind.as_str());
            tracing::info!(name, by, repository = place.repository, "a {kind} was removed");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        false => Err(Refusal::not_found(format_args!(
            "there is no {} {name:?} with just this label, branch and event",
            kind.as_str()
        ))),
    }
}

/// Looks which of the builds have ended that hold what was replaced or removed: it goes with them.
async fn look_after(server: &Server) -> Result<(), Refusal> {
    for build in server.0.store.holding(MAX_HOLDING).await? {
        super::builds::ended(server, &build).await?;
    }
    Ok(())
}

/// Which builds were given what: the build that the path names, those of a repository, or all.
pub(super) async fn uses(server: &Server, call: &Call) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        name: Option<String>,
        cursor: Option<String>,
        limit: Option<u32>,
    }
    let Wanted { name, cursor, limit } = call.query()?;
    let (before, limit) = Paged { cursor, limit }.read()?;
    let build = call.let_in.build.as_ref().map(|build| build.build.as_str());
    let repository = call.let_in.repository.as_ref().map(|repository| repository.id);
    let found = server.0.store.uses((build, repository, name.as_deref()), before, limit).await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.number.to_string());
    let body = |one: store::Use| {
        let store::Use { number: _, build, kind, name, place, set_ms } = one;
        let Place { repository, label, branch, event } = place;
        UseBody { build, kind, name, of_repository: repository.is_some(), label, branch, event, set_ms }
    };
    Ok(Json(Uses { uses: found.into_iter().map(body).collect(), next }).into_response())
}
