use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::to_bytes;
use futures::FutureExt;
use monkeyci_controller::{Clock, Host, HostBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::access::Scope;
use crate::budget::JSON;
use crate::refusal::PROBLEM;
use crate::store::{Asked, Most, NewRepository, State, Taken, TokenRow};
use crate::tokens::NewToken;
use crate::{ServerBuilder, ServerError};

mod inputs;
mod starting;
mod webhooks;

/// What has not happened by then never will.
const HANGS: Duration = Duration::from_secs(300);
const SECRET: &str = "a secret of the tests' own";

/// A time of day that a test sets.
#[derive(Clone)]
struct Day(Arc<AtomicU64>);

impl Clock for Day {
    fn day_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn since(&self) -> Duration {
        Duration::ZERO
    }
}

/// At most so many builds wait, whosever they are.
fn most(in_all: u32) -> Most {
    Most { of_repository: in_all, in_all }
}

/// A server with the repositories `own` and `other`, each with a build that waits.
struct Setting {
    server: Server,
    day: Day,
    _home: TempDir,
}

impl Setting {
    async fn new() -> Self {
        Self::with(|host| host, |server| server).await
    }

    async fn with(
        host: impl FnOnce(HostBuilder) -> HostBuilder,
        server: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let day = Day(Arc::new(AtomicU64::new(1_000)));
        let host = host(Host::builder(home.path()).clock(day.clone()));
        let server = server(Server::builder(host)).open().await.expect("a server");
        for name in ["own", "other"] {
            let new = NewRepository {
                name,
                url: &format!("file:///no/such/{name}"),
                script_path: None,
                hook_secret: SECRET,
                labels: &[],
                added_ms: 1,
            };
            let added = server.0.store.add_repository(&new).await.expect("added").expect("a new one");
            let asked = Asked { key: name.to_owned(), trigger: "api".to_owned(), ..Asked::default() };
            let build = format!("local/{name}/k1");
            // Nobody is told of it, so it waits.
            let taken = server.0.store.take_build((added.id, &build, &asked), 1, most(10)).await.expect("written");
            assert_eq!(taken, Taken::New);
        }
        Self { server, day, _home: home }
    }

    async fn token(&self, scopes: &[Scope], repository: Option<&str>, ends_ms: Option<u64>) -> String {
        let NewToken { id, digest, text } = NewToken::draw();
        let repository = match repository {
            Some(name) => {
                let found = self.server.0.store.repository(name).await.expect("read").expect("there");
                Some((found.id, found.name))
            }
            None => None,
        };
        let (name, digest, scopes) = ("t".to_owned(), digest.to_vec(), scopes.iter().copied().collect());
        let row = TokenRow { id, name, digest, scopes, repository, made_ms: 1, ends_ms };
        self.server.0.store.add_token(&row).await.expect("added");
        text
    }

    /// The answer to a request: its status, its headers and its body.
    async fn ask(&self, request: Request) -> (StatusCode, HeaderMap, Value) {
        let response = self.server.router().oneshot(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, headers, serde_json::from_slice(&body).unwrap_or_default())
    }
}

fn request(route: &Route, path: &str, token: Option<&str>, body: &[u8]) -> Request {
    let request = Request::builder().method(route.verb.as_str().to_uppercase().as_str()).uri(path);
    let request =
        token.iter().fold(request, |request, token| request.header("authorization", format!("Bearer {token}")));
    let kind = if route.takes == Takes::Script { "application/wasm" } else { "application/json" };
    let request = request.header("content-type", kind).header("content-length", body.len());
    request.body(Body::from(body.to_vec())).expect("a request")
}

fn route(id: RouteId) -> &'static Route {
    &ROUTES[id as usize]
}

/// What each route takes, said once more: the scopes that open it, and whether the token has to be for all repositories, or for the one that the path
/// names.
#[derive(Clone, Copy, PartialEq)]
enum For {
    All,
    Named,
    Any,
}

const OPENED_BY: [(RouteId, &[Scope], For); 35] = {
    use RouteId::*;
    use Scope::{Admin, Approve, Read, Secrets, Trigger};
    [
        (ListRepositories, &[Read, Admin], For::Any),
        (AddRepository, &[Admin], For::All),
        (ShowRepository, &[Read, Admin], For::Named),
        (RemoveRepository, &[Admin], For::Named),
        (StoreScript, &[Admin], For::Named),
        (ListDeliveries, &[Read, Admin], For::Named),
        (TriggerBuild, &[Trigger, Admin], For::Named),
        (ListBuilds, &[Read, Admin], For::Any),
        (ShowBuild, &[Read, Admin], For::Named),
        (ReadEvents, &[Read, Admin], For::Named),
        (ReadLogs, &[Read, Admin], For::Named),
        (ListArtifacts, &[Read, Admin], For::Named),
        (ReadArtifact, &[Read, Admin], For::Named),
        (ApproveJob, &[Approve, Admin], For::Named),
        (RejectJob, &[Approve, Admin], For::Named),
        (CancelBuild, &[Trigger, Admin], For::Named),
        (SetLabels, &[Admin], For::Named),
        (ListParams, &[Secrets, Admin], For::All),
        (SetParam, &[Secrets, Admin], For::All),
        (RemoveParam, &[Secrets, Admin], For::All),
        (ListParamsOf, &[Secrets, Admin], For::Named),
        (SetParamOf, &[Secrets, Admin], For::Named),
        (RemoveParamOf, &[Secrets, Admin], For::Named),
        (ListSecrets, &[Secrets, Admin], For::All),
        (SetSecret, &[Secrets, Admin], For::All),
        (RemoveSecret, &[Secrets, Admin], For::All),
        (ListSecretsOf, &[Secrets, Admin], For::Named),
        (SetSecretOf, &[Secrets, Admin], For::Named),
        (RemoveSecretOf, &[Secrets, Admin], For::Named),
        (ListUses, &[Secrets, Admin], For::All),
        (ListUsesOf, &[Secrets, Admin], For::Named),
        (ListInputsOfBuild, &[Secrets, Admin], For::Named),
        (ListTokens, &[Admin], For::All),
        (AddToken, &[Admin], For::All),
        (RemoveToken, &[Admin], For::All),
    ]
};

#[tokio::test]
async fn each_scope_opens_at_each_route_what_was_decided_for_own_and_other_repositories() {
    let setting = Setting::new().await;
    let with_token: Vec<_> = ROUTES.iter().filter(|route| matches!(route.access, Access::Token(..))).collect();
    assert_eq!(with_token.len(), OPENED_BY.len(), "each route stands in the table of this test");
    let mut asked = 0;
    for (id, opened_by, whose) in OPENED_BY {
        let route = route(id);
        for scope in Scope::ALL {
            for limited in [None, Some("own")] {
                let token = setting.token(&[scope], limited, None).await;
                for target in ["own", "other", "none"] {
                    let path = [("repository", target), ("org", "local"), ("repo", target), ("build", "k1")];
                    let path = path.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                    let headers = [(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a value"))];
                    let found = let_in(&setting.server, route, &path, &headers.into_iter().collect()).await;
                    let expected = if !opened_by.contains(&scope) || (whose == For::All && limited.is_some()) {
                        Err(403)
                    } else if whose == For::Named && (target == "none" || (target == "other" && limited.is_some())) {
                        Err(404)
                    } else {
                        Ok(())
                    };
                    let found = found.map(drop).map_err(|refusal| refusal.into_response().status().as_u16());
                    assert_eq!(found, expected, "{id:?}, {scope:?} for {limited:?}, of {target}");
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, OPENED_BY.len() * Scope::ALL.len() * 2 * 3);
}

#[tokio::test]
async fn without_a_good_token_no_route_opens_and_nobody_learns_what_is_there() {
    let setting = Setting::new().await;
    let over = setting.token(&Scope::ALL, None, Some(2_000)).await;
    let removed = setting.token(&Scope::ALL, None, None).await;
    let id = removed.split('_').nth(1).expect("an id").to_owned();
    setting.server.0.store.remove_token(&id).await.expect("removed");
    let other_secret = format!("{}x", setting.token(&Scope::ALL, None, None).await);
    let (_, _, known) = setting.ask(request(route(RouteId::ListTokens), "/api/v1/tokens", Some(&over), b"")).await;
    assert!(known["tokens"].is_array(), "it is good until then: {known}");
    setting.day.0.store(2_000, Ordering::Relaxed);
    let tokens = [None, Some(""), Some("mci_"), Some(&*over), Some(&*removed), Some(&*other_secret)];
    for route in ROUTES.iter().filter(|route| matches!(route.access, Access::Token(..))) {
        for name in ["own", "none"] {
            let path = route.path.replace("{repository}", name).replace("{org}", "local").replace("{repo}", name);
            let path = path
                .replace("{build}", "k1")
                .replace("{name}", "n")
                .replace("{job}", "j")
                .replace("{artifact}", "a")
                .replace("{token}", &id);
            for token in tokens {
                let (status, headers, body) = setting.ask(request(route, &path, token, b"{}")).await;
                assert_eq!(status, 401, "{:?} {token:?}: {body}", route.id);
                assert_eq!(
                    (&headers["content-type"], &headers["www-authenticate"]),
                    (&PROBLEM.parse().expect("a value"), &"Bearer".parse().expect("a value"))
                );
                assert_eq!(body["status"], 401);
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_of_another_type_or_no_json_and_paths_that_are_not_there_are_told_as_problems() {
    let setting = Setting::new().await;
    let token = setting.token(&Scope::ALL, None, None).await;
    let trigger = route(RouteId::TriggerBuild);
    let path = "/api/v1/repositories/own/builds";
    let ask = async |body: &[u8]| setting.ask(request(trigger, path, Some(&token), body)).await;
    let large = vec![b' '; JSON + 1];
    for (body, expected) in [
        (&large[..], 413),
        (b"{", 400),
        (br#"{"branch": "a", "tag": "b"}"#, 400),
        (br#"{"branch": "a..b"}"#, 400),
        (br#"{"commit": "main"}"#, 400),
        (br#"{"params": {"a": 1}}"#, 400),
        (br#"{"secret": "a"}"#, 400),
    ] {
        let (status, headers, problem) = ask(body).await;
        assert_eq!(
            (status.as_u16(), &headers["content-type"]),
            (expected, &PROBLEM.parse().expect("a value")),
            "{problem}"
        );
        assert_eq!(problem["status"], expected);
    }
    // One that does not say how large it is.
    let mut endless = request(trigger, path, Some(&token), b"");
    *endless.body_mut() = Body::from(large);
    endless.headers_mut().remove("content-length");
    assert_eq!(setting.ask(endless).await.0, 413);
    let mut form = request(trigger, path, Some(&token), b"{}");
    form.headers_mut().insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(setting.ask(form).await.0, 415);
    for (method, path, expected) in
        [("GET", "/api/v1/nothing", 404), ("PATCH", "/api/v1/builds", 405), ("GET", "/api/v1/builds/%ff/a/b", 400)]
    {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let (status, _, problem) = setting.ask(request).await;
        assert_eq!((status.as_u16(), &problem["status"]), (expected, &json!(expected)), "{method} {path}");
    }
    for query in ["limit=0", "limit=101", "cursor=x", "state=running"] {
        let list = request(route(RouteId::ListBuilds), &format!("/api/v1/builds?{query}"), Some(&token), b"");
        assert_eq!(setting.ask(list).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_build_and_another_request_with_it_is_refused() {
    let setting = Setting::new().await;
    let token = setting.token(&[Scope::Trigger, Scope::Read], None, None).await;
    let ask = async |repository: &str, key: Option<&str>, body: &[u8]| {
        let path = format!("/api/v1/repositories/{repository}/builds");
        let mut request = request(route(RouteId::TriggerBuild), &path, Some(&token), body);
        if let Some(key) = key {
            request.headers_mut().insert("idempotency-key", key.parse().expect("a value"));
        }
        let (status, _, body) = setting.ask(request).await;
        (status.as_u16(), body["build"].as_str().map(str::to_owned))
    };
    let first = ask("own", Some("1"), br#"{"branch": "main"}"#).await;
    assert!(first.0 == 202 && first.1.is_some(), "{first:?}");
    assert_eq!(ask("own", Some("1"), br#"{"branch": "main"}"#).await, first);
    assert_eq!(ask("own", Some("1"), br#"{"branch": "topic"}"#).await.0, 422);
    for other in [ask("own", Some("2"), b"{}").await, ask("other", Some("1"), b"{}").await, ask("own", None, b"").await]
    {
        assert!(other.0 == 202 && other.1 != first.1, "{other:?}");
    }
    // A repository without a script: the build is refused, and says why.
    let build = first.1.expect("a build");
    let seen = async {
        loop {
            let (_, _, shown) = setting
                .ask(request(route(RouteId::ShowBuild), &format!("/api/v1/builds/{build}"), Some(&token), b""))
                .await;
            if shown["status"] != "waiting" {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    };
    let shown = tokio::time::timeout(HANGS, seen).await.expect("it is looked at");
    assert_eq!((&shown["status"], &shown["branch"]), (&json!("refused"), &json!("main")));
    assert!(shown["reason"].as_str().is_some_and(|reason| reason.contains("no script")), "{shown}");
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended_and_a_token_for_one_repository_sees_its_builds_alone() {
    let setting = Setting::new().await;
    let own = setting.server.0.store.repository("own").await.expect("read").expect("there").id;
    for n in 0..4 {
        let (build, asked) = (format!("local/own/n{n}"), Asked { key: n.to_string(), ..Asked::default() });
        setting.server.0.store.take_build((own, &build, &asked), n, most(10)).await.expect("written");
    }
    let full =
        setting.server.0.store.take_build((own, "local/own/n9", &Asked::default()), 1, most(6)).await.expect("asked");
    assert_eq!(full, Taken::Full { of_repository: false });
    let listed = async |token: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/builds?limit=2{cursor}");
            let (status, _, page) = setting.ask(request(route(RouteId::ListBuilds), &path, Some(token), b"")).await;
            assert_eq!(status, 200, "{page}");
            let builds = page["builds"].as_array().expect("a list").clone();
            all.extend(builds.iter().filter_map(|build| Some(build["build"].as_str()?.to_owned())));
            let Some(next) = page["next"].as_str() else { return all };
            cursor = format!("&cursor={next}");
        }
    };
    let own_builds = ["local/own/n3", "local/own/n2", "local/own/n1", "local/own/n0", "local/own/k1"];
    let all = listed(&setting.token(&[Scope::Read], None, None).await).await;
    assert_eq!(all, [&own_builds[..4], &["local/other/k1", "local/own/k1"]].concat());
    assert_eq!(listed(&setting.token(&[Scope::Read], Some("own"), None).await).await, own_builds);
    let limited = setting.token(&[Scope::Read], Some("own"), None).await;
    for (name, expected) in [("own", 200), ("other", 404), ("none", 404)] {
        let list =
            request(route(RouteId::ListBuilds), &format!("/api/v1/builds?repository={name}"), Some(&limited), b"");
        assert_eq!(setting.ask(list).await.0, expected, "{name}");
    }
    // What waits can be cancelled, and is over then.
    let token = setting.token(&Scope::ALL, None, None).await;
    let cancel = async || {
        setting
            .ask(request(route(RouteId::CancelBuild), "/api/v1/builds/local/own/k1/cancel", Some(&token), b""))
            .await
            .0
    };
    assert_eq!((cancel().await, cancel().await), (StatusCode::NO_CONTENT, StatusCode::CONFLICT));
    let row = setting.server.0.store.build("local/own/k1").await.expect("read").expect("there");
    assert_eq!((row.state, row.reason.as_deref()), (State::Cancelled, Some("cancelled by token t")));
}

#[tokio::test]
async fn bodies_take_memory_as_they_come_and_who_finds_none_is_told_to_come_again() {
    let budget = Arc::new(Semaphore::new(4));
    let of = async |body: Vec<u8>, free: usize| held(Body::from(body), (1 << 20, free), &budget).await;
    let read = async |body: Vec<u8>| of(body, 0).await;
    let (bytes, memory) = read(vec![1; 3 << 10]).await.expect("there is room");
    assert_eq!((bytes.len(), budget.available_permits()), (3 << 10, 1));
    let refused = read(vec![1; 2 << 10]).await.expect_err("there is not").into_response();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().expect("a value")));
    assert_eq!(of(vec![1; 2 << 10], 2 << 10).await.expect("it is free").0.len(), 2 << 10);
    drop(memory);
    assert_eq!((read(Vec::new()).await.expect("nothing").0.len(), budget.available_permits()), (0, 4));
    // Of one that has not come, nothing is taken.
    let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    assert!(Box::pin(held(silent, (1 << 20, 0), &budget)).now_or_never().is_none());
    assert_eq!(budget.available_permits(), 4);
}

#[tokio::test]
async fn the_router_nests_in_an_app_of_somebody_elses() {
    let setting = Setting::new().await;
    let token = setting.token(&[Scope::Read], None, None).await;
    let app = Router::new().nest("/ci", setting.server.router());
    let paths = [
        ("/ci/health", 200),
        ("/ci/api/v1/repositories/own", 200),
        ("/ci/api/v1/builds/local/own/k1", 200),
        ("/ci/api/v1/nothing", 404),
        ("/api/v1/repositories/own", 404),
    ];
    for (path, expected) in paths {
        let request = request(route(RouteId::Health), path, Some(&token), b"");
        let response = app.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), expected, "{path}");
    }
}

#[tokio::test]
async fn the_first_token_is_told_once_and_opens_all_and_a_home_has_one_server_at_a_time() {
    let home = tempfile::tempdir().expect("a directory");
    let host = Host::builder(home.path());
    let server = Server::builder(host.clone()).open().await.expect("a server");
    let told = format!("{server:?}");
    let token = server.first_token().expect("a token");
    assert!(!told.contains(&token), "{told}");
    assert_eq!(server.first_token(), None);
    assert!(matches!(Server::builder(host.clone()).open().await, Err(ServerError::Taken { .. })));
    let whole = std::fs::read(home.path().join("server.db-wal")).expect("the database");
    let secret = token.rsplit('_').next().expect("a secret").as_bytes();
    assert!(!whole.windows(secret.len()).any(|part| part == secret), "the token itself is not kept");
    server.close();
    drop(server);
    // The task that starts builds lets go of it in a moment.
    let again = async {
        loop {
            match Server::builder(host.clone()).open().await {
                Ok(server) => return server,
                Err(ServerError::Taken { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let server = tokio::time::timeout(HANGS, again).await.expect("it is free");
    assert_eq!(server.first_token(), None, "there is a good one");
    let another = crate::first_token(&server.0.store, 1, true).await.expect("written").expect("it was asked for");
    assert_ne!(another, token);
    let (day, home) = (Day(Arc::default()), home);
    let setting = Setting { server, day, _home: home };
    let (status, _, tokens) =
        setting.ask(request(route(RouteId::ListTokens), "/api/v1/tokens", Some(&token), b"")).await;
    assert_eq!((status.as_u16(), &tokens["tokens"][0]["scopes"]), (200, &json!(["admin"])), "{tokens}");
    for (path, expected) in [("/health", 200), ("/ready", 200)] {
        assert_eq!(setting.ask(request(route(RouteId::Health), path, None, b"")).await.0.as_u16(), expected);
    }
    setting.server.close();
    assert_eq!(setting.ask(request(route(RouteId::Ready), "/ready", None, b"")).await.0, 503);
}
