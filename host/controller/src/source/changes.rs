//! The files that a build's code changes: what a script needs to leave out work that nothing asks for.

use std::collections::HashMap;

use git2::{Commit, Delta, Diff, DiffFindOptions, DiffOptions, Error, ErrorCode, ObjectType, Oid, Repository, Tree};
use monkeyci_build::Changes;

/// More changed files than this are as good as all of them: they would only fill the journal and the script's memory.
pub(super) const MOST_FILES: usize = 100_000;

/// The most entries of trees that are looked at to find out what changed.
pub(super) const MOST_SEEN: usize = 1_000_000;

/// How many pairs of an added and a removed file are compared by content to find renames, as git does (its
/// `diff.renameLimit` squared). With more, only files that are the same to the byte count as renamed.
pub(super) const MOST_PAIRS: usize = 1_000_000;

/// Why it is not known which files changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("it is not known which files changed: the history is cut off before that")]
    CutOff,
    #[error("it is not known which files changed: there are more than {MOST_FILES}")]
    TooMany,
    #[error("it is not known which files changed: there are more than {MOST_SEEN} to be looked at")]
    TooLarge,
    #[error("it is not known which files changed: {0}")]
    Unsafe(String),
    #[error("it is not known which files changed: git failed: {}", .0.message())]
    Git(#[from] Error),
}

/// The changes, if they are known. That they are not never fails a build: a script has to expect it anyway.
pub(super) fn known(found: Result<Changes, Unknown>, warnings: &mut Vec<String>) -> Option<Box<Changes>> {
    match found {
        Ok(changes) => Some(Box::new(changes)),
        // A shallow clone is nothing to be warned of: whoever made it knows.
        Err(Unknown::CutOff) => None,
        Err(unknown) => {
            warnings.push(unknown.to_string());
            None
        }
    }
}

/// What is known of a working tree.
pub(super) struct WorkingTree {
    /// What it changes: what is committed, what is not yet, and files that git does not know and does not ignore.
    pub(super) changes: Result<Changes, Unknown>,
    /// Whether it has anything that is not committed.
    pub(super) dirty: bool,
}

/// Looks what the working tree of `repository` changes. `head` is the checked-out commit, if there is one yet. Its files are gone
/// through once.
///
/// # Errors
/// Where neither is known.
pub(super) fn of_working_tree(
    repository: &Repository,
    head: Option<Oid>,
    main: Option<&str>,
) -> Result<WorkingTree, Unknown> {
    let head = head.map(|head| repository.find_commit(head)).transpose()?;
    let tree = head.as_ref().map(Commit::tree).transpose()?;
    // The index has all of its entries in a file; a commit may have any number.
    measure(repository, tree.as_ref(), None, usize::MAX)?;
    let index = repository.index()?;
    // The index knows the files' times, so that files that did not change need not be read.
    let not_staged = repository.diff_index_to_workdir(Some(&index), Some(&mut options()))?;
    let staged = repository.diff_tree_to_index(tree.as_ref(), Some(&index), Some(&mut options()))?;
    let dirty = staged.deltas().len() + not_staged.deltas().len() > 0;
    let changes = || {
        let base = head.as_ref().map(|head| base(repository, head, main)).transpose()?.unwrap_or_default();
        measure(repository, base.tree.as_ref(), None, usize::MAX)?;
        let mut diff = repository.diff_tree_to_index(base.tree.as_ref(), Some(&index), Some(&mut options()))?;
        diff.merge(&not_staged)?;
        collect(diff, base.id)
    };
    Ok(WorkingTree { changes: changes(), dirty })
}

/// What `commit` changes.
///
/// # Errors
/// Where it is not known.
pub(super) fn of_commit(repository: &Repository, commit: &Commit<'_>, main: Option<&str>) -> Result<Changes, Unknown> {
    let base = base(repository, commit, main)?;
    let tree = commit.tree()?;
    measure(repository, base.tree.as_ref(), Some(&tree), MOST_FILES)?;
    let diff = repository.diff_tree_to_tree(base.tree.as_ref(), Some(&tree), Some(&mut options()))?;
    collect(diff, base.id)
}

/// What code is compared with: a commit, or nothing at all, where every file is added.
#[derive(Default)]
struct Base<'r> {
    id: Option<Oid>,
    tree: Option<Tree<'r>>,
}

/// Where the history of `commit` left the main branch; its first parent if it did not, so that a build of the main branch
/// sees what its last commit brought. None where the history was cut off before that: in a shallow clone.
fn base<'r>(repository: &'r Repository, commit: &Commit<'_>, main: Option<&str>) -> Result<Base<'r>, Unknown> {
    // What the remote has goes before the local branch, which may be long out of date.
    let tip = main.and_then(|main| {
        let names = [format!("refs/remotes/origin/{main}"), format!("refs/heads/{main}")];
        names.iter().find_map(|name| Some(repository.find_reference(name).ok()?.peel_to_commit().ok()?.id()))
    });
    let merge_base = match tip.map(|tip| repository.merge_base(tip, commit.id())) {
        Some(Err(error)) if error.code() == ErrorCode::NotFound => None,
        Some(found) => Some(found?),
        None => Some(commit.id()),
    };
    let before = match merge_base {
        Some(id) if id == commit.id() => commit.parent_ids().next(),
        other => other,
    };
    match before {
        Some(id) => Ok(Base { id: Some(id), tree: Some(repository.find_commit(id)?.tree()?) }),
        None if repository.is_shallow() => Err(Unknown::CutOff),
        None => Ok(Base::default()),
    }
}

fn options() -> DiffOptions {
    let mut options = DiffOptions::new();
    // Only paths are wanted: no file has to be read to see whether it is text.
    options.skip_binary_check(true).include_typechange(true);
    options.include_untracked(true).recurse_untracked_dirs(true);
    options
}

/// Counts what `old` and `new` differ in, and stops when that is too much: libgit2 would go through all of it. A tree of 200 KB can
/// have 10^8 paths.
fn measure(
    repository: &Repository,
    old: Option<&Tree<'_>>,
    new: Option<&Tree<'_>>,
    most: usize,
) -> Result<(), Unknown> {
    let (mut changed, mut seen) = (0, 0);
    let mut pending = vec![(old.map(Tree::id), new.map(Tree::id))];
    while let Some((old, new)) = pending.pop() {
        let entries = |id: Option<Oid>| {
            let tree = id.map(|id| repository.find_tree(id)).transpose()?;
            let entries = tree.iter().flatten().map(|entry| {
                let is_tree = entry.kind() == Some(ObjectType::Tree);
                (entry.name_bytes().to_owned(), (entry.id(), entry.filemode(), is_tree))
            });
            Ok::<HashMap<_, _>, Error>(entries.collect())
        };
        let (old, mut new) = (entries(old)?, entries(new)?);
        seen += old.len() + new.len();
        let pairs = old.into_iter().map(|(name, old)| (Some(old), new.remove(&name))).collect::<Vec<_>>();
        for (old, new) in pairs.into_iter().chain(new.into_values().map(|new| (None, Some(new)))) {
            if old == new {
                continue;
            }
            let sides = [old, new];
            changed += sides.iter().flatten().filter(|(_, _, is_tree)| !is_tree).count().min(1);
            let [old, new] = sides.map(|side| side.filter(|(_, _, is_tree)| *is_tree).map(|(id, _, _)| id));
            if old.is_some() || new.is_some() {
                pending.push((old, new));
            }
        }
        if changed > most {
            return Err(Unknown::TooMany);
        }
        if seen > MOST_SEEN {
            return Err(Unknown::TooLarge);
        }
    }
    Ok(())
}

/// The diff's paths.
fn collect(mut diff: Diff<'_>, base: Option<Oid>) -> Result<Changes, Unknown> {
    if diff.deltas().len() > MOST_FILES {
        return Err(Unknown::TooMany);
    }
    let removed = diff.deltas().filter(|delta| delta.status() == Delta::Deleted).count();
    let added = diff.deltas().filter(|delta| matches!(delta.status(), Delta::Added | Delta::Untracked)).count();
    if removed > 0 && added > 0 {
        let mut find = DiffFindOptions::new();
        find.renames(true).for_untracked(true).exact_match_only(added.saturating_mul(removed) > MOST_PAIRS);
        diff.find_similar(Some(&mut find))?;
    }
    let mut changes = Changes { base: base.map(|id| id.to_string()), ..Changes::default() };
    for delta in diff.deltas() {
        let (old, new) = (path(delta.old_file().path_bytes()), path(delta.new_file().path_bytes()));
        match delta.status() {
            Delta::Added | Delta::Untracked | Delta::Copied => changes.added.push(new),
            Delta::Deleted => changes.removed.push(old),
            Delta::Renamed => changes.renamed.push((old, new)),
            Delta::Modified | Delta::Typechange | Delta::Conflicted | Delta::Unreadable => changes.modified.push(new),
            Delta::Unmodified | Delta::Ignored => {}
        }
    }
    for list in [&mut changes.added, &mut changes.modified, &mut changes.removed] {
        list.sort_unstable();
        list.dedup();
    }
    changes.renamed.sort_unstable();
    Ok(changes)
}

/// A path as text. A repository inside of the repository is one entry, which git ends with a slash.
fn path(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
