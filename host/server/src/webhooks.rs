//! Webhooks of forges. Whoever sends them has no token: what they say counts when it is signed with the secret of the repository that they are for.

use axum::response::{IntoResponse, Json, Response};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::Server;
use crate::api::wire::DeliveredBody;
use crate::budget::{KEPT_DELIVERIES, LONGEST_KEY, WAITING};
use crate::forge::{Change, Forge, Happened, Shown, shortened};
use crate::origin::{BuildFacts, Origin};
use crate::policy::Run;
use crate::refusal::Refusal;
use crate::starting::build_id;
use crate::store::{Asked, Delivered, NewBuild, NewDelivery, Repository, State};

/// What is signed with where there is no such repository: so that nobody learns by the time that it takes which there are.
const NOBODYS_SECRET: &[u8] = b"there is no such repository";

/// Takes a webhook. Nothing of the body is looked at before its signature is.
pub(crate) async fn take(
    server: &Server,
    forge: Forge,
    (name, headers, body): (&str, &HeaderMap, &[u8]),
) -> Result<Response, Refusal> {
    let shown = shown(forge, headers)?;
    let repository = server.0.store.repository(name).await?;
    let secret = repository.as_ref().map_or(NOBODYS_SECRET, |repository| repository.hook_secret.0.as_bytes());
    let is_signed = shown.is_good(secret, body);
    let repository = repository.filter(|_| is_signed).ok_or_else(|| not_signed(forge))?;
    let missing = |name: &str| Refusal::invalid(format_args!("the webhook has no {name}"));
    let mut delivery = None;
    for name in forge.delivery_headers() {
        delivery = delivery.or(header(headers, name)?);
    }
    let delivery = delivery.ok_or_else(|| missing(forge.delivery_headers()[0]))?;
    if delivery.is_empty() || delivery.len() > LONGEST_KEY {
        return Err(Refusal::invalid(format_args!("a delivery's id has 1 to {LONGEST_KEY} characters")));
    }
    let event = header(headers, forge.event_header())?.ok_or_else(|| missing(forge.event_header()))?;
    let happened = forge.happened(event, body);
    let happened =
        happened.map_err(|error| Refusal::invalid(format_args!("the event {}: {error}", shortened(event))))?;
    let (outcome, builds) = match happened {
        Happened::Nothing(said) => (said, Vec::new()),
        Happened::Changes(changes) => builds(server, &repository, (forge, delivery), changes),
    };
    let new = NewDelivery {
        repository: repository.id,
        delivery,
        digest: &Sha256::digest(body),
        event: shortened(event),
        outcome: &outcome,
        builds: &builds,
        received_ms: server.0.host.day_ms(),
    };
    match server.0.store.take_delivery(&new, WAITING, KEPT_DELIVERIES).await? {
        Delivered::New => server.0.starting.wake(),
        Delivered::Before => {
            return Err(Refusal::conflict("this webhook has come before, under this id or another one"));
        }
        Delivered::Full { of_repository } => return Err(Refusal::full(of_repository)),
    }
    // Those that it has superseded are over.
    server.0.starting.has_changed();
    let builds: Vec<String> = builds.into_iter().map(|new| new.build).collect();
    Ok((StatusCode::ACCEPTED, Json(DeliveredBody { outcome, build: builds.first().cloned(), builds })).into_response())
}

/// The builds of what has happened that the policy lets be, and what is to be said of them.
fn builds(
    server: &Server,
    repository: &Repository,
    (forge, delivery): (Forge, &str),
    changes: Vec<Change>,
) -> (String, Vec<NewBuild>) {
    let (mut builds, mut said) = (Vec::new(), Vec::new());
    for (at, Change { reference, given, origin, pull }) in changes.into_iter().enumerate() {
        let trigger = if pull.is_some() { "webhook/pull_request" } else { "webhook/push" };
        // Others may be of the same code, and have the same webhook.
        let mut key = format!("{}/{}/{delivery}", repository.id, forge.as_str());
        if at > 0 {
            key.push_str(&format!("/{at}"));
        }
        let asked = Asked {
            key,
            trigger: trigger.to_owned(),
            reference: Some(reference),
            given,
            origin: matches!(origin, Origin::PullRequest | Origin::Fork).then_some(origin),
            pull,
            ..Asked::default()
        };
        let state = match server.0.policy.rule(&BuildFacts::of(repository, &asked, None)).run {
            Run::Yes => State::Waiting,
            Run::Approval => State::Pending,
            Run::No => {
                said.push(format!("by the policy, what comes from {origin} starts no build"));
                continue;
            }
        };
        said.push(match state {
            State::Pending => "a build, which waits for approval".to_owned(),
            _ => "a build".to_owned(),
        });
        builds.push(NewBuild { build: build_id(server, repository, &asked.key), asked, state });
    }
    said.dedup();
    (said.join("; "), builds)
}

/// What a webhook shows of itself. It is looked for before the body is read.
pub(crate) fn shown(forge: Forge, headers: &HeaderMap) -> Result<Shown, Refusal> {
    forge.shown(headers).ok_or_else(|| not_signed(forge))
}

fn not_signed(forge: Forge) -> Refusal {
    Refusal::unauthorised(format_args!(
        "the webhook does not show the secret of a repository of this name ({})",
        forge.proof_header()
    ))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let text = |value: &'a http::HeaderValue| {
        value.to_str().map_err(|_| Refusal::invalid(format_args!("the header {name} is no text")))
    };
    headers.get(name).map(text).transpose()
}

/// A new secret for the webhooks of a repository.
pub(crate) fn secret() -> String {
    crate::tokens::drawn()
}
