//! Events of GitHub, and of Gitea and Forgejo, which say the same in the same words.

use monkeyci_build::Given;
use serde::Deserialize;

use super::{Change, Forge, Happened, Pull, identity, whole};
use crate::forge::{ForgeEventError, Push, push as pushed};
use crate::origin::Origin;

#[derive(Deserialize)]
struct PullRequestEvent {
    action: String,
    number: u64,
    pull_request: PullRequest,
}

#[derive(Deserialize)]
struct PullRequest {
    head: Side,
    base: Side,
    user: User,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    reference: String,
    sha: String,
    /// None where the fork was removed.
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    id: u64,
}

#[derive(Deserialize)]
struct User {
    id: u64,
}

pub(super) fn push(forge: Forge, body: &[u8]) -> Result<Happened, ForgeEventError> {
    let Push { commit, mut given } = pushed(body)?;
    if forge != Forge::GitHub {
        // The others do not say whether something was thrown away: then what has changed is found in the repository.
        given.changes = None;
    }
    Ok(Happened::pushed(commit, given))
}

pub(super) fn pull_request(body: &[u8]) -> Result<Happened, ForgeEventError> {
    let PullRequestEvent { action, number, pull_request } = serde_json::from_slice(body)?;
    // GitHub says synchronize, the others synchronized.
    if !["opened", "reopened", "synchronize", "synchronized"].contains(&action.as_str()) {
        return Ok(Happened::nothing(format_args!("of pull requests, what is {action} starts no build")));
    }
    let PullRequest { head, base, user } = pull_request;
    let commit = whole(head.sha)?;
    // Whoever is in no repository is a stranger.
    let is_own = head.repo.is_some_and(|head| base.repo.is_some_and(|base| base.id == head.id));
    let pull = Pull { number, author: identity(user.id) };
    let reference = format!("refs/pull/{number}/head@{commit}");
    Change::of_pull(pull, reference, head.reference, is_own).map(Happened::one)
}

impl Happened {
    /// A push of a branch or a tag, or that it was removed.
    pub(super) fn pushed(commit: Option<String>, given: Given) -> Self {
        let origin = if given.tag.is_some() { Origin::Tag } else { Origin::Push };
        match commit {
            None => Self::nothing("a branch or tag was removed: nothing to build"),
            Some(reference) => Self::one(Change { reference, given, origin, pull: None }),
        }
    }
}
