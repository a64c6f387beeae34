//! Names of entries and targets of links: what they may be.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::{ArchiveError, Refusal};

/// The path to pack, without `.`; empty for the directory itself.
pub(crate) fn to_pack(path: &Path) -> Result<PathBuf, ArchiveError> {
    normal(path).map_err(|_| ArchiveError::BadPath { path: path.to_owned() })
}

/// The name of an archive's entry as a path, without `.`; empty for the directory itself.
pub(crate) fn of_entry(bytes: &[u8], max_len: usize) -> Result<PathBuf, ArchiveError> {
    let shown = Path::new(OsStr::from_bytes(&bytes[..bytes.len().min(max_len)]));
    let refused = |refusal| ArchiveError::refused(shown, refusal);
    check_bytes(bytes, max_len).map_err(refused)?;
    normal(Path::new(OsStr::from_bytes(bytes))).map_err(refused)
}

/// The target of a link in an archive.
pub(crate) fn of_target(entry: &Path, bytes: &[u8], max_len: usize) -> Result<PathBuf, ArchiveError> {
    check_bytes(bytes, max_len).map_err(|refusal| ArchiveError::refused(entry, refusal))?;
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// Whether a link at `entry` to `target` stays inside the directory, provided that no parent of `entry` is a link and
/// that all other links stay inside too. `..` may only lead: after a name it could climb out from wherever a link by
/// that name points to.
pub(crate) fn stays_inside(entry: &Path, target: &Path) -> bool {
    let mut depth = entry.components().count().saturating_sub(1);
    let mut climbing = true;
    for component in target.components() {
        match component {
            Component::ParentDir if climbing && depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
            Component::Normal(_) => climbing = false,
            Component::CurDir => {}
        }
    }
    true
}

fn check_bytes(bytes: &[u8], max_len: usize) -> Result<(), Refusal> {
    if bytes.is_empty() {
        Err(Refusal::NoName)
    } else if bytes.len() > max_len {
        Err(Refusal::TooLong { max: max_len })
    } else if bytes.contains(&0) {
        Err(Refusal::Nul)
    } else {
        Ok(())
    }
}

fn normal(path: &Path) -> Result<PathBuf, Refusal> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(Refusal::ParentDir),
            Component::RootDir | Component::Prefix(_) => return Err(Refusal::Absolute),
        }
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_inside_only_while_it_climbs_no_higher_than_the_directory_and_climbs_first() {
        let cases = [
            ("a", "b", true),
            ("a", "./b/c", true),
            ("a/b/c", "../../d", true),
            ("a/b/c", "../..", true),
            ("a", "..", false),
            ("a/b/c", "../../../d", false),
            ("a", "/etc", false),
            ("a/b", "c/../../x", false),
            ("a/b", "c/..", false),
        ];
        for (entry, target, inside) in cases {
            assert_eq!(stays_inside(Path::new(entry), Path::new(target)), inside, "{entry} -> {target}");
        }
    }
}
