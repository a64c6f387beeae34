//! The workspace: which files of a directory it has, and its archive.

use std::collections::BTreeSet;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Bound;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::ignored::Ignored;
use crate::writer::{Attributes, EntryWriter};
use crate::{ArchiveError, Packed};

/// Which files of a directory its workspace has. Git's own, `.git`, are never among them.
#[derive(Clone, Debug)]
pub struct WorkspaceFiles {
    /// The files that git tracks, which are there whatever ignores them; none where nothing is ignored.
    tracked: Option<Arc<BTreeSet<PathBuf>>>,
}

impl WorkspaceFiles {
    /// All that are there: of a directory that a checkout has made.
    pub fn all() -> Self {
        Self { tracked: None }
    }

    /// Of a directory in which people work: those that git tracks, and those that it does not ignore. Paths of tracked files are
    /// relative to the directory; there are none where it is no repository.
    ///
    /// What is ignored stands in `.gitignore` at every depth and in `.git/info/exclude`, also where the directory is no repository.
    /// The user's global excludes don't count, so that every machine finds the same. Inside a repository the `.gitignore` files
    /// above the directory count too, up to the repository's root. A file with patterns that is a link or no regular file does not
    /// count; one that is larger than 128 KiB is an error.
    pub fn of_working_tree(tracked: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { tracked: Some(Arc::new(tracked.into_iter().collect())) }
    }
}

/// Walks through the workspace at `root`: all that [`pack_workspace`] packs, sorted, without `root` itself. Links are not followed.
///
/// # Errors
/// When the files that say what is ignored can't be read, or are too large.
pub fn walk_workspace(root: &Path, files: &WorkspaceFiles) -> Result<WorkspaceWalk, ArchiveError> {
    let ignored = match &files.tracked {
        Some(_) => Ignored::above(root)?,
        None => Ignored::default(),
    };
    let mut walk = WorkspaceWalk {
        root: root.to_owned(),
        tracked: files.tracked.clone(),
        ignored,
        pending: Vec::new(),
        entered: None,
    };
    walk.enter(Path::new(""), false)?;
    Ok(walk)
}

/// Something in a workspace.
#[derive(Clone, Debug)]
pub struct WorkspaceEntry {
    /// Its path below the root.
    pub path: PathBuf,
    /// What it is; a link is a link.
    pub kind: FileType,
}

/// A walk through a workspace. After an error it ends.
#[derive(Debug)]
pub struct WorkspaceWalk {
    root: PathBuf,
    tracked: Option<Arc<BTreeSet<PathBuf>>>,
    ignored: Ignored,
    /// The next one on top.
    pending: Vec<Step>,
    /// How many of those were there before the last entry's own, if it is a directory.
    entered: Option<usize>,
}

#[derive(Debug)]
enum Step {
    Visit {
        path: PathBuf,
        /// A directory on the way is ignored: only tracked files count.
        ignored: bool,
    },
    Leave,
}

impl WorkspaceWalk {
    /// Files that should say what is ignored, and were passed over because they are links, or no files at all.
    pub fn unread(&self) -> &[PathBuf] {
        &self.ignored.unread
    }

    /// Passes over what is in the directory that came last.
    pub fn pass_over(&mut self) {
        let Some(before) = self.entered.take() else { return };
        self.pending.truncate(before);
        if self.tracked.is_some() {
            self.ignored.leave();
        }
    }

    /// Adds what is in the directory `path`, to be visited before all else.
    fn enter(&mut self, path: &Path, ignored: bool) -> Result<(), ArchiveError> {
        let failed =
            |error| ArchiveError::entry(if path.as_os_str().is_empty() { Path::new(".") } else { path }, error);
        let at = self.root.join(path);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&at).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != ".git" {
                names.push(name);
            }
        }
        names.sort_unstable();
        if self.tracked.is_some() {
            self.ignored.enter(&at)?;
            self.pending.push(Step::Leave);
        }
        self.pending.extend(names.iter().rev().map(|name| Step::Visit { path: path.join(name), ignored }));
        Ok(())
    }

    fn visit(&mut self, path: PathBuf, ignored: bool) -> Result<Option<WorkspaceEntry>, ArchiveError> {
        let at = self.root.join(&path);
        let kind = match at.symlink_metadata() {
            Ok(metadata) => metadata.file_type(),
            // An editor's temporary file that was there a moment ago.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ArchiveError::entry(path, error)),
        };
        let mut below = false;
        if let Some(tracked) = &self.tracked
            && !tracked.contains(&path)
        {
            below = ignored || self.ignored.is_ignored(&at, kind.is_dir());
            if below && !(kind.is_dir() && has_below(tracked, &path)) {
                return Ok(None);
            }
        }
        if kind.is_dir() {
            let before = self.pending.len();
            match self.enter(&path, below) {
                Err(ArchiveError::Entry { source, .. })
                    if source.kind() == ErrorKind::NotFound && self.root.is_dir() =>
                {
                    return Ok(None);
                }
                entered => entered?,
            }
            self.entered = Some(before);
        }
        Ok(Some(WorkspaceEntry { path, kind }))
    }
}

impl Iterator for WorkspaceWalk {
    type Item = Result<WorkspaceEntry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entered = None;
        loop {
            match self.pending.pop()? {
                Step::Leave => self.ignored.leave(),
                Step::Visit { path, ignored } => match self.visit(path, ignored) {
                    Ok(None) => {}
                    Ok(Some(entry)) => return Some(Ok(entry)),
                    Err(error) => {
                        self.pending.clear();
                        return Some(Err(error));
                    }
                },
            }
        }
    }
}

/// Whether a path lies below the directory.
fn has_below(paths: &BTreeSet<PathBuf>, dir: &Path) -> bool {
    let after = (Bound::Excluded(dir), Bound::Unbounded);
    paths.range::<Path, _>(after).next().is_some_and(|next| next.starts_with(dir))
}

/// A workspace that has been packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedWorkspace {
    /// What has been packed.
    pub packed: Packed,
    /// Files that should say what is ignored, and were passed over because they are links, or no files at all.
    pub unread: Vec<PathBuf>,
}

/// Packs the workspace at `root` into `out`: the files that are `files` of it. Hidden ones are packed too. Entries are named by
/// their path below `root`, and sorted.
///
/// # Errors
/// [`ArchiveError::Entry`] when a part of the tree can't be read, [`ArchiveError::Limit`] when a list of what is ignored is too large,
/// [`ArchiveError::Write`] when `out` fails.
pub fn pack_workspace(root: &Path, files: &WorkspaceFiles, out: impl Write) -> Result<PackedWorkspace, ArchiveError> {
    pack_rest(root, files, EntryWriter::new(out)?)
}

/// Packs the workspace as [`pack_workspace`] does, and before it all of the directory `git` as its `.git`.
///
/// # Errors
/// As [`pack_workspace`].
pub fn pack_workspace_with_git(
    root: &Path,
    files: &WorkspaceFiles,
    git: &Path,
    out: impl Write,
) -> Result<PackedWorkspace, ArchiveError> {
    let mut writer = EntryWriter::new(out)?;
    let name = Path::new(".git");
    pack_one(git, name, &mut writer)?;
    for entry in walk_workspace(git, &WorkspaceFiles::all())? {
        let WorkspaceEntry { path, .. } = entry?;
        pack_one(&git.join(&path), &name.join(&path), &mut writer)?;
    }
    pack_rest(root, files, writer)
}

fn pack_rest<W: Write>(
    root: &Path,
    files: &WorkspaceFiles,
    mut writer: EntryWriter<W>,
) -> Result<PackedWorkspace, ArchiveError> {
    let mut walk = walk_workspace(root, files)?;
    for entry in &mut walk {
        let WorkspaceEntry { path, .. } = entry?;
        match pack_one(&root.join(&path), &path, &mut writer) {
            // Gone meanwhile.
            Err(ArchiveError::Entry { source, .. }) if source.kind() == ErrorKind::NotFound => writer.skip(),
            other => other?,
        }
    }
    Ok(PackedWorkspace { packed: writer.finish()?, unread: walk.unread().to_vec() })
}

fn pack_one<W: Write>(at: &Path, name: &Path, writer: &mut EntryWriter<W>) -> Result<(), ArchiveError> {
    let failed = |error| ArchiveError::entry(name, error);
    let metadata = at.symlink_metadata().map_err(failed)?;
    if metadata.is_dir() {
        return writer.directory(name, attributes(&metadata));
    }
    if metadata.is_symlink() {
        return writer.link(name, &at.read_link().map_err(failed)?, attributes(&metadata));
    }
    if !metadata.is_file() {
        writer.skip();
        return Ok(());
    }
    let (file, metadata) = open(at).map_err(failed)?;
    writer.file(name, file, metadata.len(), attributes(&metadata))
}

/// Opens a file that was one a moment ago: a link or a named pipe in its place is neither followed nor waited for.
fn open(at: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(at)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(io::Error::other("changed while it was packed")) }
}

fn attributes(metadata: &Metadata) -> Attributes {
    Attributes { mode: metadata.mode(), mtime: metadata.mtime() }
}
