//! What webhooks say of what happened. The bodies are ours: of each forge's documented event, the fields that are used and some beside them.

use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "95790bf891e76fee5e1747ab589903a6a1f80f22";

fn happened(forge: Forge, event: &str, body: &Value) -> Result<Happened, ForgeEventError> {
    forge.happened(event, body.to_string().as_bytes())
}

/// The only change: where it comes from, by what it is had, branch and tag, and its pull request.
fn change(forge: Forge, event: &str, body: &Value) -> (Origin, String, Option<String>, Option<String>, Option<Pull>) {
    let Ok(Happened::Changes(changes)) = happened(forge, event, body) else { panic!("{forge:?} {event}") };
    let [Change { reference, given, origin, pull }] = &changes[..] else { panic!("{changes:?}") };
    // A forge knows it: nobody is warned of it.
    assert!(given.known, "{forge:?}");
    (*origin, reference.clone(), given.branch.clone(), given.tag.clone(), pull.clone())
}

fn nothing(forge: Forge, event: &str, body: &Value) -> bool {
    matches!(happened(forge, event, body), Ok(Happened::Nothing(_)))
}

/// A push, as each forge says it: of a ref, to a commit; removed if there is none.
fn push(forge: Forge, reference: &str, commit: Option<&str>) -> (&'static str, Value) {
    let name = reference.split_once('/').and_then(|(_, rest)| rest.split_once('/')).map_or(reference, |(_, name)| name);
    let is_tag = reference.starts_with("refs/tags/");
    let after = commit.map_or("0".repeat(40), str::to_owned);
    let commits = json!([{ "id": after, "message": "m", "author": { "name": "main" }, "added": ["a"], "modified": [], "removed": [] }]);
    match forge {
        Forge::GitHub | Forge::Gitea | Forge::Forgejo => (
            "push",
            json!({
                "ref": reference, "before": "0".repeat(40), "after": after, "deleted": commit.is_none(), "forced": false,
                "commits": commits, "repository": { "id": 1, "full_name": "o/r" }, "sender": { "id": 7, "login": "ada" },
            }),
        ),
        Forge::GitLab => (
            if is_tag { "Tag Push Hook" } else { "Push Hook" },
            json!({
                "object_kind": if is_tag { "tag_push" } else { "push" }, "ref": reference, "before": "0".repeat(40), "after": after,
                "checkout_sha": commit, "user_id": 4, "project_id": 15, "total_commits_count": 30, "commits": commits,
            }),
        ),
        Forge::Bitbucket => {
            let new = commit.map(|commit| {
                let kind = if is_tag { "tag" } else { "branch" };
                json!({ "type": kind, "name": name, "target": { "type": "commit", "hash": commit } })
            });
            let changes =
                json!([{ "new": new, "old": null, "created": true, "closed": commit.is_none(), "forced": false }]);
            (
                "repo:push",
                json!({ "actor": { "uuid": "{a}" }, "repository": { "uuid": "{r}" }, "push": { "changes": changes } }),
            )
        }
    }
}

/// A pull request to which a commit has come, as each forge says it; of the repository's own branch, or of a fork's.
fn pull(forge: Forge, action: &str, is_own: bool) -> (&'static str, Value) {
    let head = if is_own { 1 } else { 2 };
    match forge {
        Forge::GitHub | Forge::Gitea | Forge::Forgejo => (
            "pull_request",
            json!({
                "action": action, "number": 7,
                "pull_request": {
                    "number": 7, "user": { "id": 42, "login": "owner-of-the-repository" },
                    "head": { "ref": "main", "sha": COMMIT, "repo": { "id": head, "full_name": "o/r" } },
                    "base": { "ref": "main", "sha": "a".repeat(40), "repo": { "id": 1, "full_name": "o/r" } },
                },
                "repository": { "id": 1 }, "sender": { "id": 43 },
            }),
        ),
        Forge::GitLab => (
            "Merge Request Hook",
            json!({
                "object_kind": "merge_request", "user": { "id": 43, "username": "owner" }, "project": { "id": 1 },
                "object_attributes": {
                    "id": 99, "iid": 7, "action": action, "oldrev": (action == "update").then_some("b".repeat(40)),
                    "source_branch": "main", "target_branch": "main", "source_project_id": head, "target_project_id": 1,
                    "author_id": 42, "last_commit": { "id": COMMIT, "author": { "name": "owner" } },
                },
            }),
        ),
        Forge::Bitbucket => (
            if action == "created" { "pullrequest:created" } else { "pullrequest:updated" },
            json!({
                "actor": { "uuid": "{b}" }, "repository": { "uuid": "{1}" },
                "pullrequest": {
                    "id": 7, "author": { "uuid": "42", "nickname": "owner" },
                    "source": { "branch": { "name": "main" }, "commit": { "hash": &COMMIT[..12] }, "repository": { "uuid": format!("{{{head}}}") } },
                    "destination": { "branch": { "name": "main" }, "commit": { "hash": "aaaaaaaaaaaa" }, "repository": { "uuid": "{1}" } },
                },
            }),
        ),
    }
}

#[test]
fn of_each_forge_a_push_of_a_branch_or_a_tag_is_built_and_one_that_is_removed_is_not() {
    for forge in Forge::ALL {
        let pushed = |reference: &str| {
            let (event, body) = push(forge, reference, Some(COMMIT));
            change(forge, event, &body)
        };
        let (branch, tag) = (Some("topic/a".to_owned()), Some("v1".to_owned()));
        assert_eq!(pushed("refs/heads/topic/a"), (Origin::Push, COMMIT.to_owned(), branch, None, None), "{forge:?}");
        assert_eq!(pushed("refs/tags/v1"), (Origin::Tag, COMMIT.to_owned(), None, tag, None), "{forge:?}");
        let (event, body) = push(forge, "refs/heads/topic/a", None);
        assert!(nothing(forge, event, &body), "{forge:?}");
        let (event, body) = push(forge, "refs/heads/a..b", Some(COMMIT));
        assert!(matches!(happened(forge, event, &body), Err(ForgeEventError::Wrong(_))), "{forge:?}");
        let (event, body) = push(forge, "refs/heads/main", Some("main"));
        assert!(matches!(happened(forge, event, &body), Err(ForgeEventError::NoCommit)), "{forge:?}");
        assert!(matches!(forge.happened(event, b"{"), Err(ForgeEventError::NoEvent(_))), "{forge:?}");
        assert!(nothing(forge, "of another kind", &json!({})), "{forge:?}");
    }
    // Of GitHub alone it is known whether something was thrown away.
    let changed = |forge| match happened(forge, "push", &push(forge, "refs/heads/main", Some(COMMIT)).1) {
        Ok(Happened::Changes(changes)) => changes[0].given.changes.is_some(),
        other => panic!("{other:?}"),
    };
    assert_eq!([Forge::GitHub, Forge::Gitea, Forge::Forgejo].map(changed), [true, false, false]);
}

#[test]
fn of_each_forge_new_commits_of_a_pull_request_are_built_by_its_number_and_whose_it_is_says_a_number_of_the_forges() {
    for forge in Forge::ALL {
        let actions: &[&str] = match forge {
            Forge::GitHub => &["opened", "reopened", "synchronize"],
            Forge::Gitea | Forge::Forgejo => &["opened", "reopened", "synchronized"],
            Forge::GitLab => &["open", "reopen", "update"],
            Forge::Bitbucket => &["created", "updated"],
        };
        let reference = match forge {
            Forge::GitLab => format!("refs/merge-requests/7/head@{COMMIT}"),
            Forge::Bitbucket => COMMIT[..12].to_owned(),
            _ => format!("refs/pull/7/head@{COMMIT}"),
        };
        let request = || Some(Pull { number: 7, author: "42".to_owned() });
        for action in actions {
            let (event, body) = pull(forge, action, true);
            let own = (Origin::PullRequest, reference.clone(), Some("main".to_owned()), None, request());
            assert_eq!(change(forge, event, &body), own, "{forge:?} {action}");
            let (event, body) = pull(forge, action, false);
            if forge == Forge::Bitbucket {
                assert!(nothing(forge, event, &body));
                continue;
            }
            // Its branch is called main, and is none of the repository's.
            let fork = (Origin::Fork, reference.clone(), None, None, request());
            assert_eq!(change(forge, event, &body), fork, "{forge:?} {action}");
        }
        if forge != Forge::Bitbucket {
            let (event, body) = pull(forge, "closed", false);
            assert!(nothing(forge, event, &body), "{forge:?}");
        }
    }
    // Whoever is in no repository any more, and who is only called as one, is a stranger.
    let (event, mut body) = pull(Forge::GitHub, "opened", true);
    body["pull_request"]["head"]["repo"] = Value::Null;
    assert_eq!(change(Forge::GitHub, event, &body).0, Origin::Fork);
    // What of a merge request has changed beside its code starts nothing.
    let (event, mut body) = pull(Forge::GitLab, "update", true);
    body["object_attributes"]["oldrev"] = Value::Null;
    assert!(nothing(Forge::GitLab, event, &body));
}

#[test]
fn a_push_of_bitbucket_tells_of_several_branches_and_of_not_too_many() {
    let (event, mut body) = push(Forge::Bitbucket, "refs/heads/a", Some(COMMIT));
    let one = body["push"]["changes"][0].clone();
    body["push"]["changes"] =
        json!([one, push(Forge::Bitbucket, "refs/tags/v1", Some(COMMIT)).1["push"]["changes"][0], { "new": null }]);
    let Ok(Happened::Changes(changes)) = happened(Forge::Bitbucket, event, &body) else { panic!("it tells of them") };
    assert_eq!(changes.iter().map(|change| change.origin).collect::<Vec<_>>(), [Origin::Push, Origin::Tag]);
    body["push"]["changes"] = json!(vec![one; crate::budget::MAX_REFS + 1]);
    assert!(matches!(happened(Forge::Bitbucket, event, &body), Err(ForgeEventError::Wrong(_))));
}
