//! Packs a working tree as git would see it.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ignore::{Walk, WalkBuilder};
use rustix::fs::OFlags;

use crate::writer::{Attributes, EntryWriter};
use crate::{ArchiveError, Packed};

/// Walks through the working tree at `root`: all that [`pack_workspace`] packs, sorted, with `root` itself first. Links are
/// not followed.
pub fn walk_workspace(root: &Path) -> Walk {
    // Inside a repository git's rules hold, and end at its root. Elsewhere the tree's own files count and none above:
    // those are other people's, `~/.gitignore` say.
    let in_repository = root.ancestors().any(|above| above.join(".git").exists());
    WalkBuilder::new(root)
        .hidden(false)
        .parents(in_repository)
        .ignore(false)
        .git_ignore(true)
        .git_exclude(true)
        .git_global(false)
        .require_git(in_repository)
        .follow_links(false)
        .sort_by_file_name(OsStr::cmp)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build()
}

/// Packs the working tree at `root` into `out`, without what git ignores and without `.git`.
///
/// Honours `.gitignore` files at every depth and `.git/info/exclude`, also where `root` is no repository; the user's global
/// excludes don't count, so that every machine packs the same. Inside a repository the `.gitignore` files above `root` count too.
/// A file that git tracks although a pattern ignores it is left out. Hidden files are packed. Entries are named by their
/// path below `root`, and sorted.
///
/// # Errors
/// [`ArchiveError::Entry`] when a part of the tree can't be read, [`ArchiveError::Write`] when `out` fails.
pub fn pack_workspace(root: &Path, out: impl Write) -> Result<Packed, ArchiveError> {
    let mut writer = EntryWriter::new(out)?;
    let walk = walk_workspace(root);
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.io_error().is_some_and(|e| e.kind() == ErrorKind::NotFound) && !gone(root) => {
                writer.skip();
                continue;
            }
            Err(error) => return Err(ArchiveError::entry(root, io::Error::other(error))),
        };
        let Ok(path) = entry.path().strip_prefix(root) else { continue };
        if path.as_os_str().is_empty() {
            continue;
        }
        match pack_one(entry.path(), path, &mut writer) {
            // An editor's temporary file that was there a moment ago.
            Err(ArchiveError::Entry { source, .. }) if source.kind() == ErrorKind::NotFound => writer.skip(),
            other => other?,
        }
    }
    writer.finish()
}

fn gone(root: &Path) -> bool {
    !root.is_dir()
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
