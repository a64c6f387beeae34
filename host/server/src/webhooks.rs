//! Webhooks of forges. Whoever sends them has no token: what they say counts when it is signed with the secret of the repository that they are for.

use axum::response::{IntoResponse, Json, Response};
use hmac::{Hmac, Mac};
use http::{HeaderMap, StatusCode};
use monkeyci_build::Given;
use sha2::{Digest, Sha256};

use crate::Server;
use crate::api::wire::DeliveredBody;
use crate::budget::{KEPT_DELIVERIES, LONGEST_KEY, WAITING};
use crate::forge::{self, Push};
use crate::refusal::Refusal;
use crate::starting::build_id;
use crate::store::{Asked, Delivered, NewDelivery, Repository};

/// What is signed with where there is no such repository: so that nobody learns by the time that it takes which there are.
const NOBODYS_SECRET: &[u8] = b"there is no such repository";

/// Takes a webhook of GitHub. Nothing of the body is looked at before its signature is.
pub(crate) async fn github(server: &Server, name: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    let repository = server.0.store.repository(name).await?;
    let secret = repository.as_ref().map_or(NOBODYS_SECRET, |repository| repository.hook_secret.0.as_bytes());
    let is_signed = is_signed(secret, &signature(headers)?, body);
    let repository = repository.filter(|_| is_signed).ok_or_else(not_signed)?;
    let missing = |name: &str| Refusal::invalid(format_args!("the webhook has no {name}"));
    let delivery = header(headers, "x-github-delivery")?.ok_or_else(|| missing("X-GitHub-Delivery"))?;
    if delivery.is_empty() || delivery.len() > LONGEST_KEY {
        return Err(Refusal::invalid(format_args!("X-GitHub-Delivery has 1 to {LONGEST_KEY} characters")));
    }
    let event = header(headers, "x-github-event")?.ok_or_else(|| missing("X-GitHub-Event"))?;
    let (outcome, asked) = match event {
        "push" => match forge::push(body).map_err(|error| Refusal::invalid(format_args!("the push: {error}")))? {
            Push { commit: None, .. } => ("a branch or tag was removed: nothing to build".to_owned(), None),
            Push { commit: Some(commit), given } => {
                ("a build".to_owned(), Some(asked(&repository, delivery, commit, given)))
            }
        },
        "ping" => ("the forge asks whether somebody answers".to_owned(), None),
        other => (format!("events {} start no build", shortened(other)), None),
    };
    let build = asked.as_ref().map(|asked| (build_id(server, &repository, &asked.key), asked));
    let new = NewDelivery {
        repository: repository.id,
        delivery,
        digest: &Sha256::digest(body),
        event: shortened(event),
        outcome: &outcome,
        build: build.as_ref().map(|(build, asked)| (build.as_str(), *asked)),
        received_ms: server.0.host.day_ms(),
    };
    match server.0.store.take_delivery(&new, WAITING, KEPT_DELIVERIES).await? {
        Delivered::New => server.0.starting.wake(),
        Delivered::Before => {
            return Err(Refusal::conflict("this webhook has come before, under this id or another one"));
        }
        Delivered::Full { of_repository } => return Err(Refusal::full(of_repository)),
    }
    let body = DeliveredBody { outcome, build: build.map(|(build, _)| build) };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn asked(repository: &Repository, delivery: &str, commit: String, given: Given) -> Asked {
    // Others may be of the same code, and have the same webhook.
    let key = format!("{}/github/{delivery}", repository.id);
    Asked { key, trigger: "webhook/push".to_owned(), reference: Some(commit), given, ..Asked::default() }
}

/// The signature of a webhook: `sha256=` and an HMAC-SHA256 in hexadecimal. It is looked for before the body is read.
pub(crate) fn signature(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    header(headers, "x-hub-signature-256")?.and_then(read_signature).ok_or_else(not_signed)
}

fn read_signature(text: &str) -> Option<Vec<u8>> {
    text.strip_prefix("sha256=").and_then(unhex).filter(|signature| signature.len() == 32)
}

fn not_signed() -> Refusal {
    Refusal::unauthorised(
        "the webhook is not signed with the secret of a repository of this name (X-Hub-Signature-256)",
    )
}

/// Whether this is the signature of a body with a secret. They are compared in a time that tells nothing of where they differ.
fn is_signed(secret: &[u8], signature: &[u8], body: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(signature).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let text = |value: &'a http::HeaderValue| {
        value.to_str().map_err(|_| Refusal::invalid(format_args!("the header {name} is no text")))
    };
    headers.get(name).map(text).transpose()
}

/// The name of an event, for the list.
fn shortened(event: &str) -> &str {
    event.get(..event.floor_char_boundary(64)).unwrap_or_default()
}

/// A new secret for the webhooks of a repository.
pub(crate) fn secret() -> String {
    crate::tokens::drawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_that_github_documents_is_good_and_none_other_is() {
        // From "Validating webhook deliveries" of GitHub's docs.
        let (secret, body) = (b"It's a Secret to Everybody", b"Hello, World!");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let is_signed = |secret: &[u8], signature: Option<&str>, body: &[u8]| {
            signature.and_then(read_signature).is_some_and(|signature| is_signed(secret, &signature, body))
        };
        assert!(is_signed(secret, Some(good), body));
        assert!(is_signed(secret, Some(&good.to_uppercase().replace("SHA256", "sha256")), body));
        for wrong in [None, Some(""), Some("sha256="), Some(&good[..69]), Some(&good[7..]), Some("sha256=zz")] {
            assert!(!is_signed(secret, wrong, body), "{wrong:?}");
        }
        assert!(!is_signed(b"another", Some(good), body) && !is_signed(secret, Some(good), b"Hello, World?"));
    }
}
