//! The gate: who is asking, and may they?

use std::sync::Arc;

use http::{HeaderMap, header};
use monkeyci_api::{Action, Claims, Operation, authorise};
use monkeyci_build::Asker;
use serde::Deserialize;

use super::Api;
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
    /// A job, a parameter, an artifact, a cache.
    #[serde(alias = "job", alias = "name", alias = "id")]
    pub(crate) item: String,
}

/// Checks the bearer's token, and whether it allows `action`. The order is fixed: no valid token, or one of an attempt that does not
/// run any more, 401; a token that does not allow it, 403; only then is looked whether the thing exists.
pub(crate) fn admit(
    api: &Api,
    headers: &HeaderMap,
    path: &BuildPath,
    action: Action,
) -> Result<(Arc<BuildHandle>, Claims), Refusal> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| Refusal::unauthorised("a bearer token is needed"))?;
    let claims = api.tokens.check(token).map_err(Refusal::unauthorised)?;
    let own = api.build(&claims.sub).filter(|build| build.state().works(claims.role.job(), claims.attempt));
    let own = own.ok_or_else(|| Refusal::unauthorised("the token is not valid: its build or job is over"))?;
    let operation = Operation { build: format!("{}/{}/{}", path.org, path.repo, path.build), action };
    // No token is for another build than its own.
    authorise(&claims, &operation).map_err(Refusal::denied)?;
    Ok((own, claims))
}

/// Who asks, in the words of commands.
pub(crate) fn asker(claims: &Claims) -> Asker {
    Asker { job: claims.role.job().map(str::to_owned), attempt: claims.attempt }
}
