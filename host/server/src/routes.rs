//! The routes of the server, all of them, as one table: method, path, what a token needs, what goes in and comes out. The router is made from it,
//! whoever calls is let in by it, and the OpenAPI document is written from it.

use axum::routing::MethodFilter;

use crate::access::Reach::{self, Build, Own, Repository, Server};
use crate::access::Scope::{self, Admin, Approve, Read, Secrets, Trigger};
use crate::budget::{HOOK, JSON};

use self::Access::{Open, Signed, Token};
use self::Gives::{Archive, EventsOrStream, Json, Nothing, Stream};
use self::RouteId as Id;
use self::Takes::{Body, Script};
use self::Verb::{Delete, Get, Post, Put};

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) id: RouteId,
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) takes: Takes,
    /// What may stand in the query, and in the headers.
    pub(crate) options: &'static [&'static str],
    pub(crate) gives: Gives,
    /// What it is for.
    pub(crate) says: &'static str,
}

/// A route's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RouteId {
    Health,
    Ready,
    OpenApi,
    ListRepositories,
    AddRepository,
    ShowRepository,
    RemoveRepository,
    StoreScript,
    SetLabels,
    ListDeliveries,
    TriggerBuild,
    ListBuilds,
    ShowBuild,
    ReadEvents,
    ReadLogs,
    ListArtifacts,
    ReadArtifact,
    ApproveJob,
    RejectJob,
    CancelBuild,
    ListParams,
    SetParam,
    RemoveParam,
    ListParamsOf,
    SetParamOf,
    RemoveParamOf,
    ListSecrets,
    SetSecret,
    RemoveSecret,
    ListSecretsOf,
    SetSecretOf,
    RemoveSecretOf,
    ListUses,
    ListUsesOf,
    ListInputsOfBuild,
    ListTokens,
    AddToken,
    RemoveToken,
    GitHubWebhook,
}

/// The methods that the API has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Whoever has signed the body with the repository's secret.
    Signed,
    /// Whoever has a token with this scope that reaches so far.
    Token(Scope, Reach),
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// None.
    None,
    /// JSON of this schema, of at most so many bytes.
    Body(&'static str, usize),
    /// A component.
    Script,
}

/// What an answer is that is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// JSON of this schema, with this status.
    Json(u16, &'static str),
    /// JSON of this schema, or a stream of server-sent events for those who accept that.
    EventsOrStream(&'static str),
    /// A stream of server-sent events, each with JSON of this schema.
    Stream(&'static str),
    /// An archive.
    Archive,
    /// Nothing.
    Nothing,
}

const NONE: Takes = Takes::None;
const PAGED: &[&str] = &["cursor", "limit"];
const PLACE: &[&str] = &["label", "branch", "event"];
const USES: &[&str] = &["name", "cursor", "limit"];

/// The table, in the order of [`RouteId`].
#[rustfmt::skip]
pub(crate) static ROUTES: [Route; 39] = [
    route(Id::Health, Get, "/health", Open, NONE, &[], Json(200, "Health"), "Says that the process answers."),
    route(Id::Ready, Get, "/ready", Open, NONE, &[], Json(200, "Health"), "Says whether builds are taken: the database answers, and the host does not shut down."),
    route(Id::OpenApi, Get, "/api/v1/openapi.json", Open, NONE, &[], Json(200, "Anything"), "This document."),
    route(Id::ListRepositories, Get, "/api/v1/repositories", Token(Read, Own), NONE, &[], Json(200, "Repositories"), "Lists the repositories that the token is for, by name."),
    route(Id::AddRepository, Post, "/api/v1/repositories", Token(Admin, Server), Body("NewRepository", JSON), &[], Json(201, "AddedRepository"), "Adds a repository. The answer has the secret of its webhooks, which nobody is told again."),
    route(Id::ShowRepository, Get, "/api/v1/repositories/{repository}", Token(Read, Repository), NONE, &[], Json(200, "Repository"), "Shows a repository."),
    route(Id::RemoveRepository, Delete, "/api/v1/repositories/{repository}", Token(Admin, Repository), NONE, &[], Nothing, "Removes a repository of which no build goes on, with its tokens, and from lists its builds and webhooks."),
    route(Id::StoreScript, Put, "/api/v1/repositories/{repository}/script", Token(Admin, Repository), Script, &[], Nothing, "Stores the script of a repository, a component. It counts before one in the code."),
    route(Id::SetLabels, Put, "/api/v1/repositories/{repository}/labels", Token(Admin, Repository), Body("Labels", JSON), &[], Nothing, "Sets the labels of a repository: what is kept for one of them is given to its builds."),
    route(Id::ListDeliveries, Get, "/api/v1/repositories/{repository}/deliveries", Token(Read, Repository), NONE, PAGED, Json(200, "Deliveries"), "Lists the webhooks that have come with a good signature, the newest first, and what came of each."),
    route(Id::TriggerBuild, Post, "/api/v1/repositories/{repository}/builds", Token(Trigger, Repository), Body("NewBuild", JSON), &["Idempotency-Key"], Json(202, "Build"), "Asks for a build of a branch, a tag or a commit; of the main branch if none is named. When it is answered, that is on disk. The same Idempotency-Key again gives the same build."),
    route(Id::ListBuilds, Get, "/api/v1/builds", Token(Read, Own), NONE, &["repository", "branch", "cursor", "limit"], Json(200, "Builds"), "Lists builds, those first that were asked for last."),
    route(Id::ShowBuild, Get, "/api/v1/builds/{org}/{repo}/{build}", Token(Read, Build), NONE, &[], Json(200, "ShownBuild"), "Shows all that is known of a build."),
    route(Id::ReadEvents, Get, "/api/v1/builds/{org}/{repo}/{build}/events", Token(Read, Build), NONE, &["after", "Last-Event-ID"], EventsOrStream("Events"), "Gives the events of a build after a place: a page of them, or with `Accept: text/event-stream` those that have been and those that come. Their ids are places. 204 after the last one."),
    route(Id::ReadLogs, Get, "/api/v1/builds/{org}/{repo}/{build}/logs", Token(Read, Build), NONE, &["job"], Stream("LogPiece"), "Streams the logs of a build, or that of one job: what was said, and then what is said, until the build is over. Pieces have no ids: whoever connects again hears all."),
    route(Id::ListArtifacts, Get, "/api/v1/builds/{org}/{repo}/{build}/artifacts", Token(Read, Build), NONE, &[], Json(200, "Artifacts"), "Lists the artifacts that a build has saved so far."),
    route(Id::ReadArtifact, Get, "/api/v1/builds/{org}/{repo}/{build}/artifacts/{artifact}", Token(Read, Build), NONE, &[], Archive, "Gives an artifact, a tar archive in Zstandard. A connection that breaks off says that it is not what was saved."),
    route(Id::ApproveJob, Post, "/api/v1/builds/{org}/{repo}/{build}/jobs/{job}/approve", Token(Approve, Build), Body("Decision", JSON), &[], Nothing, "Approves a job that waits for it."),
    route(Id::RejectJob, Post, "/api/v1/builds/{org}/{repo}/{build}/jobs/{job}/reject", Token(Approve, Build), Body("Decision", JSON), &[], Nothing, "Rejects a job that waits for approval."),
    route(Id::CancelBuild, Post, "/api/v1/builds/{org}/{repo}/{build}/cancel", Token(Trigger, Build), NONE, &[], Nothing, "Stops a build."),
    route(Id::ListParams, Get, "/api/v1/params", Token(Secrets, Server), NONE, &[], Json(200, "Inputs"), "Lists the parameters that are kept for builds of all repositories, by name."),
    route(Id::SetParam, Put, "/api/v1/params/{name}", Token(Secrets, Server), Body("NewInput", JSON), &[], Nothing, "Keeps a parameter for builds of all repositories; of a label, a branch or an origin alone, if the body says so. What was kept there is replaced: builds that have begun keep what they have."),
    route(Id::RemoveParam, Delete, "/api/v1/params/{name}", Token(Secrets, Server), NONE, PLACE, Nothing, "Removes the parameter that is kept with just this label, branch and event. Builds that have begun keep it."),
    route(Id::ListParamsOf, Get, "/api/v1/repositories/{repository}/params", Token(Secrets, Repository), NONE, &[], Json(200, "Inputs"), "Lists the parameters that are kept for builds of this repository alone, by name."),
    route(Id::SetParamOf, Put, "/api/v1/repositories/{repository}/params/{name}", Token(Secrets, Repository), Body("NewInput", JSON), &[], Nothing, "Keeps a parameter for builds of this repository: it counts before one that is kept for all."),
    route(Id::RemoveParamOf, Delete, "/api/v1/repositories/{repository}/params/{name}", Token(Secrets, Repository), NONE, PLACE, Nothing, "Removes the parameter that is kept with just this branch and event."),
    route(Id::ListSecrets, Get, "/api/v1/secrets", Token(Secrets, Server), NONE, &[], Json(200, "Inputs"), "Lists the names of the secrets that are kept for builds of all repositories. Nobody is told a value."),
    route(Id::SetSecret, Put, "/api/v1/secrets/{name}", Token(Secrets, Server), Body("NewInput", JSON), &[], Nothing, "Keeps a secret for builds of all repositories; of a label, a branch or an origin alone, if the body says so. What was kept there is replaced: builds that have begun keep what they have."),
    route(Id::RemoveSecret, Delete, "/api/v1/secrets/{name}", Token(Secrets, Server), NONE, PLACE, Nothing, "Removes the secret that is kept with just this label, branch and event. Builds that have begun keep it: cancel them if they must not have it."),
    route(Id::ListSecretsOf, Get, "/api/v1/repositories/{repository}/secrets", Token(Secrets, Repository), NONE, &[], Json(200, "Inputs"), "Lists the names of the secrets that are kept for builds of this repository alone."),
    route(Id::SetSecretOf, Put, "/api/v1/repositories/{repository}/secrets/{name}", Token(Secrets, Repository), Body("NewInput", JSON), &[], Nothing, "Keeps a secret for builds of this repository: it counts before one that is kept for all."),
    route(Id::RemoveSecretOf, Delete, "/api/v1/repositories/{repository}/secrets/{name}", Token(Secrets, Repository), NONE, PLACE, Nothing, "Removes the secret that is kept with just this branch and event."),
    route(Id::ListUses, Get, "/api/v1/uses", Token(Secrets, Server), NONE, USES, Json(200, "Uses"), "Lists which builds were given which parameters and secrets, the last first."),
    route(Id::ListUsesOf, Get, "/api/v1/repositories/{repository}/uses", Token(Secrets, Repository), NONE, USES, Json(200, "Uses"), "The same, of the builds of a repository."),
    route(Id::ListInputsOfBuild, Get, "/api/v1/builds/{org}/{repo}/{build}/inputs", Token(Secrets, Build), NONE, USES, Json(200, "Uses"), "Lists the parameters and secrets that a build was given by the server."),
    route(Id::ListTokens, Get, "/api/v1/tokens", Token(Admin, Server), NONE, &[], Json(200, "Tokens"), "Lists the tokens, the oldest first."),
    route(Id::AddToken, Post, "/api/v1/tokens", Token(Admin, Server), Body("NewToken", JSON), &[], Json(201, "AddedToken"), "Makes a token. The answer has it, and nobody is told again."),
    route(Id::RemoveToken, Delete, "/api/v1/tokens/{token}", Token(Admin, Server), NONE, &[], Nothing, "Removes a token: it opens nothing from then on."),
    route(Id::GitHubWebhook, Post, "/api/v1/webhooks/github/{repository}", Signed, Body("Anything", HOOK), &["X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery"], Json(202, "Delivered"), "Takes a webhook of GitHub. A push of a branch or a tag starts a build of its commit."),
];

#[allow(clippy::too_many_arguments, reason = "a row of a table")]
const fn route(
    id: RouteId,
    verb: Verb,
    path: &'static str,
    access: Access,
    takes: Takes,
    options: &'static [&'static str],
    gives: Gives,
    says: &'static str,
) -> Route {
    Route { id, verb, path, access, takes, options, gives, says }
}

impl Verb {
    pub(crate) fn filter(self) -> MethodFilter {
        match self {
            Get => MethodFilter::GET,
            Post => MethodFilter::POST,
            Put => MethodFilter::PUT,
            Delete => MethodFilter::DELETE,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Get => "get",
            Post => "post",
            Put => "put",
            Delete => "delete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_stands_once_and_whatever_is_open_is_on_this_list() {
        let mut seen = std::collections::HashSet::new();
        for (at, route) in ROUTES.iter().enumerate() {
            assert!(route.id as usize == at && seen.insert((route.verb, route.path)), "{route:?}");
        }
        let open: Vec<_> = ROUTES.iter().filter(|route| route.access == Open).map(|route| route.path).collect();
        assert_eq!(open, ["/health", "/ready", "/api/v1/openapi.json"]);
        let signed: Vec<_> = ROUTES.iter().filter(|route| route.access == Signed).map(|route| route.path).collect();
        assert_eq!(signed, ["/api/v1/webhooks/github/{repository}"]);
    }
}
