//! Webhooks, good and bad.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::*;
use crate::budget::HOOK;

fn signed(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body);
    format!("sha256={}", crate::tokens::hex(&mac.finalize().into_bytes()))
}

fn webhook(repository: &str, delivery: &str, event: &str, signature: Option<&str>, body: &[u8]) -> Request {
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
    for n in 0..6_u8 {
        let new = crate::store::NewDelivery {
            repository: own,
            delivery: &n.to_string(),
            digest: &[n],
            event: "e",
            outcome: "o",
            build: (n == 1).then_some(("local/own/pushed", &asked)),
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
