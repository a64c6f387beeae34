//! The gate: who is asking, and may they?

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{TryStreamExt, stream};
use http::{HeaderMap, header};
use monkeyci_api::{Action, Claims, Denied, Operation, Standing};
use monkeyci_build::Asker;
use serde::Deserialize;
use tokio::time::timeout;

use super::{Api, Served};
use crate::running::BuildHandle;
use crate::serve::Refusal;

/// The build in a request's path.
#[derive(Debug, Deserialize)]
pub(crate) struct BuildPath {
    org: String,
    repo: String,
    build: String,
}

/// The build in a request's path, and what of it.
#[derive(Debug, Deserialize)]
pub(crate) struct ItemPath {
    #[serde(flatten)]
    pub(crate) build: BuildPath,
    /// A job, a parameter, a path, an artifact, a cache.
    #[serde(alias = "job", alias = "name", alias = "id", alias = "path")]
    pub(crate) item: String,
}

/// Checks the bearer's token, and whether it allows `action`. The order is fixed: no valid token, or one of an attempt that does not
/// run any more, 401; a token that does not allow it, 403; only then is looked whether the thing exists. A build that calls too often waits
/// here.
pub(crate) async fn admit(
    api: &Api,
    headers: &HeaderMap,
    path: &BuildPath,
    action: Action,
) -> Result<(Arc<BuildHandle>, Arc<Claims>), Refusal> {
    let operation = Operation { build: format!("{}/{}/{}", path.org, path.repo, path.build), action };
    let ask = || {
        let Bearer { served, claims, standing } = bearer(api, headers)?;
        monkeyci_api::admit(&claims, standing, &operation)?;
        // No token is for another build than its own.
        Ok::<_, Refusal>((served.ok_or(Denied::Over)?, claims))
    };
    let (served, claims) = ask()?;
    // What is refused is no call, so nobody uses up what is another's.
    let wait = served.pace.turn(api.tokens.passed());
    if wait.is_zero() {
        return Ok((served.build.clone(), claims));
    }
    tokio::time::sleep(wait).await;
    // The attempt may have ended meanwhile.
    let (served, claims) = ask()?;
    Ok((served.build.clone(), claims))
}

/// Who asks.
struct Bearer {
    /// The build; none if it is not served any more.
    served: Option<Arc<Served>>,
    claims: Arc<Claims>,
    standing: Standing,
}

/// Who asks: by a token that this host has made, whose time may be over.
fn bearer(api: &Api, headers: &HeaderMap) -> Result<Bearer, Refusal> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| Refusal::unauthorised("a bearer token is needed"))?;
    let claims = api.tokens.check(token).map_err(Refusal::unknown_token)?;
    let served = api.served(&claims.sub);
    let runs = served.as_ref().is_some_and(|served| served.build.state().works(claims.role.job(), claims.attempt));
    let standing = match () {
        () if api.tokens.is_over(&claims) => Standing::Expired,
        () if runs => Standing::Runs,
        () => Standing::Over,
    };
    Ok(Bearer { served, claims, standing })
}

/// How a route is entered by a socket.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) api: Arc<Api>,
    /// How long a body may bring nothing; `None` for logs, which may say nothing for as long as their job runs.
    pub(crate) silence: Option<Duration>,
}

/// Looks at the token before anything of a stranger's body is read. What the token allows is looked at behind this, by [`admit`].
pub(crate) async fn at_the_door(State(door): State<Door>, request: Request, next: Next) -> Response {
    let standing = bearer(&door.api, request.headers()).map(|bearer| bearer.standing);
    let refused = match standing {
        Ok(Standing::Runs) => None,
        Ok(Standing::Over) => Some(Denied::Over.into()),
        Ok(Standing::Expired) => Some(Denied::Expired.into()),
        Err(refusal) => Some(refusal),
    };
    match (refused, door.silence) {
        (Some(refusal), _) => refusal.into_response(),
        (None, None) => next.run(request).await,
        (None, Some(silence)) => next.run(request.map(|body| never_silent_for(silence, body))).await,
    }
}

/// A body that ends with an error when it brings nothing for so long.
fn never_silent_for(silence: Duration, body: Body) -> Body {
    let chunks = stream::try_unfold(body.into_data_stream(), move |mut chunks| async move {
        match timeout(silence, chunks.try_next()).await {
            Ok(Ok(chunk)) => Ok(chunk.map(|chunk| (chunk, chunks))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(axum::Error::new(Silent(silence))),
        }
    });
    Body::from_stream(chunks)
}

#[derive(Debug, thiserror::Error)]
#[error("nothing came for {} s", .0.as_secs_f32())]
struct Silent(Duration);

/// Who asks, in the words of commands.
pub(crate) fn asker(claims: &Claims) -> Asker {
    Asker { job: claims.role.job().map(str::to_owned), attempt: claims.attempt }
}
