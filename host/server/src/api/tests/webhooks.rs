//! Webhooks, good and bad.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::*;
use crate::budget::HOOK;
use crate::forge::Forge;

pub(super) fn signed(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    format!("sha256={}", crate::tokens::hex(&mac.finalize().into_bytes()))
}

pub(super) fn webhook(repository: &str, delivery: &str, event: &str, signature: Option<&str>, body: &[u8]) -> Request {
    let path = format!("/api/v1/webhooks/github/{repository}");
    let mut request = request(route(RouteId::GitHubWebhook), &path, None, body);
    let headers =
        [("x-github-delivery", Some(delivery)), ("x-github-event", Some(event)), ("x-hub-signature-256", signature)];
    for (name, value) in headers {
        if let Some(value) = value {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
    }
    request
}

#[tokio::test]
async fn webhooks_that_are_unsigned_wrongly_signed_replayed_huge_or_of_another_type_are_refused_and_start_nothing() {
    let setting = Setting::new().await;
    let body = format!(r#"{{"ref": "refs/heads/main", "after": "{}", "commits": []}}"#, "a".repeat(40)).into_bytes();
    let good = signed(SECRET, &body);
    let status = async |request| setting.ask(request).await.0.as_u16();
    for (repository, signature) in [
        ("own", None),
        ("own", Some(signed("another secret of the tests'", &body))),
        ("own", Some(signed(SECRET, b"{}"))),
        ("own", Some(good.replace("sha256=", "sha1="))),
        ("none", Some(good.clone())),
        ("none", Some(signed("there is no such repository", &body))),
    ] {
        let request = webhook(repository, "1", "push", signature.as_deref(), &body);
        assert_eq!(status(request).await, 401, "{repository} {signature:?}");
    }
    for signature in [None, Some("sha256=00"), Some("sha256=zz"), Some(&good[7..])] {
        // Nothing of its body is waited for.
        let mut request = webhook("own", "1", "push", signature, &body);
        *request.body_mut() = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(status(request).await, 401, "{signature:?}");
    }
    let huge = vec![b' '; HOOK + 1];
    assert_eq!(status(webhook("own", "1", "push", Some(&signed(SECRET, &huge)), &huge)).await, 413);
    let mut form = webhook("own", "1", "push", Some(&good), &body);
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().expect("a value"));
    assert_eq!(status(form).await, 415);
    // Signed, and no push: who has the secret is told what is wrong.
    assert_eq!(status(webhook("own", "1", "push", Some(&signed(SECRET, b"{")), b"{")).await, 400);
    let deliveries = async || setting.server.0.store.deliveries(1, None, 10).await.expect("read");
    let builds = async || {
        setting
            .server
            .0
            .store
            .builds(&crate::store::BuildFilter { limit: 10, ..Default::default() })
            .await
            .expect("read")
            .len()
    };
    assert_eq!((deliveries().await.len(), builds().await), (0, 2));

    assert_eq!(status(webhook("own", "1", "push", Some(&good), &body)).await, 202);
    assert_eq!(status(webhook("own", "1", "push", Some(&good), &body)).await, 409);
    // The signature is for the body alone: whoever has caught one gives it another id.
    assert_eq!(status(webhook("own", "2", "push", Some(&good), &body)).await, 409);
    let ping = br#"{"zen": "Keep it simple"}"#;
    assert_eq!(status(webhook("own", "3", "ping", Some(&signed(SECRET, ping)), ping)).await, 202);
    let outcomes: Vec<_> =
        deliveries().await.into_iter().map(|one| (one.delivery, one.event, one.build.is_some())).collect();
    let expected = [("3", "ping", false), ("1", "push", true)];
    assert_eq!(outcomes, expected.map(|(id, event, built)| (id.to_owned(), event.to_owned(), built)));
    assert_eq!(builds().await, 3);
}

#[tokio::test]
async fn two_repositories_of_the_same_code_each_build_a_delivery_and_so_does_one_that_was_removed_and_added_again() {
    let setting = Setting::new().await;
    let store = &setting.server.0.store;
    let add = async |name: &str| {
        let url = "file:///no/such/own";
        let new = NewRepository { name, url, script_path: None, hook_secret: SECRET, labels: &[], added_ms: 1 };
        store.add_repository(&new).await.expect("added").expect("a new one").id
    };
    let twin = add("twin").await;
    let body = format!(r#"{{"ref": "refs/heads/main", "after": "{}"}}"#, "a".repeat(40)).into_bytes();
    let deliver = async |repository: &str| {
        let request = webhook(repository, "1", "push", Some(&signed(SECRET, &body)), &body);
        let (status, _, told) = setting.ask(request).await;
        assert_eq!(status, 202, "{told}");
        told["build"].as_str().expect("a build").to_owned()
    };
    let (own, of_twin) = (deliver("own").await, deliver("twin").await);
    assert_ne!(own, of_twin);
    while store.build(&of_twin).await.expect("read").expect("there").state == State::Waiting {
        tokio::task::yield_now().await;
    }
    store.remove_repository(twin).await.expect("removed");
    add("twin").await;
    let again = deliver("twin").await;
    assert!(again != own && again != of_twin);
}

#[tokio::test]
async fn of_webhooks_that_start_nothing_the_last_ones_are_kept_and_a_repository_with_a_build_is_not_removed() {
    let setting = Setting::new().await;
    let store = &setting.server.0.store;
    let own = store.repository("own").await.expect("read").expect("there").id;
    let asked = Asked { key: "pushed".to_owned(), ..Asked::default() };
    let pushed = [NewBuild { build: "local/own/pushed".to_owned(), asked, state: State::Waiting }];
    for n in 0..6_u8 {
        let new = crate::store::NewDelivery {
            repository: own,
            delivery: &n.to_string(),
            digest: &[n],
            event: "e",
            outcome: "o",
            builds: if n == 1 { &pushed } else { &[] },
            received_ms: 1,
        };
        assert_eq!(store.take_delivery(&new, most(100), 3).await.expect("written"), crate::store::Delivered::New);
    }
    let kept: Vec<_> =
        store.deliveries(own, None, 10).await.expect("read").into_iter().map(|one| one.delivery).collect();
    assert_eq!(kept, ["5", "4", "3", "1"]);

    let builds = store.open_builds(own).await.expect("read");
    for build in &builds {
        assert!(!store.remove_repository(own).await.expect("asked"), "{} waits", build.build);
        store.settle_build(build.number, State::Begun, None).await.expect("written");
    }
    for build in &builds {
        assert!(!store.remove_repository(own).await.expect("asked"), "{} goes on", build.build);
        store.build_ended(build.number, "success").await.expect("written");
    }
    assert!(builds.len() == 2 && store.remove_repository(own).await.expect("asked"));
    assert_eq!(store.repository("own").await.expect("read"), None);
}

/// How each forge shows the secret, and how it calls the delivery and the event, beside a push.
fn of_forge(forge: Forge, delivery: &str, secret: &str, body: &[u8]) -> Request {
    let id = match forge {
        Forge::GitHub => RouteId::GitHubWebhook,
        Forge::GitLab => RouteId::GitLabWebhook,
        Forge::Gitea => RouteId::GiteaWebhook,
        Forge::Forgejo => RouteId::ForgejoWebhook,
        Forge::Bitbucket => RouteId::BitbucketWebhook,
    };
    let with_prefix = signed(secret, body);
    let (proof, event) = match forge {
        Forge::GitHub => (with_prefix.as_str(), "push"),
        Forge::Bitbucket => (with_prefix.as_str(), "repo:push"),
        Forge::GitLab => (secret, "Push Hook"),
        Forge::Gitea | Forge::Forgejo => (&with_prefix["sha256=".len()..], "push"),
    };
    let path = format!("/api/v1/webhooks/{}/own", forge.as_str());
    let mut request = request(route(id), &path, None, body);
    let headers =
        [(forge.proof_header(), proof), (forge.delivery_headers()[0], delivery), (forge.event_header(), event)];
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    request
}

#[tokio::test]
async fn each_forge_is_let_in_by_its_own_proof_and_a_delivery_starts_its_build_once() {
    let setting = Setting::new().await;
    let status = async |request| setting.ask(request).await.0.as_u16();
    for (at, forge) in Forge::ALL.into_iter().enumerate() {
        let commit = at.to_string().repeat(40).replace('0', "a");
        let body = match forge {
            Forge::Bitbucket => json!({ "push": { "changes": [
                { "new": { "type": "branch", "name": "main", "target": { "hash": commit } } },
                { "new": { "type": "tag", "name": "v1", "target": { "hash": commit } } },
            ] } }),
            _ => json!({ "ref": "refs/heads/main", "after": commit }),
        };
        let body = body.to_string().into_bytes();
        assert_eq!(status(of_forge(forge, "1", "another secret of the tests'", &body)).await, 401, "{forge:?}");
        // What proves another forge's webhook proves none of this one.
        for other in Forge::ALL.into_iter().filter(|other| other.proof_header() != forge.proof_header()) {
            let mut wrong = of_forge(forge, "1", SECRET, &body);
            let proof =
                of_forge(other, "1", SECRET, &body).headers_mut().remove(other.proof_header()).expect("a proof");
            wrong.headers_mut().remove(forge.proof_header());
            wrong.headers_mut().insert(other.proof_header(), proof);
            assert_eq!(status(wrong).await, 401, "{forge:?} {other:?}");
        }
        let mut without = of_forge(forge, "1", SECRET, &body);
        without.headers_mut().remove(forge.delivery_headers()[0]);
        assert_eq!(status(without).await, 400, "{forge:?}");
        let (answered, _, told) = setting.ask(of_forge(forge, &format!("{forge:?}"), SECRET, &body)).await;
        let builds = told["builds"].as_array().expect("a list");
        assert_eq!((answered.as_u16(), builds.len()), (202, if forge == Forge::Bitbucket { 2 } else { 1 }), "{told}");
        for build in builds {
            assert!(setting.server.0.store.build(build.as_str().expect("an id")).await.expect("read").is_some());
        }
        for delivery in [format!("{forge:?}"), "another".to_owned()] {
            assert_eq!(status(of_forge(forge, &delivery, SECRET, &body)).await, 409, "{forge:?} {delivery}");
        }
    }
}
