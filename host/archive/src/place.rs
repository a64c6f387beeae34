//! Puts entries into a directory: replaces what is in their place, writes through nothing, leaves nowhere.
//!
//! Each entry is placed by its last name in an open parent directory, with calls that don't follow links. So only the
//! way to the parent can lead through a link: cap-std keeps it inside, and [`Links::Inside`] allows none at all.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, OpenOptions, Permissions, PermissionsExt};
use rustix::fs::{AtFlags, Gid, Timespec, Timestamps, Uid};

use crate::limits::Links;
use crate::writer::Attributes;
use crate::{ArchiveError, Refusal};

const COPY_BUFFER: usize = 128 * 1024;

pub(crate) struct Placer<'d> {
    root: &'d Dir,
    links: Links,
    owner: Option<(Uid, Gid)>,
    /// The parent of the last entry: in a sorted archive the next one mostly has the same.
    parent: Option<(PathBuf, Dir)>,
    /// Directories whose mode and time are still to be set, each below the one before. Setting them at once would lock us
    /// out of a read-only directory, and the entries that follow would change the time.
    unfinished: Vec<(PathBuf, Attributes)>,
    buffer: Vec<u8>,
}

impl<'d> Placer<'d> {
    pub(crate) fn new(root: &'d Dir, links: Links, owner: Option<(u32, u32)>) -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let owner = owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
        // What we create is ours: giving it to ourselves would only cost time, and rights that we may not have.
        let owner = owner.filter(|owner| uid.is_root() && *owner != (uid, gid));
        Self { root, links, owner, parent: None, unfinished: Vec::new(), buffer: vec![0; COPY_BUFFER] }
    }

    pub(crate) fn directory(&mut self, path: &Path, attributes: Attributes) -> Result<(), ArchiveError> {
        self.finish_all_but_parents_of(path)?;
        let owner = self.owner;
        let (parent, name) = self.parent_of(path)?;
        let result = match parent.create_dir(name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match parent.symlink_metadata(name) {
                Ok(metadata) if metadata.is_dir() => Ok(()),
                Ok(_) => parent.remove_file(name).and_then(|()| parent.create_dir(name)),
                Err(error) => Err(error),
            },
            other => other,
        };
        result.and_then(|()| own(parent, name, owner)).map_err(|error| ArchiveError::entry(path, error))?;
        self.unfinished.push((path.to_owned(), attributes));
        Ok(())
    }

    /// Makes a new, empty file.
    pub(crate) fn file(&mut self, path: &Path) -> Result<File, ArchiveError> {
        self.finish_all_but_parents_of(path)?;
        let (parent, name) = self.parent_of(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        replace(parent, path, name, || parent.open_with(name, &options))
    }

    pub(crate) fn copy(&mut self, path: &Path, from: &mut impl Read, to: &mut File) -> Result<u64, ArchiveError> {
        let mut copied = 0;
        loop {
            match from.read(&mut self.buffer) {
                Ok(0) => return Ok(copied),
                Ok(n) => {
                    to.write_all(&self.buffer[..n]).map_err(|error| ArchiveError::entry(path, error))?;
                    copied += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
    }

    pub(crate) fn finish_file(&mut self, path: &Path, file: &File, attributes: Attributes) -> Result<(), ArchiveError> {
        let owner = self.owner;
        let set = || {
            if let Some((uid, gid)) = owner {
                rustix::fs::fchown(file, Some(uid), Some(gid))?;
            }
            file.set_permissions(Permissions::from_mode(attributes.mode))?;
            rustix::fs::futimens(file, &times(attributes))?;
            Ok(())
        };
        set().map_err(|error: io::Error| ArchiveError::entry(path, error))
    }

    pub(crate) fn link(&mut self, path: &Path, target: &Path, attributes: Attributes) -> Result<(), ArchiveError> {
        self.finish_all_but_parents_of(path)?;
        let owner = self.owner;
        let (parent, name) = self.parent_of(path)?;
        replace(parent, path, name, || parent.symlink_contents(target, name))?;
        own(parent, name, owner)
            .and_then(|()| set_times(parent, name, attributes))
            .map_err(|error| ArchiveError::entry(path, error))
    }

    /// Sets what is still to be set.
    pub(crate) fn finish(&mut self) -> Result<(), ArchiveError> {
        self.finish_all_but_parents_of(Path::new(""))
    }

    fn finish_all_but_parents_of(&mut self, path: &Path) -> Result<(), ArchiveError> {
        while let Some((directory, attributes)) = self.unfinished.pop_if(|(directory, _)| !below(path, directory)) {
            let (parent, name) = self.parent_of(&directory)?;
            parent
                .set_permissions(name, Permissions::from_mode(attributes.mode))
                .and_then(|()| set_times(parent, name, attributes))
                .map_err(|error| ArchiveError::entry(&directory, error))?;
        }
        Ok(())
    }

    /// The open parent directory of `path`, made where it is missing, and the last name of `path`.
    fn parent_of<'p>(&mut self, path: &'p Path) -> Result<(&Dir, &'p OsStr), ArchiveError> {
        let no_name = || ArchiveError::refused(path, Refusal::NoName);
        let (parent, name) = (path.parent().ok_or_else(no_name)?, path.file_name().ok_or_else(no_name)?);
        if parent.as_os_str().is_empty() {
            return Ok((self.root, name));
        }
        if self.parent.as_ref().is_none_or(|(open, _)| open != parent) {
            let dir = self.open(parent, path)?;
            self.parent = Some((parent.to_owned(), dir));
        }
        match &self.parent {
            Some((_, dir)) => Ok((dir, name)),
            None => Err(no_name()),
        }
    }

    fn open(&self, parent: &Path, entry: &Path) -> Result<Dir, ArchiveError> {
        let failed = |error| ArchiveError::entry(entry, error);
        let mut at = PathBuf::new();
        for name in parent.components() {
            at.push(name);
            match self.root.symlink_metadata(&at) {
                Ok(metadata) if metadata.is_symlink() && self.links == Links::Inside => {
                    return Err(ArchiveError::refused(entry, Refusal::ThroughLink { link: at }));
                }
                Ok(metadata) if metadata.is_dir() || metadata.is_symlink() => {}
                Ok(_) => return Err(ArchiveError::refused(entry, Refusal::Occupied)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.root.create_dir(&at).map_err(failed)?;
                    let mode = Permissions::from_mode(0o755);
                    self.root.set_permissions(&at, mode).map_err(failed)?;
                    self.own_parent(&at).map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        self.root.open_dir(parent).map_err(failed)
    }

    fn own_parent(&self, at: &Path) -> io::Result<()> {
        let (Some(name), Some(above)) = (at.file_name(), at.parent()) else { return Ok(()) };
        if above.as_os_str().is_empty() {
            own(self.root, name, self.owner)
        } else {
            own(&self.root.open_dir(above)?, name, self.owner)
        }
    }
}

fn below(path: &Path, directory: &Path) -> bool {
    path != directory && path.starts_with(directory)
}

/// Makes something that must not exist yet, after removing what is in its place. A directory is not removed: an archive
/// that turns a directory into something else is either broken or means harm.
fn replace<T>(parent: &Dir, path: &Path, name: &OsStr, make: impl Fn() -> io::Result<T>) -> Result<T, ArchiveError> {
    let made = match make() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if parent.symlink_metadata(name).is_ok_and(|metadata| metadata.is_dir()) {
                return Err(ArchiveError::refused(path, Refusal::Occupied));
            }
            parent.remove_file(name).and_then(|()| make())
        }
        other => other,
    };
    made.map_err(|error| ArchiveError::entry(path, error))
}

fn own(parent: &Dir, name: &OsStr, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    Ok(rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn set_times(parent: &Dir, name: &OsStr, attributes: Attributes) -> io::Result<()> {
    Ok(rustix::fs::utimensat(parent, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn times(attributes: Attributes) -> Timestamps {
    let time = Timespec { tv_sec: attributes.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
