//! Tokens: made, listed, removed.

use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;

use super::Call;
use super::repositories::check_name;
use super::wire::{AddedToken, NewTokenBody, TokenBody, Tokens};
use crate::Server;
use crate::budget::MAX_TOKENS;
use crate::refusal::Refusal;
use crate::store::TokenRow;
use crate::tokens::NewToken;

pub(super) async fn list(server: &Server) -> Result<Response, Refusal> {
    let tokens = server.0.store.tokens(None).await?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(body).collect() }).into_response())
}

pub(super) async fn add(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let NewTokenBody { name, scopes, repository, expires_ms } = call.json()?;
    check_name("token", &name)?;
    if scopes.is_empty() {
        return Err(Refusal::invalid("a token without scopes opens nothing: give read, trigger, approve or admin"));
    }
    let made_ms = server.0.host.day_ms();
    if expires_ms.is_some_and(|ends| ends <= made_ms || i64::try_from(ends).is_err()) {
        return Err(Refusal::invalid("expires_ms is in milliseconds since the Unix epoch, and still to come"));
    }
    let repository = match repository {
        None => None,
        Some(name) => {
            let found = server.0.store.repository(&name).await?;
            let none = || Refusal::invalid(format_args!("there is no repository {name:?}"));
            Some((found.ok_or_else(none)?.id, name))
        }
    };
    if server.0.store.tokens(None).await?.len() >= MAX_TOKENS as usize {
        return Err(Refusal::conflict(format_args!(
            "there are {MAX_TOKENS} tokens, as many as there may be; remove one"
        )));
    }
    let NewToken { id, digest, text } = NewToken::draw();
    let row = TokenRow { id, name, digest: digest.to_vec(), scopes, repository, made_ms, ends_ms: expires_ms };
    server.0.store.add_token(&row).await?;
    Ok((StatusCode::CREATED, Json(AddedToken { description: body(row), token: text })).into_response())
}

pub(super) async fn remove(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let id = call.name("token");
    match server.0.store.remove_token(id).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Refusal::not_found(format_args!("there is no token {id:?}; tokens are called by their ids"))),
    }
}

fn body(row: TokenRow) -> TokenBody {
    let TokenRow { id, name, digest: _, scopes, repository, made_ms, ends_ms } = row;
    TokenBody { id, name, scopes, repository: repository.map(|(_, name)| name), made_ms, expires_ms: ends_ms }
}
