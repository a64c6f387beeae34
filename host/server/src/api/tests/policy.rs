//! What builds may by where they come from: from a webhook to what the host is asked for.

use monkeyci_build::{Caches, Requested};

use super::webhooks::{signed, webhook};
use super::*;
use crate::policy::{BuildPolicy, Policy, Rule, Run};

const COMMIT: &str = "95790bf891e76fee5e1747ab589903a6a1f80f22";

/// The webhook of a pull request of GitHub: its number, and the commit of a fork, or of the repository itself.
fn pull_request(delivery: &str, number: u64, commit: &str, is_fork: bool) -> Request {
    let head = if is_fork { 2 } else { 1 };
    let body = json!({
        "action": "synchronize", "number": number, "sender": { "id": 1, "login": "admin" },
        "pull_request": {
            // Whatever somebody calls themselves.
            "user": { "id": 42, "login": "token admin" },
            "head": { "ref": "main", "sha": commit, "repo": { "id": head, "full_name": "o/own" } },
            "base": { "ref": "main", "sha": "a".repeat(40), "repo": { "id": 1, "full_name": "o/own" } },
        },
    });
    let body = body.to_string().into_bytes();
    webhook("own", delivery, "pull_request", Some(&signed(SECRET, &body)), &body)
}

impl Setting {
    async fn delivered(&self, request: Request) -> String {
        let (status, _, told) = self.ask(request).await;
        assert_eq!(status, 202, "{told}");
        told["build"].as_str().expect("a build").to_owned()
    }

    async fn approves(&self, build: &str, scope: Scope, body: &Value) -> u16 {
        let token = self.token(&[scope], None, None).await;
        let path = format!("/api/v1/builds/{build}/approve");
        let approve = request(route(RouteId::ApproveBuild), &path, Some(&token), body.to_string().as_bytes());
        self.ask(approve).await.0.as_u16()
    }

    async fn shown(&self, build: &str) -> Value {
        let token = self.token(&[Scope::Read], None, None).await;
        let path = format!("/api/v1/builds/{build}");
        self.ask(request(route(RouteId::ShowBuild), &path, Some(&token), b"")).await.2
    }

    /// What the host was asked for, once it has the build, and what is warned of.
    async fn requested(&self, build: &str) -> (Requested, Vec<String>) {
        let requested = async {
            loop {
                let events = self.server.host().builds().events_after(build, 0).await.unwrap_or_default();
                let is_over = events.iter().any(|event| event.body.kind() == "build/ended");
                if let Some(requested) = Requested::of(&events).filter(|_| is_over) {
                    let said = events.iter().filter_map(|event| match &event.body {
                        monkeyci_build::EventBody::BuildWarned { message } => Some(message.clone()),
                        _ => None,
                    });
                    return (requested.clone(), said.collect());
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANGS, requested).await.expect("it begins, and ends since there is no code")
    }
}

async fn with_secrets(server: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Setting {
    let setting = Setting::with(|host| host, server).await;
    let own = setting.server.0.store.repository("own").await.expect("read").expect("there");
    setting.server.0.store.store_script(own.id, b"no component").await.expect("stored");
    let token = setting.token(&[Scope::Secrets], None, None).await;
    for name in ["deploy-key", "test-db"] {
        let path = format!("/api/v1/secrets/{name}");
        let body = json!({ "value": "hunter2", "reveal": true }).to_string();
        let (status, ..) = setting.ask(request(route(RouteId::SetSecret), &path, Some(&token), body.as_bytes())).await;
        assert_eq!(status, 204);
    }
    setting
}

#[tokio::test]
async fn a_forks_build_waits_until_its_commit_is_approved_and_has_no_secret_and_no_caches_but_its_own() {
    let setting = with_secrets(|server| server).await;
    let build = setting.delivered(pull_request("1", 7, COMMIT, true)).await;
    let shown = setting.shown(&build).await;
    let told = (&shown["status"], &shown["origin"], &shown["commit"], &shown["branch"]);
    assert_eq!(told, (&json!("pending"), &json!("fork"), &json!(COMMIT), &Value::Null), "{shown}");
    // Another commit than the one that somebody has looked at is not approved with it, and neither is it by who may only start builds.
    for (scope, body, expected) in [
        (Scope::Approve, json!({ "commit": "b".repeat(40) }), 409),
        (Scope::Approve, json!({}), 409),
        (Scope::Approve, json!({ "commit": &COMMIT[..12] }), 409),
        (Scope::Trigger, json!({ "commit": COMMIT }), 403),
    ] {
        assert_eq!(setting.approves(&build, scope, &body).await, expected, "{body}");
    }
    setting.server.0.starting.wake();
    assert_eq!(setting.shown(&build).await["status"], "pending");
    assert_eq!(setting.approves(&build, Scope::Approve, &json!({ "commit": COMMIT })).await, 204);
    let (requested, warned) = setting.requested(&build).await;
    assert!(requested.secrets.is_empty() && requested.reveal.is_empty(), "{requested:?}");
    assert_eq!(requested.confined.caches, Some(Caches::Own("pull-7".to_owned())));
    let source = serde_json::to_value(&requested.source).expect("JSON");
    assert_eq!(source["reference"], format!("refs/pull/7/head@{COMMIT}"));
    // It is told nothing of a branch: the fork's is called main.
    assert_eq!((&requested.given.branch, &requested.given.tag), (&None, &None));
    let withheld = "the secret \"deploy-key\" is withheld from this build: it comes from fork, and the server's policy does not let it";
    assert!(warned.iter().any(|said| said == withheld), "{warned:?}");
    assert_eq!(setting.shown(&build).await["approved_by"], "token t");
    assert_eq!(
        setting.approves(&build, Scope::Approve, &json!({ "commit": COMMIT })).await,
        409,
        "it is approved once"
    );
    let uses = setting.server.0.store.uses((Some(&build), None, None), None, 10).await.expect("read");
    assert_eq!(uses, [], "it was given nothing");

    // The repository's own pull request has what its branches have, without anybody's approval.
    let own = setting.delivered(pull_request("2", 8, COMMIT, false)).await;
    let (requested, _) = setting.requested(&own).await;
    assert_eq!(requested.secrets.keys().collect::<Vec<_>>(), ["deploy-key", "test-db"]);
    assert!(requested.confined.is_empty() && requested.given.branch.as_deref() == Some("main"), "{requested:?}");
}

#[tokio::test]
async fn of_a_pull_request_the_last_commit_waits_for_approval_and_what_is_cancelled_never_begins() {
    let setting = with_secrets(|server| server).await;
    let first = setting.delivered(pull_request("1", 7, COMMIT, true)).await;
    let other = setting.delivered(pull_request("2", 8, COMMIT, true)).await;
    let second = setting.delivered(pull_request("3", 7, &"b".repeat(40), true)).await;
    for (build, status) in [(&first, "cancelled"), (&other, "pending"), (&second, "pending")] {
        assert_eq!(setting.shown(build).await["status"], status);
    }
    assert_eq!(setting.approves(&first, Scope::Approve, &json!({ "commit": COMMIT })).await, 409);
    let token = setting.token(&[Scope::Trigger], None, None).await;
    let path = format!("/api/v1/builds/{other}/cancel");
    let (status, ..) = setting.ask(request(route(RouteId::CancelBuild), &path, Some(&token), b"")).await;
    assert_eq!((status.as_u16(), &setting.shown(&other).await["status"]), (204, &json!("cancelled")));
    let store = &setting.server.0.store;
    let own = store.repository("own").await.expect("read").expect("there").id;
    let asked = Asked { key: "x".to_owned(), ..Asked::default() };
    let new = NewBuild { build: "local/own/x".to_owned(), asked, state: State::Pending };
    let full = store.take_build((own, &new), 1, Most { pending: 1, ..most(100) }).await.expect("asked");
    assert_eq!(full, Taken::Full { of_repository: true });
}

#[tokio::test]
async fn what_a_file_says_counts_for_pushes_tokens_and_forks_and_an_embedder_has_a_policy_of_its_own() {
    let policy = Policy::from_text(
        r#"
        trusted-branches = ["main"]
        [branch]
        secrets = ["test-*"]
        reveal = []
        cache = "none"
        network = "none"
        [fork]
        run = "no"
        [api]
        run = "approval"
        "#,
    )
    .expect("a policy");
    let setting = with_secrets(|server| server.policy(policy)).await;
    let push = async |delivery: &str, branch: &str, commit: char| {
        let commit = commit.to_string().repeat(40);
        let body = json!({ "ref": format!("refs/heads/{branch}"), "after": commit, "commits": [] }).to_string();
        let signature = signed(SECRET, body.as_bytes());
        let build = setting.delivered(webhook("own", delivery, "push", Some(&signature), body.as_bytes())).await;
        setting.requested(&build).await
    };
    let (trusted, _) = push("1", "main", 'a').await;
    assert!(trusted.secrets.len() == 2 && trusted.reveal.len() == 2 && trusted.confined.is_empty(), "{trusted:?}");
    let (topic, warned) = push("2", "topic", 'b').await;
    assert_eq!(topic.secrets.keys().collect::<Vec<_>>(), ["test-db"]);
    assert!(topic.reveal.is_empty() && topic.confined.no_network);
    assert!(matches!(&topic.confined.caches, Some(Caches::Apart(_))), "{topic:?}");
    assert_eq!(warned.iter().filter(|said| said.contains("reach their services and no other network")).count(), 1);
    let (status, _, told) = setting.ask(pull_request("3", 7, COMMIT, true)).await;
    assert_eq!((status.as_u16(), &told["build"]), (202, &Value::Null), "{told}");
    assert!(told["outcome"].as_str().is_some_and(|outcome| outcome.contains("fork")), "{told}");
    let token = setting.token(&[Scope::Trigger], None, None).await;
    let trigger = request(route(RouteId::TriggerBuild), "/api/v1/repositories/own/builds", Some(&token), b"{}");
    let (_, _, told) = setting.ask(trigger).await;
    assert_eq!(told["status"], "pending", "{told}");
    let build = told["build"].as_str().expect("a build");
    assert_eq!(setting.approves(build, Scope::Approve, &json!({ "commit": COMMIT })).await, 409, "it names none");
    assert_eq!(setting.approves(build, Scope::Approve, &json!({})).await, 204);
    setting.requested(build).await;

    #[derive(Debug)]
    struct Nobody;
    impl BuildPolicy for Nobody {
        fn rule(&self, _: &crate::BuildFacts) -> Rule {
            Rule { run: Run::No, ..Rule::stranger() }
        }
    }
    let setting = Setting::with(|host| host, |server| server.policy(Nobody)).await;
    let token = setting.token(&[Scope::Admin], None, None).await;
    let trigger = request(route(RouteId::TriggerBuild), "/api/v1/repositories/own/builds", Some(&token), b"{}");
    assert_eq!(setting.ask(trigger).await.0, 403);
}
