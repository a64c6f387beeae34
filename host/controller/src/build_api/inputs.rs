//! What the build was given: parameters for every script; of secrets the names, and the bytes for those that may.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, Names, ParamValue, Revealed};
use monkeyci_build::BuildCommand;

use super::Api;
use super::admission::{BuildPath, ItemPath, admit, asker};
use crate::serve::Refusal;

pub(crate) async fn read_param(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<ParamValue>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path.build, Action::ReadParam(path.item.clone())).await?;
    // Whether one that was given is used by anybody is told at the end.
    if build.inputs.params.contains_key(&path.item) && !build.state().uses_param(Some(&path.item)) {
        build.command(BuildCommand::AskForParam { by: asker(&claims), param: Some(path.item.clone()) }).await?;
    }
    Ok(Json(ParamValue { value: build.inputs.params.get(&path.item).cloned() }))
}

pub(crate) async fn list_params(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Json<Names>, Refusal> {
    let (build, claims) = admit(&api, &headers, &path, Action::ListParams).await?;
    if !build.inputs.params.is_empty() && !build.state().uses_param(None) {
        build.command(BuildCommand::AskForParam { by: asker(&claims), param: None }).await?;
    }
    Ok(Json(Names { names: build.inputs.params.keys().cloned().collect() }))
}

pub(crate) async fn list_secrets(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
) -> Result<Json<Names>, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ListSecrets).await?;
    Ok(Json(Names { names: build.inputs.secrets.keys().cloned().collect() }))
}

pub(crate) async fn read_secret(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadSecret(path.item.clone())).await?;
    if build.inputs.secrets.contains_key(&path.item) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let looked = build.inputs.looked_for_secret();
    Err(Refusal::not_found(format!("there is no secret {:?}{looked}", path.item)))
}

pub(crate) async fn reveal(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<Revealed>, Refusal> {
    let admitted = admit(&api, &headers, &path.build, Action::RevealSecret(path.item.clone())).await;
    let (build, claims) = admitted.map_err(|refusal| {
        refusal.or_if_denied(|| {
            format!(
                "no action may read the secret {0:?}, but jobs can be handed it; whoever starts the build can allow it, \
                 with --reveal {0}",
                path.item
            )
        })
    })?;
    let found = build.inputs.secrets.get(&path.item).cloned();
    let value = found.ok_or_else(|| Refusal::not_found(format!("there is no secret {:?}", path.item)))?;
    tracing::info!(build = build.id, job = claims.role.job(), secret = path.item, "a script has read a secret");
    Ok(Json(Revealed { value }))
}
