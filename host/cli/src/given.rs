//! What is said of the code, from the command line and from the event of a forge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use monkeyci_build::{Changes, Given};
use serde::Deserialize;

use crate::args::GivenArgs;

/// What of the events of GitHub, GitLab, Gitea and Forgejo is used.
#[derive(Deserialize)]
struct ForgeEvent {
    /// Of a push: the full name of what was pushed.
    #[serde(rename = "ref")]
    reference: Option<String>,
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

/// Collects what is said of the code of one build.
pub fn collect(args: &GivenArgs) -> anyhow::Result<Given> {
    match args.event.as_slice() {
        [] => with_event(args, None),
        [event] => with_event(args, Some(event)),
        more => bail!("a build has one event, and --event names {}; `plan` takes several", more.len()),
    }
}

/// Collects what is said of the code of each build, with the event that says so: of one build if there is none.
pub fn collect_all(args: &GivenArgs) -> anyhow::Result<Vec<(Option<&Path>, Given)>> {
    match args.event.as_slice() {
        [] => Ok(vec![(None, with_event(args, None)?)]),
        events => events.iter().map(|event| Ok((Some(event.as_path()), with_event(args, Some(event))?))).collect(),
    }
}

fn with_event(args: &GivenArgs, event: Option<&PathBuf>) -> anyhow::Result<Given> {
    let mut given = Given::default();
    if let Some(path) = event {
        let read = std::fs::read(path).map_err(anyhow::Error::from).and_then(|bytes| of_event(&bytes));
        given = read.with_context(|| format!("the event {} can't be used", path.display()))?;
    }
    if args.branch.is_some() || args.tag.is_some() {
        (given.branch, given.tag) = (args.branch.clone(), args.tag.clone());
    }
    given.trigger = args.trigger.clone().or(given.trigger);
    if !args.changed.is_empty() {
        let mut modified: Vec<String> =
            args.changed.iter().map(|path| path.strip_prefix("./").unwrap_or(path).to_owned()).collect();
        modified.sort();
        modified.dedup();
        given.changes = Some(Changes { modified, ..Changes::default() });
    }
    given.check().map_err(|wrong| anyhow!(wrong))?;
    Ok(given)
}

/// What a forge's event says.
fn of_event(bytes: &[u8]) -> anyhow::Result<Given> {
    let event: ForgeEvent = serde_json::from_slice(bytes).context("it is no JSON of a forge's event")?;
    let merged = event.object_attributes.and_then(|request| request.source_branch);
    if let Some(branch) = event.pull_request.map(|request| request.head.reference).or(merged) {
        let trigger = Some("webhook/pull_request".to_owned());
        return Ok(Given { trigger, branch: Some(branch), ..Given::default() });
    }
    let Some(reference) = event.reference else {
        bail!("it says neither what was pushed (ref) nor of which branch a pull request is");
    };
    let name = |kind: &str| reference.strip_prefix(kind).map(str::to_owned);
    let (branch, tag) = (name("refs/heads/"), name("refs/tags/"));
    if branch.is_none() && tag.is_none() {
        bail!("its ref {reference:?} is neither a branch (refs/heads/…) nor a tag (refs/tags/…)");
    }
    let changes = event.commits.filter(|commits| !commits.is_empty()).map(changes);
    Ok(Given { trigger: Some("webhook/push".to_owned()), branch, tag, changes })
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
    fn a_push_says_branch_and_files_and_a_pull_request_its_branch() -> anyhow::Result<()> {
        let push = br#"{"ref": "refs/heads/topic/a", "commits": [
            {"id": "1", "added": ["a", "b"], "modified": ["c"], "removed": ["d"]},
            {"id": "2", "added": ["d"], "modified": ["a"], "removed": ["b", "c"]}], "pusher": {"name": "ada"}}"#;
        let given = of_event(push)?;
        let changes =
            Changes { added: paths(&["a"]), modified: paths(&["d"]), removed: paths(&["c"]), ..Changes::default() };
        assert_eq!(given.trigger.as_deref(), Some("webhook/push"));
        assert_eq!((given.branch.as_deref(), given.tag, given.changes), (Some("topic/a"), None, Some(changes)));
        let tag = of_event(br#"{"ref": "refs/tags/v1", "commits": null}"#)?;
        assert_eq!((tag.branch, tag.tag.as_deref(), tag.changes), (None, Some("v1"), None));
        for request in [
            &br#"{"action": "opened", "pull_request": {"head": {"ref": "topic", "sha": "1"}}}"#[..],
            br#"{"object_kind": "merge_request", "object_attributes": {"source_branch": "topic"}}"#,
        ] {
            let given = of_event(request)?;
            assert_eq!(
                (given.branch.as_deref(), given.trigger.as_deref()),
                (Some("topic"), Some("webhook/pull_request"))
            );
        }
        Ok(())
    }

    #[test]
    fn an_option_counts_before_the_event_and_what_is_no_event_is_refused() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let event = dir.path().join("event.json");
        std::fs::write(&event, r#"{"ref": "refs/heads/topic", "commits": [{"added": ["a"]}]}"#)?;
        let args = GivenArgs {
            tag: Some("v2".to_owned()),
            changed: paths(&["./b", "a", "b"]),
            event: vec![event.clone()],
            ..GivenArgs::default()
        };
        let given = collect(&args)?;
        assert_eq!((given.branch.clone(), given.tag.as_deref()), (None, Some("v2")));
        assert_eq!(given.changes.map(|changes| changes.modified), Some(paths(&["a", "b"])));
        for (text, why) in [
            ("{", "no JSON"),
            ("{}", "neither what was pushed"),
            (r#"{"ref": "refs/notes/x"}"#, "neither a branch"),
            (r#"{"ref": "refs/heads/a b"}"#, "can't be the name of a branch"),
        ] {
            std::fs::write(&event, text)?;
            let error = format!(
                "{:#}",
                collect(&GivenArgs { event: vec![event.clone()], ..GivenArgs::default() }).expect_err(text)
            );
            assert!(error.contains(why), "{text}: {error}");
        }
        Ok(())
    }

    #[test]
    fn a_build_has_one_event_and_a_plan_many() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let event = |name: &str| -> std::io::Result<PathBuf> {
            let path = dir.path().join(name);
            std::fs::write(&path, format!(r#"{{"ref": "refs/heads/{name}"}}"#))?;
            Ok(path)
        };
        let args = GivenArgs { event: vec![event("a")?, event("b")?], ..GivenArgs::default() };
        let error = collect(&args).expect_err("two events");
        assert!(error.to_string().contains("`plan` takes several"), "{error}");
        let all = collect_all(&args)?;
        let branches: Vec<_> =
            all.iter().filter_map(|(event, given)| Some((*event)?.ends_with(given.branch.as_ref()?))).collect();
        assert_eq!(branches, [true, true]);
        let args = GivenArgs { branch: Some("main".to_owned()), ..GivenArgs::default() };
        let none = collect_all(&args)?;
        assert_eq!(none, [(None, Given { branch: Some("main".to_owned()), ..Given::default() })]);
        Ok(())
    }
}
