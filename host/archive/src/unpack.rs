//! Reads a hostile archive, entry by entry.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use tar::{Entry, EntryType};

use crate::limits::{Links, UnpackLimits};
use crate::name;
use crate::place::Placer;
use crate::reader::{ArchiveReader, Head};
use crate::writer::{Attributes, MODE_MASK};
use crate::{ArchiveError, Refusal};

/// What [`unpack()`] has unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Regular files and links.
    pub files: u64,
    /// Bytes in regular files.
    pub bytes: u64,
}

/// Unpacks an archive into `dir`. The archive may be hostile: nothing outside `dir` is written, and it costs no more than
/// `limits` allow.
///
/// What an entry finds in its place is replaced, never written through; a directory stays and takes the entry's mode.
/// `owner` (user and group) is given to all that is created, if this process is root; otherwise it is the process's.
///
/// # Errors
/// [`ArchiveError::Refused`] names the first entry that is not allowed, [`ArchiveError::Limit`] the limit that was reached,
/// [`ArchiveError::Read`] and [`ArchiveError::Truncated`] say that the bytes are no whole archive. What was unpacked
/// before stays.
pub fn unpack(
    reader: impl Read,
    dir: &Dir,
    limits: &UnpackLimits,
    owner: Option<(u32, u32)>,
) -> Result<Unpacked, ArchiveError> {
    Unpacking::new(dir, limits, owner).all(reader, Ok)
}

/// Unpacks an archive as [`unpack()`] does, but what was packed, a file or a directory, has the path `path` below `dir` then: a
/// directory's content is in `path`, a file has this path. Where it was packed from does not matter.
///
/// # Errors
/// [`ArchiveError::BadPath`] when nothing can have the path, or the archive is of a file and `path` is `dir` itself;
/// [`ArchiveError::SeveralRoots`] when the archive was made of several files or directories; otherwise as [`unpack()`].
pub fn unpack_as(
    reader: impl Read,
    dir: &Dir,
    path: &Path,
    limits: &UnpackLimits,
    owner: Option<(u32, u32)>,
) -> Result<Unpacked, ArchiveError> {
    let path = name::to_pack(path)?;
    // What was packed is the first entry of every archive that `pack` makes.
    let mut root: Option<PathBuf> = None;
    Unpacking::new(dir, limits, owner).all(reader, |head| {
        let root = root.get_or_insert_with(|| head.path.clone());
        let below = head
            .path
            .strip_prefix(&*root)
            .map_err(|_| ArchiveError::SeveralRoots { first: root.clone(), other: head.path.clone() })?;
        let path = if below.as_os_str().is_empty() { path.clone() } else { path.join(below) };
        if path.as_os_str().is_empty() && head.kind != EntryType::Directory {
            return Err(ArchiveError::BadPath { path: PathBuf::from(".") });
        }
        Ok(Head { path, ..head })
    })
}

struct Unpacking<'d> {
    limits: &'d UnpackLimits,
    placer: Placer<'d>,
    done: Unpacked,
}

impl<'d> Unpacking<'d> {
    fn new(dir: &'d Dir, limits: &'d UnpackLimits, owner: Option<(u32, u32)>) -> Self {
        Self { limits, placer: Placer::new(dir, limits.links, owner), done: Unpacked::default() }
    }

    /// Unpacks every entry, where `place` says.
    fn all(
        mut self,
        reader: impl Read,
        mut place: impl FnMut(Head) -> Result<Head, ArchiveError>,
    ) -> Result<Unpacked, ArchiveError> {
        let mut archive = ArchiveReader::new(reader, self.limits)?;
        archive.entries(|head, entry| self.entry(place(head)?, entry).map(ControlFlow::<()>::Continue))?;
        self.placer.finish()?;
        archive.finish()?;
        Ok(self.done)
    }

    fn entry<R: Read>(&mut self, head: Head, entry: &mut Entry<'_, R>) -> Result<(), ArchiveError> {
        let Head { kind, path, long_target } = head;
        let refused = |refusal| Err(ArchiveError::refused(&path, refusal));
        let attributes = attributes(&path, entry)?;
        if path.as_os_str().is_empty() {
            // `./`, the directory itself: whoever opened it decides how it looks.
            return if kind == EntryType::Directory { Ok(()) } else { refused(Refusal::NoName) };
        }
        match kind {
            EntryType::Directory => self.placer.directory(&path, attributes),
            EntryType::Regular => {
                let size = entry.size();
                let mut file = self.placer.file(&path)?;
                let copied = self.placer.copy(&path, entry, &mut file)?;
                if copied < size {
                    return Err(ArchiveError::Truncated { entry: path });
                }
                self.done.files += 1;
                self.done.bytes += copied;
                self.placer.finish_file(&path, &file, attributes)
            }
            EntryType::Symlink => {
                let target = long_target.or_else(|| entry.header().link_name_bytes().map(|name| name.into_owned()));
                let target = name::of_target(&path, &target.unwrap_or_default(), self.limits.max_path_len)?;
                if self.limits.links == Links::Inside && !name::stays_inside(&path, &target) {
                    return refused(Refusal::LinkOutside { target });
                }
                self.done.files += 1;
                self.placer.link(&path, &target, attributes)
            }
            EntryType::Link => refused(Refusal::HardLink),
            EntryType::Char | EntryType::Block | EntryType::Fifo => refused(Refusal::Special),
            other => refused(Refusal::Unsupported { kind: other.as_byte() as char }),
        }
    }
}

fn attributes<R: Read>(path: &Path, entry: &Entry<'_, R>) -> Result<Attributes, ArchiveError> {
    let header = entry.header();
    let read = || Ok((header.mode()?, header.mtime()?));
    let (mode, mtime) = read().map_err(|error: io::Error| ArchiveError::entry(path, error))?;
    // A time past the end of time is as good as none.
    Ok(Attributes { mode: mode & MODE_MASK, mtime: i64::try_from(mtime).unwrap_or(0) })
}
