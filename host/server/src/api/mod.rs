//! The public API: each request is let in by the table of routes, its body is read, and then its handler is asked.

mod builds;
mod inputs;
mod repositories;
mod streams;
#[cfg(test)]
mod tests;
mod tokens;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::RequestExt;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, RawPathParams, Request};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::on;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::Server;
use crate::access::{Grant, Reach};
use crate::budget::{BODY_TIME, FREE_BODY, SCRIPT};
use crate::openapi;
use crate::refusal::Refusal;
use crate::routes::{Access, ROUTES, Route, RouteId, Takes};
use crate::store::InputKind::{Param, Secret};
use crate::store::{AskedBuild, Repository};
use crate::tokens as token_text;
use crate::webhooks;

/// A request that was let in.
pub(crate) struct Call {
    let_in: LetIn,
    path: BTreeMap<String, String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    /// As long as somebody has the body.
    _memory: Option<OwnedSemaphorePermit>,
}

/// Whom a request is from, and what it is about.
#[derive(Debug, Default)]
pub(crate) struct LetIn {
    grant: Option<Grant>,
    repository: Option<Repository>,
    build: Option<AskedBuild>,
}

/// The router, from the table.
pub(crate) fn router(server: &Server) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let server = server.clone();
        let answer = async move |request: Request| -> Response {
            respond(&server, route, request).await.unwrap_or_else(IntoResponse::into_response)
        };
        router = router.route(route.path, on(route.verb.filter(), answer));
    }
    let none =
        async || Refusal::not_found("the public API has no such path; /api/v1/openapi.json lists those that it has");
    router.fallback(none).method_not_allowed_fallback(async || Refusal::no_such_method())
}

async fn respond(server: &Server, route: &'static Route, mut request: Request) -> Result<Response, Refusal> {
    let params: RawPathParams =
        request.extract_parts().await.map_err(|_| Refusal::invalid("the path is not UTF-8 when it is decoded"))?;
    let path = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (parts, body) = request.into_parts();
    let let_in = let_in(server, route, &path, &parts.headers).await?;
    let budget = match route.access {
        Access::Signed => {
            // Whoever shows nothing like a signature takes no memory.
            webhooks::signature(&parts.headers)?;
            &server.0.hooks
        }
        _ => &server.0.bodies,
    };
    let (body, memory) = read(route.takes, &parts.headers, body, budget).await?;
    let call = Call { let_in, path, uri: parts.uri, headers: parts.headers, body, _memory: memory };
    // What is begun is done to its end, also when whoever asked for it has gone: the database may have taken it by then, and what follows from
    // that has to be done too.
    let answered = tokio::spawn(answer(server.clone(), route.id, call)).await;
    answered.unwrap_or_else(|error| Err(Refusal::failed("a request was not answered", error)))
}

async fn answer(server: Server, route: RouteId, call: Call) -> Result<Response, Refusal> {
    let (server, call) = (&server, &call);
    match route {
        RouteId::Health => Ok(Json(wire::Health { status: "ok" }).into_response()),
        RouteId::Ready => ready(server).await,
        RouteId::OpenApi => Ok(Json(openapi::document()).into_response()),
        RouteId::ListRepositories => repositories::list(server, call).await,
        RouteId::AddRepository => repositories::add(server, call).await,
        RouteId::ShowRepository => repositories::show(call),
        RouteId::RemoveRepository => repositories::remove(server, call).await,
        RouteId::StoreScript => repositories::store_script(server, call).await,
        RouteId::SetLabels => repositories::set_labels(server, call).await,
        RouteId::ListDeliveries => repositories::deliveries(server, call).await,
        RouteId::TriggerBuild => builds::trigger(server, call).await,
        RouteId::ListBuilds => builds::list(server, call).await,
        RouteId::ShowBuild => builds::show(server, call).await,
        RouteId::ReadEvents => streams::events(server, call).await,
        RouteId::ReadLogs => streams::logs(server, call).await,
        RouteId::ListArtifacts => builds::artifacts(server, call).await,
        RouteId::ReadArtifact => builds::artifact(server, call).await,
        RouteId::ApproveJob => builds::decide(server, call, true).await,
        RouteId::RejectJob => builds::decide(server, call, false).await,
        RouteId::CancelBuild => builds::cancel(server, call).await,
        RouteId::ListParams | RouteId::ListParamsOf => inputs::list(server, call, Param).await,
        RouteId::SetParam | RouteId::SetParamOf => inputs::set(server, call, Param).await,
        RouteId::RemoveParam | RouteId::RemoveParamOf => inputs::remove(server, call, Param).await,
        RouteId::ListSecrets | RouteId::ListSecretsOf => inputs::list(server, call, Secret).await,
        RouteId::SetSecret | RouteId::SetSecretOf => inputs::set(server, call, Secret).await,
        RouteId::RemoveSecret | RouteId::RemoveSecretOf => inputs::remove(server, call, Secret).await,
        RouteId::ListUses | RouteId::ListUsesOf | RouteId::ListInputsOfBuild => inputs::uses(server, call).await,
        RouteId::ListTokens => tokens::list(server).await,
        RouteId::AddToken => tokens::add(server, call).await,
        RouteId::RemoveToken => tokens::remove(server, call).await,
        RouteId::GitHubWebhook => webhooks::github(server, call.name("repository"), &call.headers, &call.body).await,
    }
}

/// Whether whoever asks may go to a route, before anything of the body is read.
async fn let_in(
    server: &Server,
    route: &Route,
    path: &BTreeMap<String, String>,
    headers: &HeaderMap,
) -> Result<LetIn, Refusal> {
    let Access::Token(scope, reach) = route.access else { return Ok(LetIn::default()) };
    let grant = bearer(server, headers).await?;
    grant.allows(scope, reach)?;
    let name = |name: &str| path.get(name).map(String::as_str).unwrap_or_default();
    let mut let_in = LetIn::default();
    match reach {
        Reach::Server | Reach::Own => {}
        Reach::Repository => {
            let_in.repository = server.0.store.repository(name("repository")).await?;
            grant.is_for(let_in.repository.as_ref().map(|repository| repository.id))?;
        }
        Reach::Build => {
            let id = format!("{}/{}/{}", name("org"), name("repo"), name("build"));
            let_in.build = server.0.store.build(&id).await?;
            grant.is_for(let_in.build.as_ref().map(|build| build.repository))?;
        }
    }
    let_in.grant = Some(grant);
    Ok(let_in)
}

/// What the token of a request allows.
async fn bearer(server: &Server, headers: &HeaderMap) -> Result<Grant, Refusal> {
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = told.and_then(|told| told.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(Refusal::unauthorised("this takes a token: send `Authorization: Bearer mci_…`"));
    };
    let unknown = || Refusal::unauthorised("the token is none of this server's, or is over");
    let (id, digest) = token_text::parse(token.trim()).ok_or_else(unknown)?;
    let known = server.0.store.tokens(Some(id)).await?.pop().ok_or_else(unknown)?;
    if !token_text::same(&known.digest, &digest) || known.is_over(server.0.host.day_ms()) {
        return Err(unknown());
    }
    Ok(Grant { name: known.name, scopes: known.scopes, repository: known.repository.map(|(id, _)| id) })
}

/// Reads a body, when there is memory for it.
async fn read(
    takes: Takes,
    headers: &HeaderMap,
    body: Body,
    budget: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let (kind, most) = match takes {
        Takes::None => return Ok((Bytes::new(), None)),
        Takes::Body(_, most) => ("application/json", most),
        Takes::Script => ("application/wasm", SCRIPT),
    };
    let told: Option<usize> = headers.get(header::CONTENT_LENGTH).and_then(|told| told.to_str().ok()?.parse().ok());
    if told.is_some_and(|told| told > most) {
        return Err(too_large(most));
    }
    if told == Some(0) && matches!(takes, Takes::Body("NewBuild" | "Decision", _)) {
        // All that they may say may be left out.
        return Ok((Bytes::from_static(b"{}"), None));
    }
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    if !said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind) {
        return Err(Refusal::wrong_type(format_args!("this takes a body of the type {kind}")));
    }
    let read = timeout(BODY_TIME, held(body, (most, FREE_BODY), budget)).await;
    read.map_err(|_| Refusal::too_slow("the body did not come in time"))?
}

/// A body, and the memory that it has. That is taken as the body comes: whoever only says how much will come takes nothing from others. The first
/// bytes are free, so that small bodies are read whoever holds all the rest.
async fn held(
    body: Body,
    (most, free): (usize, usize),
    budget: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut memory) = (BytesMut::new(), None::<OwnedSemaphorePermit>);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::invalid("the body has broken off"))?;
        let size = bytes.len() + chunk.len();
        if size > most {
            return Err(too_large(most));
        }
        let taken = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(size.saturating_sub(free).div_ceil(1 << 10).saturating_sub(taken))
            .map_err(|_| too_large(most))?;
        let more = budget.clone().try_acquire_many_owned(more);
        let more = more.map_err(|_| Refusal::busy("there is no memory for the body at the moment"))?;
        match &mut memory {
            Some(memory) => memory.merge(more),
            None => memory = Some(more),
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes.freeze(), memory))
}

fn too_large(most: usize) -> Refusal {
    Refusal::too_large(format_args!("the body has more than {most} bytes"))
}

async fn ready(server: &Server) -> Result<Response, Refusal> {
    let closing = server.0.starting.closing.is_cancelled() || !server.0.host.is_open();
    if closing || server.0.store.is_there().await.is_err() {
        return Err(Refusal::busy("no builds are taken at the moment"));
    }
    Ok((StatusCode::OK, Json(wire::Health { status: "ready" })).into_response())
}

impl Call {
    /// What stands in the path at a name of the table's.
    fn name(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The repository that the path names. The table says that it does, or this is a fault of ours.
    fn repository(&self) -> Result<&Repository, Refusal> {
        self.let_in.repository.as_ref().ok_or_else(|| Refusal::failed("a route names no repository", &self.uri))
    }

    fn build(&self) -> Result<&AskedBuild, Refusal> {
        self.let_in.build.as_ref().ok_or_else(|| Refusal::failed("a route names no build", &self.uri))
    }

    fn grant(&self) -> Result<&Grant, Refusal> {
        self.let_in.grant.as_ref().ok_or_else(|| Refusal::failed("a route needs no token", &self.uri))
    }

    /// The body, which is JSON.
    fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::invalid(format_args!("the body: {error}")))
    }

    /// The same of a body with a secret in it: what is wrong with it is not shown.
    fn hidden_json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Refusal::invalid(format_args!("the body is not as it should be, at line {line} and column {column} of it"))
        })
    }

    fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let read = Query::try_from_uri(&self.uri).map(|Query(query)| query);
        read.map_err(|error| Refusal::invalid(format_args!("the query: {}", error.body_text())))
    }

    fn header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.headers.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(Refusal::invalid(format_args!("the header {name} is no text"))),
            },
        }
    }
}

/// A page of a list: where it goes on, and how many entries it has.
#[derive(Debug, serde::Deserialize)]
struct Paged {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl Paged {
    /// The number before which the page begins, and how many entries it has.
    fn read(&self) -> Result<(Option<i64>, u32), Refusal> {
        use crate::budget::{MAX_PAGE, PAGE};
        let cursor = self.cursor.as_deref().map(str::parse).transpose();
        let cursor = cursor.map_err(|_| Refusal::invalid("the cursor is none that a page has as `next`"))?;
        match self.limit.unwrap_or(PAGE) {
            limit @ 1..=MAX_PAGE => Ok((cursor, limit)),
            _ => Err(Refusal::invalid(format_args!("a page has 1 to {MAX_PAGE} entries"))),
        }
    }
}
