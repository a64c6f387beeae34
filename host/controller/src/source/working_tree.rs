//! A directory of this machine, built as it stands.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository, RepositoryOpenFlags};
use monkeyci_archive::{ArchiveError, WorkspaceFiles, walk_workspace};
use monkeyci_build::Source;
use tokio_util::sync::CancellationToken;

use super::attributes::{LONGEST_POINTER, is_pointer};
use super::changes::{self, Unknown};
use super::checkout::{Checkout, describe, listed};
use super::error::CheckoutError;
use super::git_url::shown;
use super::limits::Limits;
use super::refs;

/// The mode of a submodule in an index.
const SUBMODULE: u32 = 0o160_000;

/// Looks at the directory `dir`.
///
/// # Errors
/// When it can't be built.
pub(super) fn working_tree(
    dir: &Path,
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<Checkout, CheckoutError> {
    let dir = std::fs::canonicalize(dir).map_err(|source| CheckoutError::Dir { path: dir.to_owned(), source })?;
    if !dir.is_dir() {
        return Err(CheckoutError::NotADir(dir));
    }
    let git = |error: &git2::Error| CheckoutError::git(&dir, error);
    let mut warnings = Vec::new();
    let Some(Found { repository, root }) = find(&dir, &mut warnings)? else {
        let (files, source) = (WorkspaceFiles::of_working_tree([]), Source::default());
        return Ok(Checkout { dir, files, source, repository: None, warnings });
    };
    let mut source = Source {
        git_url: repository.find_remote("origin").ok().and_then(|remote| remote.url().ok().map(shown)),
        main_branch: refs::main_branch(&repository),
        ..Source::default()
    };
    let commit = match repository.head() {
        Ok(head) => {
            if head.is_branch() {
                source.git_ref = head.name().ok().map(str::to_owned);
                source.branch = head.shorthand().ok().map(str::to_owned);
            }
            let commit = head.peel_to_commit().map_err(|error| git(&error))?;
            describe(&mut source, &repository, &commit);
            Some(commit.id())
        }
        // A repository without a commit yet; its branch has a name already.
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            let head = repository.find_reference("HEAD").ok();
            source.git_ref = head.and_then(|head| head.symbolic_target().ok().flatten().map(str::to_owned));
            let branch = source.git_ref.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
            source.branch = branch.map(str::to_owned);
            None
        }
        Err(error) => return Err(git(&error)),
    };
    // A bare repository has no working tree: its directory is built as any other.
    let Some(root) = root else {
        return Ok(Checkout { dir, files: WorkspaceFiles::of_working_tree([]), source, repository: None, warnings });
    };
    let mut tracked = Tracked::default();
    tracked.add(&repository, Path::new(""), limits.depth).map_err(|error| git(&error))?;
    if !tracked.missing.is_empty() {
        let missing = listed("submodule", &tracked.missing);
        warnings.push(format!("{missing} of the code are not there; fetch them with `git submodule update --init`"));
    }
    let all = WorkspaceFiles::of_working_tree(tracked.files.iter().cloned());
    let looked = look(&root, &all, limits, cancelled)?.map_err(Unknown::Unsafe).and_then(|pointers| {
        if !pointers.is_empty() {
            warnings.push(format!(
                "{} of the code lie in Git LFS and are not there: what is in their place are pointers of some lines; fetch \
                 them with `git lfs pull`",
                listed("file", &pointers)
            ));
        }
        changes::of_working_tree(&repository, commit, source.main_branch.as_deref())
    });
    match looked {
        Ok(found) => {
            source.changes = changes::known(found.changes, &mut warnings);
            source.dirty = found.dirty;
            if source.dirty
                && let Some(name) = &mut source.describe
            {
                name.push_str("-dirty");
            }
        }
        Err(unknown) => {
            let lfs = if matches!(unknown, Unknown::Unsafe(_)) { "which files lie in Git LFS, and " } else { "" };
            warnings.push(format!("{unknown}; nor is it known {lfs}whether there are changes that are not committed"));
        }
    }
    let files = match dir.strip_prefix(&root) {
        Ok(below) if !below.as_os_str().is_empty() => {
            let below = |path: PathBuf| path.strip_prefix(below).ok().map(Path::to_owned);
            WorkspaceFiles::of_working_tree(tracked.files.into_iter().filter_map(below))
        }
        _ => all,
    };
    let repository = commit.map(|_| repository.path().to_owned());
    Ok(Checkout { dir, files, source, repository, warnings })
}

/// Why it is not known which files of a directory git tracks.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TrackedFilesError(#[from] CheckoutError);

/// The files of the directory `dir` that git tracks, submodules' too, as paths below it: a build of the directory has them whatever ignores
/// them. None where it is no repository's.
///
/// # Errors
/// When the directory or its repository can't be read.
pub fn tracked_files(dir: &Path) -> Result<BTreeSet<PathBuf>, TrackedFilesError> {
    let dir = std::fs::canonicalize(dir).map_err(|source| CheckoutError::Dir { path: dir.to_owned(), source })?;
    let Some(Found { repository, root: Some(root) }) = find(&dir, &mut Vec::new())? else {
        return Ok(BTreeSet::new());
    };
    let mut tracked = Tracked::default();
    let added = tracked.add(&repository, Path::new(""), Limits::default().depth);
    added.map_err(|error| CheckoutError::git(&dir, &error))?;
    let below = dir.strip_prefix(&root).unwrap_or(Path::new(""));
    Ok(tracked.files.iter().filter_map(|path| path.strip_prefix(below).ok().map(Path::to_owned)).collect())
}

/// A repository that a directory belongs to.
struct Found {
    repository: Repository,
    /// Its working tree, if it has one.
    root: Option<PathBuf>,
}

/// Finds the repository of a directory. Its working tree is where its `.git` is: `core.worktree` in its configuration, which came
/// with the repository, may say any other place of this machine.
fn find(dir: &Path, warnings: &mut Vec<String>) -> Result<Option<Found>, CheckoutError> {
    let root = dir.ancestors().find(|above| above.join(".git").symlink_metadata().is_ok());
    let opened = match root {
        Some(root) => {
            let nothing_above: [&Path; 0] = [];
            let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::CROSS_FS;
            Repository::open_ext(root, flags, nothing_above)
        }
        None => Repository::discover(dir),
    };
    let repository = match opened {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(CheckoutError::git(root.unwrap_or(dir), &error)),
    };
    let Some(root) = root.map(Path::to_owned).filter(|_| !repository.is_bare()) else {
        return Ok(Some(Found { repository, root: None }));
    };
    let said = repository.workdir().map(|said| std::fs::canonicalize(said).unwrap_or_else(|_| said.to_owned()));
    if said.as_ref() != Some(&root) {
        repository.set_workdir(&root, false).map_err(|error| CheckoutError::git(&root, &error))?;
        let said = said.map_or_else(|| "none".to_owned(), |said| said.display().to_string());
        warnings.push(format!(
            "the configuration of the repository in {} says that its working tree is {said} (core.worktree): that does not count",
            root.display()
        ));
    }
    Ok(Some(Found { repository, root: Some(root) }))
}

/// What the indexes of a repository and of its submodules say.
#[derive(Default)]
struct Tracked {
    files: Vec<PathBuf>,
    /// Submodules that are not there.
    missing: Vec<PathBuf>,
}

impl Tracked {
    fn add(&mut self, repository: &Repository, at: &Path, depth: usize) -> Result<(), git2::Error> {
        let Some(root) = repository.workdir() else { return Ok(()) };
        for entry in repository.index()?.iter() {
            let path = PathBuf::from(OsStr::from_bytes(&entry.path));
            let below = at.join(&path);
            if entry.mode != SUBMODULE {
                self.files.push(below);
                continue;
            }
            let nothing_above: [&Path; 0] = [];
            let opened = Repository::open_ext(root.join(&path), RepositoryOpenFlags::NO_SEARCH, nothing_above);
            match opened {
                Ok(submodule) if depth > 0 => self.add(&submodule, &below, depth - 1)?,
                _ => self.missing.push(below),
            }
        }
        Ok(())
    }
}

/// Looks through a working tree before libgit2 does, which reads files with patterns and attributes whatever they are and however long
/// they take. Returns the files that stand for others in Git LFS, or what libgit2 must not be let read.
fn look(
    root: &Path,
    files: &WorkspaceFiles,
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<Result<Vec<PathBuf>, String>, CheckoutError> {
    let failed = |error: ArchiveError| match error {
        ArchiveError::Entry { entry, source } => CheckoutError::Dir { path: root.join(entry), source },
        error => CheckoutError::Dir { path: root.to_owned(), source: std::io::Error::other(error) },
    };
    let mut walk = match walk_workspace(root, files) {
        Err(error @ ArchiveError::TooManyPatterns { .. }) => return Ok(Err(error.to_string())),
        walk => walk.map_err(failed)?,
    };
    let (mut attributes, mut lfs) = (0, false);
    for entry in walk.by_ref() {
        if cancelled.is_cancelled() {
            return Err(CheckoutError::Stopped);
        }
        let entry = match entry {
            Err(error @ ArchiveError::TooManyPatterns { .. }) => return Ok(Err(error.to_string())),
            entry => entry.map_err(failed)?,
        };
        let path = root.join(&entry.path);
        let is_attributes = entry.path.file_name().is_some_and(|name| name == ".gitattributes");
        if is_attributes && !entry.kind.is_dir() {
            if !entry.kind.is_file() {
                return Ok(Err(format!("{:?} is no regular file", entry.path)));
            }
            let limit = limits.attributes;
            let text = beginning(&path, limit + 1);
            attributes += text.len() as u64;
            if attributes > limit {
                return Ok(Err(CheckoutError::TooManyAttributes { limit }.to_string()));
            }
            lfs |= String::from_utf8_lossy(&text).contains("filter=lfs");
        }
    }
    if let Some(path) = walk.unread().first() {
        return Ok(Err(format!("{:?} is no regular file", path.strip_prefix(root).unwrap_or(path))));
    }
    let mut pointers = Vec::new();
    // Anew, since attributes may come after the files that they are about.
    for entry in lfs.then(|| walk_workspace(root, files)).transpose().map_err(failed)?.into_iter().flatten() {
        if cancelled.is_cancelled() {
            return Err(CheckoutError::Stopped);
        }
        let entry = entry.map_err(failed)?;
        let path = root.join(&entry.path);
        let is_small = || path.symlink_metadata().is_ok_and(|metadata| metadata.len() <= LONGEST_POINTER as u64);
        if entry.kind.is_file() && is_small() && is_pointer(&beginning(&path, LONGEST_POINTER as u64)) {
            pointers.push(entry.path);
        }
    }
    Ok(Ok(pointers))
}

/// The first `max` bytes of a file that was one a moment ago; none if it can't be read any more.
fn beginning(path: &Path, max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(max).read_to_end(&mut bytes));
    read.map(|_| bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
