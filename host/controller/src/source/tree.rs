//! Puts the files of a commit into a directory.
//!
//! libgit2 could do it, but it can't be stopped, knows no limits, and first gives each file a longer name, which is too long for some.
//! So this walks through the tree by itself, twice: once to see whether it is small enough, and once to write. A tree is hostile: 200 KB
//! of it can name 10^8 paths, and a name can be `..` or `.git`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use git2::{ObjectType, Odb, Oid, Repository, Tree, TreeEntry};
use tokio_util::sync::CancellationToken;

use super::attributes::Attributes;
use super::error::CheckoutError;
use super::limits::Limits;

const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

/// What a checkout may still take, all its repositories together.
pub(super) struct Budget<'a> {
    pub(super) limits: &'a Limits,
    pub(super) cancelled: &'a CancellationToken,
    entries: u64,
    bytes: u64,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limits: &'a Limits, cancelled: &'a CancellationToken) -> Self {
        Self { limits, cancelled, entries: 0, bytes: 0 }
    }

    pub(super) fn go_on(&self) -> Result<(), CheckoutError> {
        if self.cancelled.is_cancelled() { Err(CheckoutError::Stopped) } else { Ok(()) }
    }

    fn entries(&mut self, count: usize) -> Result<(), CheckoutError> {
        self.entries += count as u64;
        let limit = self.limits.entries;
        if self.entries > limit { Err(CheckoutError::TooManyEntries { limit }) } else { self.go_on() }
    }

    fn file(&mut self, path: &Path, size: u64) -> Result<(), CheckoutError> {
        let Limits { file, bytes, .. } = *self.limits;
        if size > file {
            return Err(CheckoutError::FileTooLarge { path: path.to_owned(), size, limit: file });
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > bytes { Err(CheckoutError::TooManyBytes { limit: bytes }) } else { Ok(()) }
    }
}

/// What came of it, beside files.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Submodules: empty directories so far, and the commits that belong there.
    pub(super) submodules: Vec<(PathBuf, Oid)>,
    /// Files whose content lies in Git LFS: what is there names it only.
    pub(super) lfs: Vec<PathBuf>,
    /// Files that should have another encoding than git keeps them in.
    pub(super) encoded: Vec<PathBuf>,
}

/// Puts all that `tree` has into the empty directory `dir`, but `.git`.
///
/// # Errors
/// When it costs too much, can't be written, or is to be stopped. What has been written by then is left.
pub(super) fn check_out(
    repository: &Repository,
    tree: &Tree<'_>,
    dir: &Dir,
    budget: &mut Budget<'_>,
) -> Result<Placed, CheckoutError> {
    let git = |error: git2::Error| CheckoutError::git(repository.path(), &error);
    let odb = repository.odb().map_err(git)?;
    let attributes = measure(repository, tree, &odb, budget)?;
    let mut index = repository.index().map_err(git)?;
    // Attributes are looked up in it; and git in a job needs it.
    index.read_tree(tree).and_then(|()| index.write()).map_err(git)?;
    let attributes = Attributes::new(repository, attributes > 0);
    let mut placed = Placed::default();
    let limit = budget.limits.path;
    visit(repository, tree, limit, &mut |visited| {
        let Visited::Entry(path, entry) = visited else { return budget.go_on() };
        let failed = |source| CheckoutError::Write { path: path.to_owned(), source };
        match entry.filemode() {
            _ if entry.kind() == Some(ObjectType::Tree) => dir.create_dir(path).map_err(failed),
            SUBMODULE => {
                placed.submodules.push((path.to_owned(), entry.id()));
                dir.create_dir(path).map_err(failed)
            }
            LINK => {
                let target = odb.read(entry.id()).map_err(git)?;
                dir.symlink_contents(OsStr::from_bytes(target.data()), path).map_err(failed)
            }
            mode => {
                let content = odb.read(entry.id()).map_err(git)?;
                let content = attributes.convert(path, entry.id(), content.data(), &mut placed).map_err(git)?;
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(if mode & 0o111 == 0 { 0o666 } else { 0o777 });
                let file = dir.open_with(path, &options);
                file.and_then(|mut file| file.write_all(&content)).map_err(failed)
            }
        }
    })?;
    Ok(placed)
}

/// Counts what a tree has, and says how many bytes of attributes there are.
fn measure(
    repository: &Repository,
    tree: &Tree<'_>,
    odb: &Odb<'_>,
    budget: &mut Budget<'_>,
) -> Result<u64, CheckoutError> {
    let mut attributes = 0;
    visit(repository, tree, budget.limits.path, &mut |visited| {
        let (path, entry) = match visited {
            Visited::Tree(entries) => return budget.entries(entries),
            Visited::Entry(path, entry) => (path, entry),
        };
        if entry.kind() != Some(ObjectType::Blob) {
            return Ok(());
        }
        let header = odb.read_header(entry.id());
        let (size, kind) = header.map_err(|error| CheckoutError::git(repository.path(), &error))?;
        if kind != ObjectType::Blob {
            return Err(bad(path, "it is no file, although its mode says so"));
        }
        let size = size as u64;
        budget.file(path, size)?;
        if entry.name_bytes() == b".gitattributes" {
            attributes += size;
        }
        let limit = budget.limits.attributes;
        if attributes > limit { Err(CheckoutError::TooManyAttributes { limit }) } else { Ok(()) }
    })?;
    Ok(attributes)
}

/// What a walk through a tree comes by.
enum Visited<'v> {
    /// A tree with so many entries, before these.
    Tree(usize),
    Entry(&'v Path, &'v TreeEntry<'v>),
}

/// Walks through a tree: each directory comes before what is in it, and all names are good ones that come once.
fn visit(
    repository: &Repository,
    tree: &Tree<'_>,
    longest: usize,
    see: &mut dyn FnMut(Visited<'_>) -> Result<(), CheckoutError>,
) -> Result<(), CheckoutError> {
    let mut path = PathBuf::new();
    let mut stack = vec![(tree.clone(), 0)];
    see(Visited::Tree(tree.len()))?;
    unique(&path, tree)?;
    while let Some((tree, next)) = stack.last_mut() {
        let Some(entry) = tree.get(*next) else {
            stack.pop();
            path.pop();
            continue;
        };
        *next += 1;
        let below = match entry.kind() {
            Some(ObjectType::Tree) => Some(entry.id()),
            _ => None,
        };
        path.push(OsStr::from_bytes(entry.name_bytes()));
        if path.as_os_str().len() > longest {
            return Err(bad(&path, &format!("its path is longer than {longest} bytes")));
        }
        see(Visited::Entry(&path, &entry))?;
        match below {
            Some(id) => {
                let tree = repository.find_tree(id).map_err(|error| CheckoutError::git(repository.path(), &error))?;
                see(Visited::Tree(tree.len()))?;
                unique(&path, &tree)?;
                drop(entry);
                stack.push((tree, 0));
            }
            None => drop(path.pop()),
        }
    }
    Ok(())
}

/// Checks the names in a tree. What comes twice could be a link first and then a directory that lies where the link leads.
fn unique(path: &Path, tree: &Tree<'_>) -> Result<(), CheckoutError> {
    let mut names = HashSet::with_capacity(tree.len());
    for entry in tree {
        let name = entry.name_bytes();
        let at = || path.join(OsStr::from_bytes(name));
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
            return Err(bad(&at(), "its name is none"));
        }
        if name.eq_ignore_ascii_case(b".git") {
            return Err(bad(&at(), "the name is git's own"));
        }
        if !names.insert(name.to_owned()) {
            return Err(bad(&at(), "the name comes twice"));
        }
    }
    Ok(())
}

fn bad(path: &Path, reason: &str) -> CheckoutError {
    CheckoutError::BadEntry { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
