//! Who may do what: every kind of bearer at every path, and every kind of forged token.

mod door;
mod pace;
mod requests;
mod scopes;
mod stopping;
mod table;

use table::every_call;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::{StreamExt, TryStreamExt};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use monkeyci_api::{
    AUDIENCE, Body, Claims, Client, ClientError, EventQuery, Hidden, ISSUER, LogFrame, LogStream, Role, Scope,
    SidecarPlan, SidecarReport, Token, WaitQuery, grants,
};
use monkeyci_build::{
    BuildCommand, BuildState, Command, CommandError, Ending, EventBody, Input, JobDraft, Results, Source, check,
};
use monkeyci_storage::{Blobs, names};

use super::{Api, router, socket_router};
use crate::clock::MachineClock;
use crate::inputs::Inputs;
use crate::logs::LogLimits;
use crate::logs::Masking;
use crate::observer::Silent;
use crate::running::{BuildHandle, Refused};
use crate::serve::{Listener, SILENCE, in_process};
use crate::source::SourceRequest;
use crate::tokens::Tokens;

const BUILD: &str = "org/repo/1";

struct Rig {
    api: Arc<Api>,
    dir: tempfile::TempDir,
}

impl Rig {
    /// An API that serves the builds `org/repo/1` and `org/repo/2`; in each run the jobs `mine`, which has a sidecar, `other` and
    /// `reader`.
    async fn new() -> Self {
        let rig = Self::defining().await;
        for id in [BUILD, "org/repo/2"] {
            let live = rig.api.build(id).expect("a build");
            let jobs = ["mine", "other", "reader"].map(JobDraft::action);
            let jobs = check(&jobs, &[]).expect("no faults").graph.into_jobs();
            live.record(EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] }).await.expect("told");
            for job in ["mine", "other", "reader"] {
                live.record(EventBody::JobStarted { job: job.to_owned(), attempt: 1 }).await.expect("told");
            }
            live.watch_pod("mine", plan());
            let upload = live.upload("in", "other", 1).expect("a free id");
            let store = async |name| {
                let bytes = futures::stream::iter([Ok::<_, std::io::Error>("archive".into())]);
                rig.api.blobs.put(&name, bytes.boxed()).await.expect("stored")
            };
            store(names::workspace(id)).await;
            let stored = store(upload.name()).await;
            upload.saved(stored).await.expect("recorded");
        }
        rig
    }

    /// An API that serves the same builds, which are asking their scripts for jobs.
    async fn defining() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let api = Api::new(
            Arc::new(Tokens::new(MachineClock::new())),
            Blobs::local(dir.path()).expect("a store"),
            LogLimits::default(),
        );
        for id in [BUILD, "org/repo/2"] {
            let state = BuildState::new(NonZeroUsize::new(3).expect("not 0"));
            let inputs = Inputs {
                params: BTreeMap::from([("a/b ?".to_owned(), "value".to_owned())]),
                secrets: BTreeMap::from([("token".to_owned(), Hidden(b"s3cr3t-bytes".to_vec()))]),
                ..Inputs::default()
            };
            let masking = Masking::new(&inputs).expect("masks");
            let source = SourceRequest::Dir("/".into());
            let (live, inbox) = BuildHandle::new(id, &source, inputs, masking, Arc::new(Silent), state);
            tokio::spawn(live.clone().take_in_all(inbox));
            let triggered = EventBody::BuildTriggered { build: id.to_owned(), trigger: "test".to_owned() };
            live.record(triggered).await.expect("told");
            live.record(EventBody::BuildCheckedOut { source: Source::default() }).await.expect("told");
            api.register(live);
        }
        Self { api, dir }
    }

    fn token(&self, role: Role, scopes: Vec<Scope>) -> Token {
        let attempt = u32::from(role.job().is_some());
        self.api.tokens.issue(BUILD, (role, attempt), scopes, Duration::from_secs(60)).expect("a token")
    }

    fn client(&self, build: &str, token: Token) -> Client {
        Client::in_process(in_process(router(self.api.clone())), build, token).expect("a client")
    }
}

/// A plan with nothing to do.
pub(super) fn plan() -> SidecarPlan {
    SidecarPlan {
        image: "image".to_owned(),
        command: Command::Argv(vec!["true".to_owned()]),
        work_dir: String::new(),
        memory_bytes: None,
        env: Hidden::default(),
        files: Hidden::default(),
        test_reports: Vec::new(),
        restore_artifacts: Vec::new(),
        save_artifacts: Vec::new(),
        caches: Vec::new(),
        services: Vec::new(),
        breaks: Default::default(),
    }
}

fn script_scopes() -> Vec<Scope> {
    grants::define()
}

fn action_scopes() -> Vec<Scope> {
    grants::action("mine", &["made".to_owned()], [])
}

fn sidecar_scopes() -> Vec<Scope> {
    grants::sidecar("mine", &["in".to_owned()], &["out".to_owned()], &["kept".to_owned()])
}

fn sidecar() -> Role {
    Role::Sidecar { job: "mine".to_owned() }
}

#[tokio::test]
async fn a_token_opens_no_other_build() {
    let scopes: Vec<_> = script_scopes().into_iter().chain(sidecar_scopes()).collect();
    let rigs = [(Rig::new().await, sidecar()), (Rig::defining().await, Role::Script { job: None })];
    for (rig, role) in rigs {
        let client = rig.client("org/repo/2", rig.token(role, scopes.clone()));
        for (call, status) in every_call(&client, "mine").await {
            assert_eq!(status, 403, "{call}");
        }
    }
}

#[tokio::test]
async fn a_token_dies_with_its_build() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    rig.api.deregister(BUILD);
    for (call, status) in every_call(&client, "mine").await {
        assert_eq!(status, 401, "{call}");
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let rig = Rig::new().await;
    // A real token of this controller, and all that can be made of it without its key.
    let real = rig.token(sidecar(), sidecar_scopes());
    let claims = rig.api.tokens.check(real.expose()).expect("valid").as_ref().clone();
    let key = EncodingKey::from_secret(b"a key of somebody else's, as long");
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("signed");
    let parts: Vec<&str> = real.expose().split('.').collect();
    // {"alg":"HS512","typ":"JWT"}, and the signature that belongs to it.
    let claimed = format!("eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.{}", parts[1]);
    let mut hmac = Hmac::<sha2::Sha512>::new_from_slice(b"a key of somebody else's, as long").expect("any length");
    hmac.update(claimed.as_bytes());
    let sha512 = format!("{claimed}.{}", BASE64_URL_SAFE_NO_PAD.encode(hmac.finalize().into_bytes()));
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let mut flipped = real.expose().to_owned();
    flipped.replace_range(parts[0].len() + 5..parts[0].len() + 6, "A");
    let forged = [
        ("nothing", String::new()),
        ("noise", "noise".to_owned()),
        ("another key", signed),
        ("another algorithm", sha512),
        ("no algorithm, no signature", format!("{none}.{}.", parts[1])),
        ("no algorithm, old signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("changed claims", flipped),
    ];
    for (what, token) in forged {
        let status = rig.client(BUILD, Token::new(token)).plan("mine").await.expect_err(what).status();
        assert_eq!(status, Some(401), "{what}");
    }
    rig.client(BUILD, real).plan("mine").await.expect("the real one is good");
}

#[tokio::test]
async fn a_token_with_wrong_claims_is_refused_though_the_key_is_right() {
    let rig = Rig::new().await;
    let real = rig.token(sidecar(), sidecar_scopes());
    let claims = rig.api.tokens.check(real.expose()).expect("valid").as_ref().clone();
    let now = claims.iat;
    let wrong = [
        ("audience", Claims { aud: "public-api".to_owned(), ..claims.clone() }),
        ("issuer", Claims { iss: "somebody".to_owned(), ..claims.clone() }),
        ("expired", Claims { exp: now - 60, ..claims.clone() }),
        ("the next attempt", Claims { attempt: 2, ..claims.clone() }),
        ("another job", Claims { role: Role::Sidecar { job: "nobody".to_owned() }, ..claims.clone() }),
    ];
    for (what, claims) in wrong {
        let token = rig.api.tokens.sign(&claims).expect("signed");
        let status = rig.client(BUILD, token).plan("mine").await.expect_err(what).status();
        assert_eq!(status, Some(401), "{what}");
    }
    assert_eq!((claims.aud.as_str(), claims.iss.as_str()), (AUDIENCE, ISSUER));
}

#[tokio::test]
async fn an_artifact_is_saved_once_and_never_changes() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let stored = client.save_artifact("out", Body::from("first")).await.expect("stored");
    assert_eq!(stored.size, 5);
    let again = client.save_artifact("out", Body::from("second")).await.expect_err("a conflict");
    assert_eq!(again.status(), Some(409));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_and_can_be_made_again() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let broken = futures::stream::iter([Ok("half"), Err(std::io::Error::other("the sidecar died"))]);
    client.save_artifact("out", Body::wrap_stream(broken)).await.expect_err("a broken upload");
    let reader = Role::Sidecar { job: "reader".to_owned() };
    let reader = rig.client(BUILD, rig.token(reader, vec![Scope::ArtifactRead("out".to_owned())]));
    assert!(reader.artifact("out").await.expect("an answer").is_none());
    client.save_artifact("out", Body::from("whole")).await.expect("stored");
    let bytes = reader.artifact("out").await.expect("an answer").expect("the artifact");
    let bytes: Vec<_> = bytes.try_collect().await.expect("whole");
    assert_eq!(bytes.concat(), b"whole");
}

#[tokio::test]
async fn a_log_that_breaks_off_and_goes_on_is_kept_whole() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let frame = |text: &'static str| {
        let mut encoded = bytes::BytesMut::new();
        LogFrame { stream: LogStream::Stdout, time_ms: 1, bytes: text.into() }.encode(&mut encoded);
        encoded.freeze()
    };
    let broken = futures::stream::iter([Ok(frame("one")), Err(std::io::Error::other("the connection broke"))]);
    client.send_log(Some("mine"), Body::wrap_stream(broken)).await.expect_err("a broken log");
    client.send_log(Some("mine"), Body::from(frame("two"))).await.expect("the rest");
    for (part, text) in ["one", "two"].into_iter().enumerate() {
        let name = names::log(BUILD, Some("mine"), part as u32);
        let bytes = rig.api.blobs.get(&name).await.expect("a store").expect("a part");
        let bytes: Vec<_> = bytes.try_collect().await.expect("whole");
        assert_eq!(bytes.concat(), frame(text));
    }
}

#[tokio::test]
async fn a_build_has_a_limit_of_words() {
    let rig = Rig::defining().await;
    let client = rig.client(BUILD, rig.token(Role::Script { job: None }, script_scopes()));
    let report = "x".repeat(64 * 1024);
    let mut taken = 0;
    let refused = loop {
        match client.report(&report).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((taken, refused.status()), (255, Some(429)));
}

#[tokio::test]
async fn the_three_transports_give_the_same_answers() {
    let rig = Rig::defining().await;
    let socket = rig.dir.path().join("api");
    std::fs::create_dir(&socket).expect("a directory");
    let _unix = Listener::unix(&socket, "api.sock", socket_router(rig.api.clone(), SILENCE)).expect("a socket");
    let address = "127.0.0.1:0".parse().expect("an address");
    let (_tcp, address) =
        Listener::tcp(address, socket_router(rig.api.clone(), SILENCE), None).await.expect("a socket");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(socket.join("api.sock")).expect("a socket").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    let mut answers = Vec::new();
    for transport in 0..3 {
        let token = rig.token(Role::Script { job: None }, script_scopes());
        let client = match transport {
            0 => rig.client(BUILD, token),
            1 => Client::unix(&socket.join("api.sock"), BUILD, token).expect("a client"),
            _ => Client::tcp(&format!("http://{address}"), BUILD, token).expect("a client"),
        };
        assert_eq!(client.param("a/b ?").await.expect("an answer").as_deref(), Some("value"));
        answers.push(every_call(&client, "mine").await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn what_a_script_sends_is_checked() {
    let rig = Rig::defining().await;
    let client = rig.client(BUILD, rig.token(Role::Script { job: None }, script_scopes()));
    let long = "x".repeat(64 * 1024 + 1);
    let status = |result: Result<(), ClientError>| result.err().and_then(|error| error.status());
    assert_eq!(status(client.publish("", "{}").await), Some(400));
    assert_eq!(status(client.publish(&"n".repeat(129), "{}").await), Some(400));
    assert_eq!(status(client.publish("line\nbreak", "{}").await), Some(400));
    assert_eq!(status(client.publish("name", "{").await), Some(400));
    assert_eq!(status(client.publish("name", &format!("\"{long}\"")).await), Some(413));
    assert_eq!(status(client.report(&long).await), Some(413));
    let far_too_long = client.report(&"x".repeat(1 << 20)).await.expect_err("a refusal");
    assert_eq!(far_too_long.status(), Some(413));
    assert!(far_too_long.to_string().contains("more than one call may hand over"), "{far_too_long}");
    let nowhere = client.file("").await.err().expect("a refusal");
    assert!(nowhere.status() == Some(400) && nowhere.to_string().contains("is empty"), "{nowhere}");
    assert_eq!(status(client.publish("name", r#"{"a": [1, null]}"#).await), None);
}

#[tokio::test]
async fn a_token_is_good_for_its_own_attempt_and_no_other() {
    let rig = Rig::defining().await;
    let build = rig.api.build(BUILD).expect("a build");
    let again = JobDraft { retry: Some(1), ..JobDraft::action("mine") };
    let jobs = check(&[again], &[]).expect("no faults").graph.into_jobs();
    build.record(EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] }).await.expect("told");
    let client = |attempt| {
        let role = Role::Script { job: Some("mine".to_owned()) };
        let token = rig.api.tokens.issue(BUILD, (role, attempt), action_scopes(), Duration::from_secs(60));
        rig.client(BUILD, token.expect("a token"))
    };
    let (first, second) = (client(1), client(2));
    let start = |attempt| build.record(EventBody::JobStarted { job: "mine".to_owned(), attempt });
    start(1).await.expect("told");
    first.report("one").await.expect("it runs");
    assert_eq!(second.report("two").await.expect_err("not yet").status(), Some(401));
    let ending = Ending::ActionFailed { message: "once more".to_owned() };
    build
        .record(EventBody::JobEnded { job: "mine".to_owned(), attempt: 1, ending: ending.clone() })
        .await
        .expect("told");
    drop(build.state().step(Input::Tick { now_ms: u64::MAX }));
    start(2).await.expect("told");
    assert_eq!(first.report("late").await.expect_err("over").status(), Some(401));
    second.report("two").await.expect("it runs");
    // Nor does the end of the first attempt end the second.
    let late = build.record(EventBody::JobEnded { job: "mine".to_owned(), attempt: 1, ending }).await;
    assert!(matches!(late, Err(Refused::Command(CommandError::AttemptOver { attempt: 1, .. }))), "{late:?}");
    assert!(build.state().works(Some("mine"), 2));
}

#[tokio::test]
async fn what_a_sidecar_reports_is_written_down_before_it_is_answered() {
    let rig = Rig::new().await;
    let build = rig.api.build(BUILD).expect("a build");
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    client.job_running("mine").await.expect("taken");
    client.report_outputs("mine", b"version=1\nmonkeyci.warning=old".to_vec()).await.expect("taken");
    client.report_tests("mine", None, Body::from("<testsuite><testcase name='a'/></testsuite>")).await.expect("taken");
    let known = build.job_outcome("mine").expect("a job").results;
    assert_eq!((known.outputs["version"].as_str(), known.tests.map(|tests| tests.total)), ("1", Some(1)));
    client.job_result("mine", &SidecarReport::Ended(Ending::Succeeded)).await.expect("taken");
    let reported = build.state().job("mine").and_then(|known| known.reported.clone());
    assert_eq!(reported.as_deref(), Some(&SidecarReport::Ended(Ending::Succeeded)));
    let kinds: Vec<_> = build.events_after(0, (99, 1 << 20), |event| event.body.job() == Some("mine")).0;
    let kinds: Vec<_> = kinds.iter().map(|event| event.body.kind()).collect();
    assert_eq!(kinds, ["job/started", "job/running", "job/results", "job/results", "job/reported"]);
}

#[tokio::test]
async fn a_page_of_events_has_no_more_bytes_than_it_should() {
    let rig = Rig::new().await;
    let client = rig.client(BUILD, rig.token(Role::Script { job: Some("mine".to_owned()) }, action_scopes()));
    for _ in 0..40 {
        client.publish("large", &format!("\"{}\"", "x".repeat(60_000))).await.expect("taken");
    }
    let query = EventQuery { after: Some(0), names: vec!["large".to_owned()], ..EventQuery::default() };
    let first = client.events(&query).await.expect("an answer");
    assert_eq!(first.events.len(), 18, "as many as make 1 MiB");
    let rest = client.events(&EventQuery { after: Some(first.seen), ..query }).await.expect("an answer");
    assert_eq!(rest.events.len(), 18);
}

#[tokio::test]
async fn an_action_waits_for_as_many_jobs_as_a_graph_may_have() {
    let rig = Rig::defining().await;
    let build = rig.api.build(BUILD).expect("a build");
    let ids: Vec<String> = (0..20_000).map(|n| format!("a-job-with-a-long-name-{n:08}")).collect();
    let drafts: Vec<_> = ids.iter().map(JobDraft::action).chain([JobDraft::action("mine")]).collect();
    let jobs = check(&drafts, &[]).expect("no faults").graph.into_jobs();
    build.record(EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] }).await.expect("told");
    let end = |job: &str| EventBody::JobEnded { job: job.to_owned(), attempt: 1, ending: Ending::Succeeded };
    let last = ids.last().expect("many");
    build.record(end(last)).await.expect("told");
    build.record(EventBody::JobStarted { job: "mine".to_owned(), attempt: 1 }).await.expect("told");
    let client = rig.client(BUILD, rig.token(Role::Script { job: Some("mine".to_owned()) }, action_scopes()));
    let query = WaitQuery { jobs: ids.clone(), wait_ms: 0, forever: false };
    assert_eq!(client.wait_for_jobs(&query).await.expect("an answer").as_ref(), Some(last));
}

#[tokio::test]
async fn the_jobs_of_a_build_have_a_limit_of_results() {
    let rig = Rig::new().await;
    let build = rig.api.build(BUILD).expect("a build");
    // Other values each time: what was said before is not taken again.
    let say = |number: u32| {
        let outputs = (0..16).map(|n| (n.to_string(), format!("{number:02}{}", "x".repeat((64 << 10) - 2)))).collect();
        let results = Box::new(Results { outputs, ..Results::default() });
        build.command(BuildCommand::Say { job: "mine".to_owned(), attempt: 1, results })
    };
    for number in 0..31 {
        say(number).await.expect("taken");
    }
    let refused = say(31).await.expect_err("used up");
    assert!(matches!(refused, Refused::Command(CommandError::ResultsUsedUp)), "{refused}");
    // That nothing more is taken can be told.
    let client = rig.client(BUILD, rig.token(sidecar(), sidecar_scopes()));
    let file: String = (0..16).map(|n| format!("more-{n}={}\n", "x".repeat(65_000))).collect();
    let refused = client.report_outputs("mine", file.into_bytes()).await.expect_err("used up");
    assert_eq!(refused.status(), Some(429));
    let warning = build.job_outcome("mine").expect("a job").results.warning.expect("a warning");
    assert!(warning.contains("none of its outputs count") && warning.contains("32 MiB"), "{warning}");
}
