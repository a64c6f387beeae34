//! Looks into an archive without unpacking it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::reader::{ArchiveReader, Bytes};
use crate::{ArchiveError, Limit, Refusal, UnpackLimits, name};

/// The most bytes that the paths of a list may have, with 64 for each: a list is held in memory, and two million long names
/// pack to nothing.
pub(crate) const MAX_LISTING: u64 = 64 * 1024 * 1024;

/// The regular files of a hostile archive and their sizes, sorted by path. Of a file that comes twice the first counts, as in
/// [`extract_file()`]; links, devices and directories are passed over.
///
/// # Errors
/// [`ArchiveError::Limit`] when it costs more than `limits` allow, [`ArchiveError::Refused`] when an entry's name is not
/// allowed, [`ArchiveError::Read`] when the bytes are no whole archive.
pub fn list_files(reader: impl Read, limits: &UnpackLimits) -> Result<Vec<(PathBuf, u64)>, ArchiveError> {
    let mut archive = ArchiveReader::new(reader, limits)?;
    let mut files = BTreeMap::new();
    let mut length = 0;
    archive.entries(|head, entry| {
        if head.kind == EntryType::Regular && !head.path.as_os_str().is_empty() {
            length += 64 + head.path.as_os_str().len() as u64;
            if length > MAX_LISTING {
                return Err(ArchiveError::Limit(Limit::Listing(MAX_LISTING)));
            }
            files.entry(head.path).or_insert(entry.size());
        }
        Ok(ControlFlow::<()>::Continue(()))
    })?;
    archive.finish()?;
    Ok(files.into_iter().collect())
}

/// The contents of the regular files of a hostile archive, by their paths, of which there is one of each: it is read once, from its start to
/// its end. All are held in memory, so `limits` say how large they may be together. Links, devices and directories are passed over.
///
/// # Errors
/// [`ArchiveError::Refused`] when a path comes twice; otherwise as [`list_files()`].
pub fn read_files(reader: impl Read, limits: &UnpackLimits) -> Result<BTreeMap<PathBuf, Vec<u8>>, ArchiveError> {
    let mut archive = ArchiveReader::new(reader, limits)?;
    let mut files = BTreeMap::new();
    let mut length = 0;
    archive.entries(|head, entry| {
        if head.kind != EntryType::Regular || head.path.as_os_str().is_empty() {
            return Ok(ControlFlow::<()>::Continue(()));
        }
        length += 64 + head.path.as_os_str().len() as u64;
        if length > MAX_LISTING {
            return Err(ArchiveError::Limit(Limit::Listing(MAX_LISTING)));
        }
        // What an entry says of its size is not believed: it grows as it is read, and what is read is metered.
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(ArchiveError::Read)?;
        if (content.len() as u64) < entry.size() {
            return Err(ArchiveError::Truncated { entry: head.path });
        }
        match files.entry(head.path) {
            Entry::Vacant(place) => drop(place.insert(content)),
            Entry::Occupied(place) => return Err(ArchiveError::refused(place.key(), Refusal::Twice)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    archive.finish()?;
    Ok(files)
}

/// Opens the regular file `path` of a hostile archive. Reads no more of the archive than it has to, so what comes after the file is
/// not checked, nor the checksum of the whole.
///
/// ```
/// use std::io::Read;
/// use std::path::Path;
///
/// use monkeyci_archive::{UnpackLimits, extract_file, pack_file};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut archive = Vec::new();
/// pack_file(Path::new("report/index.html"), 5, &b"hello"[..], &mut archive)?;
///
/// let mut file = extract_file(&archive[..], Path::new("report/index.html"), &UnpackLimits::default())?;
/// let mut content = String::new();
/// file.read_to_string(&mut content)?;
/// assert_eq!((file.size(), content.as_str()), (5, "hello"));
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ArchiveError::NoSuchFile`] when there is none, [`ArchiveError::BadPath`] when there can't be; otherwise as [`list_files()`].
pub fn extract_file<R: Read>(reader: R, path: &Path, limits: &UnpackLimits) -> Result<ArchivedFile<R>, ArchiveError> {
    let wanted = name::to_pack(path)?;
    let mut archive = ArchiveReader::new(reader, limits)?;
    let found = archive.entries(|head, entry| {
        let is_it = head.kind == EntryType::Regular && head.path == wanted && !wanted.as_os_str().is_empty();
        Ok(if is_it { ControlFlow::Break(entry.size()) } else { ControlFlow::Continue(()) })
    })?;
    match found {
        // The tar crate reads no byte ahead: what comes next is the content.
        Some(size) => Ok(ArchivedFile { size, left: size, bytes: archive.into_bytes() }),
        None => {
            archive.finish()?;
            Err(ArchiveError::NoSuchFile { path: wanted })
        }
    }
}

/// A file of an archive, to read.
pub struct ArchivedFile<R: Read> {
    size: u64,
    left: u64,
    bytes: Bytes<R>,
}

impl<R: Read> ArchivedFile<R> {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the archive is read from, for whoever wants to see the rest of its bytes.
    pub fn into_reader(self) -> R {
        self.bytes.inner.finish().into_inner().inner
    }
}

impl<R: Read> std::fmt::Debug for ArchivedFile<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchivedFile").field("size", &self.size).field("left", &self.left).finish_non_exhaustive()
    }
}

impl<R: Read> Read for ArchivedFile<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        if most == 0 {
            return Ok(0);
        }
        let n = self.bytes.read(&mut buf[..most])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside the file"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}
