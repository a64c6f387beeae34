//! Whether anything in a tree has changed.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::path::Path;

use cap_std::fs::{Dir, Metadata, MetadataExt};

use crate::ArchiveError;
use crate::tree::{Walk, top};

/// How a tree was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

/// Takes fingerprints. Those of one value can be compared; nobody else can guess them, so that nobody can make a change
/// that does not show.
///
/// ```
/// use std::path::Path;
///
/// use cap_std::ambient_authority;
/// use cap_std::fs::Dir;
/// use monkeyci_archive::Fingerprints;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let dir = Dir::open_ambient_dir(dir.path(), ambient_authority())?;
/// let fingerprints = Fingerprints::default();
/// dir.write("file", "bytes")?;
/// let before = fingerprints.take(&dir, Path::new("."))?;
/// assert_eq!(fingerprints.take(&dir, Path::new("."))?, before);
/// dir.write("other", "bytes")?;
/// assert_ne!(fingerprints.take(&dir, Path::new("."))?, before);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Fingerprints(RandomState);

impl Fingerprints {
    /// The fingerprint of the file or directory `path` of `dir`, as [`crate::pack()`] would see it: paths, kinds, modes, owners,
    /// sizes, times and targets of links. The time of the last change of any kind counts too, since nobody can set it: a
    /// package manager that gives each file the same time can't hide a new one of the same size.
    ///
    /// # Errors
    /// As [`crate::pack()`]'s.
    pub fn take(&self, dir: &Dir, path: &Path) -> Result<Fingerprint, ArchiveError> {
        let (path, top) = top(dir, path)?;
        let mut hasher = self.0.build_hasher();
        let mut walk = Walk::new(dir);
        add(&mut hasher, &path, &top);
        if top.is_dir() {
            walk.enter(&path)?;
        }
        while let Some((path, metadata)) = walk.next()? {
            let Some(metadata) = metadata else { continue };
            add(&mut hasher, &path, &metadata);
            if metadata.is_dir() {
                walk.enter(&path)?;
            } else if metadata.is_symlink() {
                let target = dir.read_link_contents(&path).map_err(|error| ArchiveError::entry(&path, error))?;
                target.hash(&mut hasher);
            }
        }
        Ok(Fingerprint(hasher.finish()))
    }
}

fn add(hasher: &mut impl Hasher, path: &Path, metadata: &Metadata) {
    path.hash(hasher);
    (metadata.mode(), metadata.uid(), metadata.gid()).hash(hasher);
    (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()).hash(hasher);
    // A directory's size depends on its past, too.
    if metadata.is_dir() { 0 } else { metadata.len() }.hash(hasher);
}
