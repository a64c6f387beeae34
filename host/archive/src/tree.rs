//! Walks a tree below a capability, sorted, without following links.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, Metadata, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::{ArchiveError, Globs, Limit, UnpackLimits, name};

/// What a walk starts from: the path, without `.` (empty for the directory itself), and what is there. A link at the path
/// itself is followed, as long as that stays inside.
pub(crate) fn top(dir: &Dir, path: &Path) -> Result<(PathBuf, Metadata), ArchiveError> {
    let path = name::to_pack(path)?;
    let top = if path.as_os_str().is_empty() { dir.dir_metadata() } else { dir.metadata(&path) };
    let top = top.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => ArchiveError::Missing { path: path.clone() },
        _ => ArchiveError::entry(&path, error),
    })?;
    if !top.is_dir() && !top.is_file() {
        return Err(ArchiveError::NotPackable { path });
    }
    Ok((path, top))
}

/// The entries below a directory that are still to be visited, the next one on top.
pub(crate) struct Walk<'d> {
    dir: &'d Dir,
    pending: Vec<PathBuf>,
    /// The most that may be pending: one directory can have more entries than fit into memory.
    limit: u64,
}

impl<'d> Walk<'d> {
    pub(crate) fn new(dir: &'d Dir) -> Self {
        Self { dir, pending: Vec::new(), limit: UnpackLimits::default().max_entries }
    }

    /// Adds what is in the directory `path`, to be visited before all else.
    pub(crate) fn enter(&mut self, path: &Path) -> Result<(), ArchiveError> {
        let failed = |error| ArchiveError::entry(path, error);
        let entries = if path.as_os_str().is_empty() { self.dir.entries() } else { self.dir.read_dir(path) };
        let first = self.pending.len();
        for entry in entries.map_err(failed)? {
            if self.pending.len() as u64 >= self.limit {
                return Err(ArchiveError::Limit(Limit::Entries(self.limit)));
            }
            self.pending.push(path.join(entry.map_err(failed)?.file_name()));
        }
        self.pending[first..].sort_unstable_by(|a, b| b.as_os_str().cmp(a.as_os_str()));
        Ok(())
    }

    /// The next entry; without metadata when it has vanished meanwhile.
    pub(crate) fn next(&mut self) -> Result<Option<(PathBuf, Option<Metadata>)>, ArchiveError> {
        let Some(path) = self.pending.pop() else { return Ok(None) };
        match self.dir.symlink_metadata(&path) {
            Ok(metadata) => Ok(Some((path, Some(metadata)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some((path, None))),
            Err(error) => Err(ArchiveError::entry(path, error)),
        }
    }
}

/// Opens a file that was one a moment ago; none when it is none any more. Should a named pipe have taken its place, opening
/// it does not wait for a writer.
pub(crate) fn open_file(dir: &Dir, path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    match dir.open_with(path, &options).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((metadata, file)) if metadata.is_file() => Ok(Some((file, metadata))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path below the directory.
    pub path: PathBuf,
    /// Its size in bytes, when it was looked at.
    pub size: u64,
}

impl Found {
    /// Opens it.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file any more.
    pub fn open(&self, dir: &Dir) -> io::Result<std::fs::File> {
        match open_file(dir, &self.path)? {
            Some((file, _)) => Ok(file.into_std()),
            None => Err(io::Error::new(ErrorKind::NotFound, "it is no file any more")),
        }
    }

    /// The content, if it is still a file and has at most `max` bytes; none otherwise.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, dir: &Dir, max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((file, _)) = open_file(dir, &self.path)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut content)?;
        Ok(Some(content).filter(|content| content.len() as u64 <= max))
    }
}

/// The regular files below `dir` that match, sorted, at most `max` of them. Looks only where something can match, and does
/// not follow links.
///
/// # Errors
/// [`ArchiveError::Entry`] when a directory can't be read, [`ArchiveError::Limit`] when there is too much to look at.
pub fn find(dir: &Dir, globs: &Globs, max: usize) -> Result<Vec<Found>, ArchiveError> {
    let limit = UnpackLimits::default().max_entries;
    let mut walk = Walk::new(dir);
    let mut found = Vec::new();
    let mut seen = 0;
    walk.enter(Path::new(""))?;
    while let Some((path, metadata)) = walk.next()? {
        seen += 1;
        if seen > limit {
            return Err(ArchiveError::Limit(Limit::Entries(limit)));
        }
        let Some(metadata) = metadata else { continue };
        if metadata.is_dir() && globs.reach_below(&path) {
            match walk.enter(&path) {
                // It vanished meanwhile.
                Err(ArchiveError::Entry { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
        } else if metadata.is_file() && globs.matches(&path) {
            found.push(Found { path, size: metadata.len() });
            if found.len() == max {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_directory_with_too_many_entries_no_more_than_the_limit_are_held() {
        let place = tempfile::tempdir().expect("a directory");
        for name in 0..5 {
            std::fs::write(place.path().join(name.to_string()), "").expect("written");
        }
        let dir = Dir::open_ambient_dir(place.path(), cap_std::ambient_authority()).expect("a directory");
        let mut walk = Walk { limit: 5, ..Walk::new(&dir) };
        walk.enter(Path::new("")).expect("so many are allowed");
        let mut walk = Walk { limit: 4, ..Walk::new(&dir) };
        let refused = walk.enter(Path::new(""));
        assert!(matches!(refused, Err(ArchiveError::Limit(Limit::Entries(4)))), "{refused:?}");
        assert_eq!(walk.pending.len(), 4);
    }
}
