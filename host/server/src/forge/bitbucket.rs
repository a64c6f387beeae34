//! Events of Bitbucket Cloud.

use monkeyci_build::Given;
use serde::Deserialize;

use super::{Change, Happened, Pull};
use crate::budget::MAX_REFS;
use crate::forge::ForgeEventError;
use crate::origin::Origin;

#[derive(Deserialize)]
struct PushEvent {
    push: Changes,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<RefChange>,
}

#[derive(Deserialize)]
struct RefChange {
    /// None where it was removed.
    new: Option<NewRef>,
}

#[derive(Deserialize)]
struct NewRef {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    hash: String,
}

#[derive(Deserialize)]
struct PullRequestEvent {
    pullrequest: PullRequest,
}

#[derive(Deserialize)]
struct PullRequest {
    id: u64,
    author: Author,
    source: Side,
    destination: Side,
}

#[derive(Deserialize)]
struct Author {
    uuid: String,
}

#[derive(Deserialize)]
struct Side {
    branch: Branch,
    commit: Target,
    /// None where the fork was removed.
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Branch {
    name: String,
}

#[derive(Deserialize)]
struct Repository {
    uuid: String,
}

pub(super) fn push(body: &[u8]) -> Result<Happened, ForgeEventError> {
    let PushEvent { push: Changes { changes } } = serde_json::from_slice(body)?;
    if changes.len() > MAX_REFS {
        return Err(ForgeEventError::Wrong(format!("more than {MAX_REFS} branches and tags are pushed at once")));
    }
    let mut pushed = Vec::new();
    for new in changes.into_iter().filter_map(|change| change.new) {
        let (branch, tag, origin) = match new.kind.as_str() {
            "branch" => (Some(new.name), None, Origin::Push),
            "tag" | "annotated_tag" => (None, Some(new.name), Origin::Tag),
            _ => continue,
        };
        let given = Given { branch, tag, known: true, ..Given::default() };
        given.check().map_err(ForgeEventError::Wrong)?;
        pushed.push(Change { reference: short(new.target.hash)?, given, origin, pull: None });
    }
    if pushed.is_empty() {
        return Ok(Happened::nothing("branches or tags were removed: nothing to build"));
    }
    Ok(Happened::Changes(pushed))
}

pub(super) fn pull_request(body: &[u8]) -> Result<Happened, ForgeEventError> {
    let PullRequestEvent { pullrequest } = serde_json::from_slice(body)?;
    let PullRequest { id, author, source, destination } = pullrequest;
    let is_own = source
        .repository
        .is_some_and(|source| destination.repository.is_some_and(|destination| destination.uuid == source.uuid));
    if !is_own {
        return Ok(Happened::nothing(
            "Bitbucket has pull requests of forks under no name in the repository: it can't be had",
        ));
    }
    let reference = short(source.commit.hash)?;
    let pull = Pull { number: id, author: author.uuid.chars().take(64).collect() };
    Change::of_pull(pull, reference, source.branch.name, true).map(Happened::one)
}

/// A commit as Bitbucket says it: with 12 digits at least.
fn short(id: String) -> Result<String, ForgeEventError> {
    let is_one = (12..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then_some(id).ok_or(ForgeEventError::NoCommit)
}
