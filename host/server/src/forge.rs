//! What the events of forges say of the code: for webhooks, and for whoever tries a script with an event in a file.

mod bitbucket;
#[cfg(test)]
mod event_tests;
mod github;
mod gitlab;
mod kind;

use std::collections::BTreeMap;

use monkeyci_build::{Changes, Given};
use serde::Deserialize;

use crate::budget::{CHANGED_BYTES, MAX_CHANGED};
use crate::origin::Origin;
use crate::store::Pull;

pub(crate) use kind::{Forge, Shown, shortened};

/// GitHub lists no more commits of a push: of one that has so many, what has changed is found in the repository.
const LISTED_COMMITS: usize = 2048;

/// Why an event can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgeEventError {
    /// It is no event.
    #[error("it is no JSON of a forge's event: {0}")]
    NoEvent(#[from] serde_json::Error),
    /// It is about something else.
    #[error("it says neither what was pushed (ref) nor of which branch a pull request is")]
    OfNothing,
    /// What was pushed is neither a branch nor a tag.
    #[error("its ref {0:?} is neither a branch (refs/heads/…) nor a tag (refs/tags/…)")]
    Ref(String),
    /// It does not say which commit was pushed.
    #[error("it does not say which commit was pushed (after)")]
    NoCommit,
    /// What it says can't be.
    #[error("{0}")]
    Wrong(String),
}

/// What of the events of GitHub, GitLab, Gitea and Forgejo is used.
#[derive(Deserialize)]
struct ForgeEvent {
    /// Of a push: the full name of what was pushed.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Of a push: the commit that it is now.
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    commits: Option<Vec<Commit>>,
    pull_request: Option<PullRequest>,
    /// Of a merge request of GitLab.
    object_attributes: Option<MergeRequest>,
}

#[derive(Deserialize)]
struct Commit {
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    modified: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

#[derive(Deserialize)]
struct PullRequest {
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "ref")]
    reference: String,
}

#[derive(Deserialize)]
struct MergeRequest {
    source_branch: Option<String>,
}

/// A push of a branch or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    /// The commit; `None` if the branch or tag was removed.
    pub(crate) commit: Option<String>,
    /// Branch or tag, and the files that changed.
    pub(crate) given: Given,
}

/// What has happened that a webhook tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// There is something to build.
    Changes(Vec<Change>),
    /// There is not, and this is to be said of it.
    Nothing(String),
}

/// A commit to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// By what it is had.
    pub(crate) reference: String,
    pub(crate) given: Given,
    pub(crate) origin: Origin,
    pub(crate) pull: Option<Pull>,
}

impl Happened {
    fn nothing(said: impl ToString) -> Self {
        Self::Nothing(said.to_string())
    }

    fn one(change: Change) -> Self {
        Self::Changes(vec![change])
    }
}

impl Change {
    /// That of a pull request. A fork's branch is none of the repository's, whatever it is called: nobody is told of it.
    fn of_pull(pull: Pull, reference: String, branch: String, is_own: bool) -> Result<Self, ForgeEventError> {
        let (branch, origin) = if is_own { (Some(branch), Origin::PullRequest) } else { (None, Origin::Fork) };
        let given = Given { branch, known: true, ..Given::default() };
        given.check().map_err(ForgeEventError::Wrong)?;
        Ok(Self { reference, given, origin, pull: Some(pull) })
    }
}

/// Whom a forge means: by a number, since names are chosen, and change.
fn identity(id: u64) -> String {
    id.to_string()
}

/// A commit's whole id.
fn whole(id: String) -> Result<String, ForgeEventError> {
    let is_one = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then_some(id).ok_or(ForgeEventError::NoCommit)
}

/// The branch or the tag that a full name is.
fn of_ref(reference: &str) -> Result<(Option<String>, Option<String>), ForgeEventError> {
    let name = |kind: &str| reference.strip_prefix(kind).map(str::to_owned);
    match (name("refs/heads/"), name("refs/tags/")) {
        (None, None) => Err(ForgeEventError::Ref(reference.to_owned())),
        known => Ok(known),
    }
}

/// What a forge's event says of the code.
///
/// # Errors
/// When it is no event of a push, a pull request or a merge request.
pub fn given_of_event(bytes: &[u8]) -> Result<Given, ForgeEventError> {
    let mut event: ForgeEvent = serde_json::from_slice(bytes)?;
    let merged = event.object_attributes.take().and_then(|request| request.source_branch);
    if let Some(branch) = event.pull_request.take().map(|request| request.head.reference).or(merged) {
        let trigger = Some("webhook/pull_request".to_owned());
        return Ok(Given { trigger, branch: Some(branch), ..Given::default() });
    }
    let given = pushed(event)?;
    Ok(Given { trigger: Some("webhook/push".to_owned()), ..given })
}

/// What the webhook of a push says.
pub(crate) fn push(bytes: &[u8]) -> Result<Push, ForgeEventError> {
    let mut event: ForgeEvent = serde_json::from_slice(bytes)?;
    let (deleted, after) = (event.deleted, event.after.take());
    // What a push threw away is on no list.
    let is_short = |commits: &Vec<Commit>| commits.len() < LISTED_COMMITS && can_be_kept(commits);
    let is_whole = !event.forced && event.commits.as_ref().is_none_or(is_short);
    event.commits = event.commits.filter(|_| is_whole);
    let given = Given { known: true, ..pushed(event)? };
    given.check().map_err(ForgeEventError::Wrong)?;
    // Not all say that it was removed.
    let is_removed = deleted || after.as_ref().is_some_and(|id| id.len() >= 40 && id.bytes().all(|byte| byte == b'0'));
    if is_removed {
        return Ok(Push { commit: None, given });
    }
    Ok(Push { commit: Some(whole(after.ok_or(ForgeEventError::NoCommit)?)?), given })
}

/// Whether the files that commits list are so few that they are kept with the build.
fn can_be_kept(commits: &[Commit]) -> bool {
    let (mut files, mut bytes) = (0, 0);
    for path in commits.iter().flat_map(|commit| commit.added.iter().chain(&commit.modified).chain(&commit.removed)) {
        files += 1;
        bytes += path.len();
    }
    files <= MAX_CHANGED && bytes <= CHANGED_BYTES
}

fn pushed(event: ForgeEvent) -> Result<Given, ForgeEventError> {
    let reference = event.reference.ok_or(ForgeEventError::OfNothing)?;
    let (branch, tag) = of_ref(&reference)?;
    let changes = event.commits.filter(|commits| !commits.is_empty()).map(changes);
    Ok(Given { branch, tag, changes, ..Given::default() })
}

/// What commits change together, the oldest first.
fn changes(commits: Vec<Commit>) -> Changes {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Added,
        Modified,
        Removed,
    }
    let mut files = BTreeMap::<String, Kind>::new();
    for Commit { added, modified, removed } in commits {
        for path in added {
            let was_removed = files.get(&path) == Some(&Kind::Removed);
            files.insert(path, if was_removed { Kind::Modified } else { Kind::Added });
        }
        for path in modified {
            files.entry(path).or_insert(Kind::Modified);
        }
        for path in removed {
            match files.get(&path) {
                // It came and went.
                Some(Kind::Added) => drop(files.remove(&path)),
                _ => drop(files.insert(path, Kind::Removed)),
            }
        }
    }
    let of = |kind| files.iter().filter(move |(_, of)| **of == kind).map(|(path, _)| path.clone()).collect();
    Changes { added: of(Kind::Added), modified: of(Kind::Modified), removed: of(Kind::Removed), ..Changes::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_push_says_branch_and_files_and_a_pull_request_its_branch() -> Result<(), ForgeEventError> {
        let push = br#"{"ref": "refs/heads/topic/a", "commits": [
            {"id": "1", "added": ["a", "b"], "modified": ["c"], "removed": ["d"]},
            {"id": "2", "added": ["d"], "modified": ["a"], "removed": ["b", "c"]}], "pusher": {"name": "ada"}}"#;
        let given = given_of_event(push)?;
        let changes =
            Changes { added: paths(&["a"]), modified: paths(&["d"]), removed: paths(&["c"]), ..Changes::default() };
        assert_eq!(given.trigger.as_deref(), Some("webhook/push"));
        assert_eq!((given.branch.as_deref(), given.tag, given.changes), (Some("topic/a"), None, Some(changes)));
        let tag = given_of_event(br#"{"ref": "refs/tags/v1", "commits": null}"#)?;
        assert_eq!((tag.branch, tag.tag.as_deref(), tag.changes), (None, Some("v1"), None));
        for request in [
            &br#"{"action": "opened", "pull_request": {"head": {"ref": "topic", "sha": "1"}}}"#[..],
            br#"{"object_kind": "merge_request", "object_attributes": {"source_branch": "topic"}}"#,
        ] {
            let given = given_of_event(request)?;
            assert_eq!(
                (given.branch.as_deref(), given.trigger.as_deref()),
                (Some("topic"), Some("webhook/pull_request"))
            );
        }
        Ok(())
    }

    #[test]
    fn a_push_with_more_files_than_are_kept_lists_none() -> Result<(), ForgeEventError> {
        let changed = |paths: Vec<String>| {
            let (after, commits) = ("a".repeat(40), serde_json::json!([{ "modified": paths }]));
            let event = serde_json::json!({ "ref": "refs/heads/main", "after": after, "commits": commits });
            Ok::<_, ForgeEventError>(push(event.to_string().as_bytes())?.given.changes.map(|all| all.modified.len()))
        };
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(changed(many(MAX_CHANGED))?, Some(MAX_CHANGED));
        assert_eq!(changed(many(MAX_CHANGED + 1))?, None);
        assert_eq!(changed(vec!["x".repeat(CHANGED_BYTES / 2 + 1), "y".repeat(CHANGED_BYTES / 2)])?, None);
        Ok(())
    }

    #[test]
    fn a_push_has_a_commit_or_removes_something_and_a_forced_one_lists_no_files() -> Result<(), ForgeEventError> {
        let commit = "a".repeat(40);
        let of = |rest: &str| push(format!(r#"{{"ref": "refs/heads/main", {rest}}}"#).as_bytes());
        let files = r#""commits": [{"added": ["a"]}]"#;
        let pushed = of(&format!(r#""after": "{commit}", {files}"#))?;
        assert_eq!(pushed.commit.as_deref(), Some(commit.as_str()));
        assert_eq!(pushed.given.changes.map(|changes| changes.added), Some(paths(&["a"])));
        assert_eq!(of(&format!(r#""after": "{commit}", "forced": true, {files}"#))?.given.changes, None);
        let none = "0".repeat(40);
        assert_eq!(of(&format!(r#""after": "{none}", "deleted": true"#))?.commit, None);
        for wrong in [r#""after": "main""#, r#""commits": []"#] {
            assert!(matches!(of(wrong), Err(ForgeEventError::NoCommit)), "{wrong}");
        }
        let odd = format!(r#"{{"ref": "refs/heads/a..b", "after": "{commit}"}}"#);
        assert!(matches!(push(odd.as_bytes()), Err(ForgeEventError::Wrong(_))));
        assert!(matches!(push(b"{"), Err(ForgeEventError::NoEvent(_))));
        assert!(matches!(push(br#"{"ref": "refs/notes/x"}"#), Err(ForgeEventError::Ref(_))));
        Ok(())
    }
}
