//! Events of GitLab.

use monkeyci_build::Given;
use serde::Deserialize;

use super::{Change, Happened, Pull, identity, of_ref, whole};
use crate::forge::ForgeEventError;

#[derive(Deserialize)]
struct PushEvent {
    #[serde(rename = "ref")]
    reference: String,
    after: String,
}

#[derive(Deserialize)]
struct MergeRequestEvent {
    object_attributes: MergeRequest,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    /// None of events that nobody has done anything for.
    action: Option<String>,
    /// The commit before, where commits have come to it.
    oldrev: Option<String>,
    source_branch: String,
    source_project_id: u64,
    target_project_id: u64,
    author_id: u64,
    last_commit: LastCommit,
}

#[derive(Deserialize)]
struct LastCommit {
    id: String,
}

pub(super) fn push(body: &[u8]) -> Result<Happened, ForgeEventError> {
    let PushEvent { reference, after } = serde_json::from_slice(body)?;
    // It lists at most 20 commits, and does not say whether something was thrown away: what has changed is found in the repository.
    let (branch, tag) = of_ref(&reference)?;
    let given = Given { branch, tag, known: true, ..Given::default() };
    given.check().map_err(ForgeEventError::Wrong)?;
    let commit = whole(after)?;
    let is_removed = commit.bytes().all(|byte| byte == b'0');
    Ok(Happened::pushed((!is_removed).then_some(commit), given))
}

pub(super) fn merge_request(body: &[u8]) -> Result<Happened, ForgeEventError> {
    let MergeRequestEvent { object_attributes: request } = serde_json::from_slice(body)?;
    let starts = match request.action.as_deref() {
        Some("open" | "reopen") => true,
        Some("update") => request.oldrev.is_some(),
        _ => false,
    };
    if !starts {
        return Ok(Happened::nothing("nothing of the merge request's code has changed"));
    }
    let commit = whole(request.last_commit.id)?;
    let pull = Pull { number: request.iid, author: identity(request.author_id) };
    let reference = format!("refs/merge-requests/{}/head@{commit}", request.iid);
    let is_own = request.source_project_id == request.target_project_id;
    Change::of_pull(pull, reference, request.source_branch, is_own).map(Happened::one)
}
