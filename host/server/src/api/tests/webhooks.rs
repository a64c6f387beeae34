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
