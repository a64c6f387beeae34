//! The files that a build's code changes: what a script needs to leave out work that nothing asks for.

use git2::{Commit, Delta, Diff, DiffFindOptions, DiffOptions, Error, ErrorCode, Oid, Repository, Tree};
use monkeyci_build::Changes;

/// More changed files than this are as good as all of them: they would only fill the journal and the script's memory.
const MOST_FILES: usize = 100_000;

/// How many pairs of an added and a removed file are compared by content to find renames, as git does (its
/// `diff.renameLimit` squared). With more, only files that are the same to the byte count as renamed.
const MOST_PAIRS: usize = 1_000_000;

/// What the working tree of `repository` changes: what is committed, what is not yet, and files that git does not know and
/// does not ignore. `head` is the checked-out commit, if there is one yet.
///
/// None where it is not known. That never fails a build: a script has to expect it anyway.
pub(crate) fn of_working_tree(repository: &Repository, head: Option<Oid>, main: Option<&str>) -> Option<Changes> {
    // A bare repository has no working tree: its directory is built as any other.
    repository.workdir()?;
    known(|| {
        let base = match head {
            Some(head) => base(repository, &repository.find_commit(head)?, main)?,
            None => Some(Base::default()),
        };
        let Some(base) = base else { return Ok(None) };
        // By way of the index: it knows the files' times, so that files that did not change need not be read.
        let diff = repository.diff_tree_to_workdir_with_index(base.tree.as_ref(), Some(&mut options()))?;
        collect(diff, base.id)
    })
}

/// What `commit` changes. None where it is not known, as in [`of_working_tree`].
pub(crate) fn of_commit(repository: &Repository, commit: &Commit<'_>, main: Option<&str>) -> Option<Changes> {
    known(|| {
        let Some(base) = base(repository, commit, main)? else { return Ok(None) };
        let diff = repository.diff_tree_to_tree(base.tree.as_ref(), Some(&commit.tree()?), Some(&mut options()))?;
        collect(diff, base.id)
    })
}

fn known(find: impl FnOnce() -> Result<Option<Changes>, Error>) -> Option<Changes> {
    find().unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known which files changed");
        None
    })
}

/// What code is compared with: a commit, or nothing at all, where every file is added.
#[derive(Default)]
struct Base<'r> {
    id: Option<Oid>,
    tree: Option<Tree<'r>>,
}

/// Where the history of `commit` left the main branch; its first parent if it did not, so that a build of the main branch
/// sees what its last commit brought. None where the history was cut off before that: in a shallow clone.
fn base<'r>(repository: &'r Repository, commit: &Commit<'_>, main: Option<&str>) -> Result<Option<Base<'r>>, Error> {
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
    Ok(match before {
        Some(id) => Some(Base { id: Some(id), tree: Some(repository.find_commit(id)?.tree()?) }),
        None if repository.is_shallow() => None,
        None => Some(Base::default()),
    })
}

fn options() -> DiffOptions {
    let mut options = DiffOptions::new();
    // Only paths are wanted: no file has to be read to see whether it is text.
    options.skip_binary_check(true).include_typechange(true);
    options.include_untracked(true).recurse_untracked_dirs(true);
    options
}

/// The diff's paths; none when there are too many.
fn collect(mut diff: Diff<'_>, base: Option<Oid>) -> Result<Option<Changes>, Error> {
    let count = diff.deltas().len();
    if count > MOST_FILES {
        tracing::warn!(count, "too many files changed to tell the script which");
        return Ok(None);
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
    Ok(Some(changes))
}

/// A path as text. A repository inside of the repository is one entry, which git ends with a slash.
fn path(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests;
