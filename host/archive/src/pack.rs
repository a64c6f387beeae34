//! Packs a file or a directory below a capability.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, Metadata, MetadataExt};

use crate::tree::{Walk, open_file, top};
use crate::writer::{Attributes, EntryWriter};
use crate::{ArchiveError, Globs, name};

/// The time of a file that comes from no directory: equal contents give equal archives. It is the second day of 1980, since
/// zip files know no earlier time.
const NO_TIME: i64 = 315_619_200;

/// What has been packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Regular files and links.
    pub files: u64,
    /// Bytes in regular files.
    pub bytes: u64,
    /// Sockets, devices and named pipes, which an archive can't hold, and files that vanished meanwhile (but of a workspace, where an
    /// editor's temporary files come and go).
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
    Packing::new(dir, None, out)?.all(path)
}

/// Packs, of the directory `path` of `dir`, the files and links that match. The globs are relative to `path`; entries are named
/// by their path below `dir`, as [`pack()`] names them, and directories are packed where they lead to a file. A file at `path`
/// is packed as it is.
///
/// # Errors
/// [`ArchiveError::NoMatch`] when nothing matches, before `out` got a byte; otherwise as [`pack()`].
pub fn pack_matching(dir: &Dir, path: &Path, globs: &Globs, out: impl Write) -> Result<Packed, ArchiveError> {
    Packing::new(dir, Some(globs), out)?.all(path)
}

/// Packs several files or directories of `dir` as [`pack()`] packs one. A path that is not there is left out, and so is one that lies
/// in another.
///
/// # Errors
/// [`ArchiveError::Missing`] when none of them is there; otherwise as [`pack()`].
pub fn pack_all(dir: &Dir, paths: &[PathBuf], out: impl Write) -> Result<Packed, ArchiveError> {
    let mut found = BTreeMap::new();
    let mut missing = None;
    for path in paths {
        match top(dir, path) {
            // Sorted by their names, a path comes before all that lies in it.
            Ok((path, top)) => drop(found.insert(path, top)),
            Err(error @ ArchiveError::Missing { .. }) => drop(missing.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(error)) = (found.is_empty(), missing) {
        return Err(error);
    }
    let mut packing = Packing::new(dir, None, out)?;
    let mut packed: Option<PathBuf> = None;
    for (path, top) in found {
        if packed.as_ref().is_none_or(|packed| !path.starts_with(packed)) {
            packing.tree(&path, &top)?;
            packed = Some(path);
        }
    }
    packing.writer.finish()
}

/// Packs one file, which comes from a reader, as the entry `path` with the mode 0644. Bytes after the first `size` are left
/// where they are.
///
/// # Errors
/// [`ArchiveError::BadPath`] when `path` can't name an entry, [`ArchiveError::Changed`] when `content` has less than `size` bytes,
/// [`ArchiveError::Entry`] when it can't be read, [`ArchiveError::Write`] when `out` failed.
pub fn pack_file(path: &Path, size: u64, content: impl Read, out: impl Write) -> Result<Packed, ArchiveError> {
    let entry = name::to_pack(path)?;
    if entry.as_os_str().is_empty() {
        return Err(ArchiveError::BadPath { path: path.to_owned() });
    }
    let mut writer = EntryWriter::new(out)?;
    writer.file(&entry, content, size, Attributes { mode: 0o644, mtime: NO_TIME })?;
    writer.finish()
}

/// Packs files that are in memory, as [`pack_file()`] packs one. Their order is that of the archive.
///
/// # Errors
/// [`ArchiveError::BadPath`] when a path can't name an entry, [`ArchiveError::Write`] when `out` failed.
pub fn pack_files<'a>(
    files: impl IntoIterator<Item = (&'a Path, &'a [u8])>,
    out: impl Write,
) -> Result<Packed, ArchiveError> {
    let mut writer = EntryWriter::new(out)?;
    for (path, content) in files {
        let entry = name::to_pack(path)?;
        if entry.as_os_str().is_empty() {
            return Err(ArchiveError::BadPath { path: path.to_owned() });
        }
        writer.file(&entry, content, content.len() as u64, Attributes { mode: 0o644, mtime: NO_TIME })?;
    }
    writer.finish()
}

struct Packing<'a, W: Write> {
    dir: &'a Dir,
    globs: Option<&'a Globs>,
    /// The directory that the globs are relative to.
    root: PathBuf,
    /// Directories on the way to the current entry of which it is not known yet whether something in them matches.
    unwritten: Vec<(PathBuf, Attributes)>,
    walk: Walk<'a>,
    writer: EntryWriter<W>,
}

impl<'a, W: Write> Packing<'a, W> {
    fn new(dir: &'a Dir, globs: Option<&'a Globs>, out: W) -> Result<Self, ArchiveError> {
        let (walk, writer) = (Walk::new(dir), EntryWriter::new(out)?);
        Ok(Self { dir, globs, root: PathBuf::new(), unwritten: Vec::new(), walk, writer })
    }

    fn all(mut self, path: &Path) -> Result<Packed, ArchiveError> {
        let (path, top) = top(self.dir, path)?;
        if top.is_file() {
            self.globs = None;
        }
        self.root.clone_from(&path);
        self.tree(&path, &top)?;
        match self.globs {
            Some(globs) if !self.writer.has_files() => {
                let path = if path.as_os_str().is_empty() { ".".into() } else { path };
                Err(ArchiveError::NoMatch { path, globs: globs.to_string() })
            }
            _ => self.writer.finish(),
        }
    }

    /// Packs what is at a path, and all that it holds.
    fn tree(&mut self, path: &Path, top: &Metadata) -> Result<(), ArchiveError> {
        if path.as_os_str().is_empty() {
            // The directory itself comes first, as every other top does: so an archive says what was packed. How it looks is no
            // part of what it holds.
            self.directory(path, Attributes { mode: 0o755, mtime: NO_TIME })?;
        } else {
            self.one(path, top)?;
        }
        while let Some((path, metadata)) = self.walk.next()? {
            match metadata {
                Some(metadata) => self.one(&path, &metadata)?,
                None => self.writer.skip(),
            }
        }
        Ok(())
    }

    fn one(&mut self, path: &Path, metadata: &Metadata) -> Result<(), ArchiveError> {
        if metadata.is_dir() {
            return self.directory(path, attributes(metadata));
        }
        if self.globs.is_some_and(|globs| !globs.matches(path.strip_prefix(&self.root).unwrap_or(path))) {
            return Ok(());
        }
        if metadata.is_symlink() {
            let target = self.dir.read_link_contents(path).map_err(|error| ArchiveError::entry(path, error))?;
            self.write_way_to(path)?;
            return self.writer.link(path, &target, attributes(metadata));
        }
        let opened = if metadata.is_file() { open_file(self.dir, path) } else { Ok(None) };
        match opened.map_err(|error| ArchiveError::entry(path, error))? {
            Some((file, metadata)) => {
                self.write_way_to(path)?;
                self.writer.file(path, file, metadata.len(), attributes(&metadata))
            }
            None => {
                self.writer.skip();
                Ok(())
            }
        }
    }

    fn directory(&mut self, path: &Path, attributes: Attributes) -> Result<(), ArchiveError> {
        match self.globs {
            None => self.writer.directory(path, attributes)?,
            Some(globs) if !globs.reach_below(path.strip_prefix(&self.root).unwrap_or(path)) => return Ok(()),
            Some(_) => {
                self.unwritten.retain(|(above, _)| path.starts_with(above));
                self.unwritten.push((path.to_owned(), attributes));
            }
        }
        self.walk.enter(path)
    }

    /// Writes the directories that lead to `path` and have not been written.
    fn write_way_to(&mut self, path: &Path) -> Result<(), ArchiveError> {
        for (directory, attributes) in self.unwritten.drain(..) {
            if path.starts_with(&directory) {
                self.writer.directory(&directory, attributes)?;
            }
        }
        Ok(())
    }
}

fn attributes(metadata: &Metadata) -> Attributes {
    Attributes { mode: metadata.mode(), mtime: metadata.mtime() }
}
