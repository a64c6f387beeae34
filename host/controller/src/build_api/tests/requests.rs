//! Requests of bearers who may come in, and ask for what is wrong: each is refused in words of its own, and none is a bare failure.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, header};
use tower::ServiceExt;

use super::*;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Action,
    Sidecar,
    Nobody,
    /// A bearer whose token has no bearer's form.
    Strange,
}

use Who::{Action, Nobody, Sidecar, Strange};

/// A request: what it is called, who asks, how, where, with what; the status, and what the refusal says.
type Row = (&'static str, Who, &'static str, &'static str, &'static str, u16, &'static str);

const REQUESTS: &[Row] = &[
    ("nobody", Nobody, "GET", "/params", "", 401, "a bearer token is needed"),
    ("a strange token", Strange, "GET", "/params", "", 401, "the token is not valid"),
    ("a path that there is not", Action, "GET", "/nothing", "", 404, "the build API has no such path"),
    ("a method that there is not", Action, "PATCH", "/jobs", "", 405, "this path has no such method"),
    ("another's plan", Sidecar, "GET", "/jobs/other/plan", "", 403, "only the job's sidecar may do this"),
    ("a sidecar that submits", Sidecar, "POST", "/jobs", "{\"jobs\":[]}", 403, "only an action may do this"),
    (
        "a secret's bytes without a scope",
        Action,
        "POST",
        "/secrets/token/reveal",
        "",
        403,
        "no action may read the secret \"token\"",
    ),
    (
        "an artifact without a scope",
        Action,
        "PUT",
        "/artifacts/other/files/f",
        "x",
        403,
        "it would need artifact:write=other",
    ),
    ("a cache without a scope", Action, "GET", "/caches/kept", "", 403, "it would need cache=kept"),
    ("no JSON", Action, "POST", "/jobs", "jobs", 400, "expected value at line 1"),
    ("nothing", Action, "POST", "/events", "", 400, "EOF while parsing a value"),
    ("a list", Action, "POST", "/events", "[]", 400, "invalid length 0, expected struct NewEvent"),
    ("half of it", Action, "POST", "/events", "{\"name\":\"a\"}", 400, "missing field `payload`"),
    (
        "a number for a name",
        Action,
        "POST",
        "/events",
        "{\"name\":1,\"payload\":\"1\"}",
        400,
        "integer `1`, expected a string",
    ),
    (
        "a name of nothing",
        Action,
        "POST",
        "/events",
        "{\"name\":\"\",\"payload\":\"1\"}",
        400,
        "an event's name has 1 to 128 characters",
    ),
    (
        "a payload of no JSON",
        Action,
        "POST",
        "/events",
        "{\"name\":\"a\",\"payload\":\"{\"}",
        400,
        "the payload of event \"a\" is not JSON",
    ),
    ("a report of a number", Action, "POST", "/reports", "{\"message\":7}", 400, "integer `7`, expected a string"),
    ("a wait for nothing", Action, "POST", "/waits", "{\"jobs\":[],\"wait_ms\":1}", 400, "there is no job to wait for"),
    (
        "a wait for a job of nobody",
        Action,
        "POST",
        "/waits",
        "{\"jobs\":[\"x\"],\"wait_ms\":1}",
        404,
        "the build has no job \"x\"",
    ),
    (
        "a wait for itself",
        Action,
        "POST",
        "/waits",
        "{\"jobs\":[\"mine\"],\"wait_ms\":1,\"forever\":true}",
        400,
        "\"mine\" would wait for itself",
    ),
    (
        "a wait of less than nothing",
        Action,
        "POST",
        "/waits",
        "{\"jobs\":[\"other\"],\"wait_ms\":-1}",
        400,
        "integer `-1`, expected u64",
    ),
    (
        "a wait without end",
        Action,
        "POST",
        "/waits",
        "{\"jobs\":[\"other\"],\"wait_ms\":1e99}",
        400,
        "floating point `1e+99`",
    ),
    ("a job of nobody", Action, "GET", "/jobs/nobody", "", 404, "the build has no job \"nobody\""),
    ("a secret of nobody", Action, "GET", "/secrets/nobody", "", 404, "there is no secret \"nobody\""),
    ("files before there are any", Action, "GET", "/files/a", "", 404, "the code has not been checked out yet"),
    ("globs of nothing", Action, "POST", "/globs", "{\"globs\":7}", 400, "expected a sequence"),
    ("an artifact of nobody", Action, "GET", "/artifacts/x/files", "", 404, "artifact \"x\" has not been saved"),
    (
        "a file of an artifact outside",
        Action,
        "GET",
        "/artifacts/in/files/..%2Fx",
        "",
        400,
        "\"../x\" does not name a file of the workspace",
    ),
    (
        "a file of an artifact that is none",
        Action,
        "GET",
        "/artifacts/in/files/x",
        "",
        400,
        "artifact \"in\" can't be read",
    ),
    (
        "a file outside for an artifact",
        Action,
        "PUT",
        "/artifacts/made/files/%2Fetc",
        "x",
        400,
        "\"/etc\" does not name a file of the workspace",
    ),
    (
        "outputs that are none",
        Sidecar,
        "POST",
        "/jobs/mine/outputs",
        "nonsense",
        400,
        "line 1 is not of the form name=value",
    ),
    (
        "an end that is none",
        Sidecar,
        "POST",
        "/jobs/mine/result",
        "{\"ended\":\"well\"}",
        400,
        "expected internally tagged enum Ending",
    ),
    ("a report that is none", Sidecar, "POST", "/jobs/mine/test-reports", "<", 400, "this is no JUnit XML"),
    ("a cache that nobody keeps", Sidecar, "PUT", "/caches/kept", "x", 404, "job \"mine\" keeps no cache"),
];

/// Asks; the status, and the answer's words.
async fn ask(rig: &Rig, row: &Row) -> (u16, String) {
    let (_, who, method, path, body, ..) = *row;
    let token = match who {
        Action => rig.token(Role::Script { job: Some("mine".to_owned()) }, action_scopes()),
        _ => rig.token(sidecar(), sidecar_scopes()),
    };
    let request = Request::builder().method(method).uri(format!("/v1/builds/{BUILD}{path}"));
    let request = match who {
        Nobody => request,
        Strange => request.header(header::AUTHORIZATION, "Bearer a.b.c"),
        Action | Sidecar => request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose())),
    };
    let request = request.body(Body::from(body)).expect("a request");
    let answer = socket_router(rig.api.clone(), SILENCE).oneshot(request).await.expect("an answer");
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    assert_eq!(kind, "application/problem+json", "{row:?}: {answer:?}");
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8_lossy(&body).replace("\\\"", "\""))
}

#[tokio::test]
async fn every_hostile_request_is_refused_with_a_problem_of_its_own() {
    let rig = Rig::new().await;
    let mut wrong = Vec::new();
    for row in REQUESTS {
        let (name, .., status, words) = *row;
        let (found, says) = ask(&rig, row).await;
        if found != status || !says.contains(words) {
            wrong.push(format!("{name}: {found} {says}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The API serves on.
    rig.client(BUILD, rig.token(sidecar(), sidecar_scopes())).plan("mine").await.expect("a plan");
    let words: BTreeSet<&str> = REQUESTS.iter().map(|(.., words)| *words).collect();
    assert!(words.len() == REQUESTS.len() && words.len() >= 30, "{} of {}", words.len(), REQUESTS.len());
}

#[tokio::test]
async fn a_command_that_has_left_something_has_run_also_where_the_host_that_heard_so_died_with_it() {
    let rig = Rig::new().await;
    let build = rig.api.build(BUILD).expect("a build");
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let kinds = || {
        let events = build.events_after(0, (99, 1 << 20), |event| event.body.job() == Some("mine")).0;
        events.iter().map(|event| event.body.kind()).collect::<Vec<_>>()
    };
    let not_ready = Ending::ServiceNotReady { service: "db".into(), reason: "no".into(), last_lines: String::new() };
    let before_it = [
        SidecarReport::Ended(not_ready),
        SidecarReport::LauncherGone { during: Some("restoring a cache".to_owned()) },
        SidecarReport::Ended(Ending::SidecarFailed { step: "making the workspace".into(), reason: "no".into() }),
    ];
    for report in before_it {
        assert!(!report.tells_that_the_command_ran(), "{report:?}");
    }
    client.save_artifact("out", monkeyci_api::Body::from("bytes")).await.expect("saved");
    let exited = Ending::Exited { code: 3, line: None };
    client.job_result("mine", &SidecarReport::Ended(exited)).await.expect("taken");
    assert_eq!(kinds(), ["job/started", "job/running", "artifact/saved", "job/reported"]);
    for report in [SidecarReport::LauncherGone { during: None }, SidecarReport::Ended(Ending::Succeeded)] {
        assert!(report.tells_that_the_command_ran(), "{report:?}");
    }
}
