//! Packs a file or a directory below a capability.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::ArchiveError;
use crate::name;
use crate::writer::{Attributes, EntryWriter};

/// What [`pack()`] has packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Regular files and links.
    pub files: u64,
    /// Bytes in regular files.
    pub bytes: u64,
    /// Sockets, devices and named pipes, which an archive can't hold, and files that vanished meanwhile.
    pub skipped: u64,
}

/// Packs the file or directory `path` of `dir` into `out`; `.` packs all that `dir` holds.
///
/// Entries are named by their path below `dir`, and sorted. `path` itself is followed where it is a symbolic link or leads
/// through one, as long as that stays inside `dir`; links further down are packed as links, wherever they point.
///
/// # Errors
/// [`ArchiveError::Missing`], [`ArchiveError::BadPath`] and [`ArchiveError::NotPackable`] say what is wrong with `path`,
/// [`ArchiveError::Write`] that `out` failed; then what `out` got is no archive and [`crate::unpack()`] refuses it.
pub fn pack(dir: &Dir, path: &Path, out: impl Write) -> Result<Packed, ArchiveError> {
    let path = name::to_pack(path)?;
    let top = if path.as_os_str().is_empty() { dir.dir_metadata() } else { dir.metadata(&path) };
    let top = top.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => ArchiveError::Missing { path: path.clone() },
        _ => ArchiveError::entry(&path, error),
    })?;
    if !top.is_dir() && !top.is_file() {
        return Err(ArchiveError::NotPackable { path });
    }
    let mut writer = EntryWriter::new(out)?;
    let mut pending = vec![];
    if path.as_os_str().is_empty() {
        push_children(dir, &path, &mut pending)?;
    } else {
        pack_one(dir, &path, &top, &mut writer, &mut pending)?;
    }
    while let Some(path) = pending.pop() {
        match dir.symlink_metadata(&path) {
            Ok(metadata) => pack_one(dir, &path, &metadata, &mut writer, &mut pending)?,
            Err(error) if error.kind() == ErrorKind::NotFound => writer.skip(),
            Err(error) => return Err(ArchiveError::entry(path, error)),
        }
    }
    writer.finish()
}

fn pack_one<W: Write>(
    dir: &Dir,
    path: &Path,
    metadata: &Metadata,
    writer: &mut EntryWriter<W>,
    pending: &mut Vec<PathBuf>,
) -> Result<(), ArchiveError> {
    if metadata.is_dir() {
        writer.directory(path, attributes(metadata))?;
        return push_children(dir, path, pending);
    }
    if metadata.is_symlink() {
        let target = dir.read_link_contents(path).map_err(|error| ArchiveError::entry(path, error))?;
        return writer.link(path, &target, attributes(metadata));
    }
    if !metadata.is_file() {
        writer.skip();
        return Ok(());
    }
    let mut options = OpenOptions::new();
    // Should a named pipe have taken the file's place, opening it must not wait for a writer.
    options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let opened = dir.open_with(path, &options).and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, file)) if metadata.is_file() => writer.file(path, file, metadata.len(), attributes(&metadata)),
        Ok(_) => {
            writer.skip();
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            writer.skip();
            Ok(())
        }
        Err(error) => Err(ArchiveError::entry(path, error)),
    }
}

/// Puts the directory's entries on the stack, the first by name on top.
fn push_children(dir: &Dir, path: &Path, pending: &mut Vec<PathBuf>) -> Result<(), ArchiveError> {
    let failed = |error| ArchiveError::entry(path, error);
    let entries = if path.as_os_str().is_empty() { dir.entries() } else { dir.read_dir(path) };
    let first = pending.len();
    for entry in entries.map_err(failed)? {
        pending.push(path.join(entry.map_err(failed)?.file_name()));
    }
    pending[first..].sort_unstable_by(|a, b| b.as_os_str().cmp(a.as_os_str()));
    Ok(())
}

fn attributes(metadata: &Metadata) -> Attributes {
    Attributes { mode: metadata.mode(), mtime: metadata.mtime() }
}
