//! Finding files of the workspace by globs.

use std::io::{self, Read};
use std::path::Path;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use monkeyci_archive::{ArchiveError, Globs, walk_workspace};
use monkeyci_storage::hex;
use sha2::{Digest, Sha256};

use crate::running::BuildDirs;
use crate::serve::Refusal;

/// The most globs of one question.
pub(crate) const GLOBS: usize = 1000;
/// The most bytes that a digest is made of: 4 GiB.
pub(crate) const HASHED: u64 = 4 << 30;
/// The most bytes of paths that one answer has: 4 MiB.
pub(crate) const ANSWER: usize = 4 << 20;

/// The paths of the files that match one of the globs, sorted. Links to files count as files, and are not followed.
///
/// # Errors
/// Also when a part of the workspace can't be read: a script that is told of fewer files than there are does the wrong thing.
pub(crate) fn glob(dirs: &BuildDirs, globs: &[String]) -> Result<Vec<String>, Refusal> {
    let globs = compile(globs)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for entry in walk_workspace(&dirs.path, &dirs.files).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.kind.is_dir() && globs.matches(&entry.path) {
            // A script that is told of fewer files than there are does the wrong thing.
            let path = entry.path.to_str().ok_or_else(|| {
                let path = &entry.path;
                Refusal::invalid(format!(
                    "{path:?} matches, and its name is not UTF-8, so a script can't be told of it; rename it, or use narrower globs"
                ))
            })?;
            bytes += path.len() + 8;
            if bytes > ANSWER {
                return Err(Refusal::too_large("the globs match too many files; use narrower ones"));
            }
            found.push(path.to_owned());
        }
    }
    // The walk sorts names in their directories: `a-b` comes before `a/b` there.
    found.sort();
    Ok(found)
}

/// A digest of the paths and contents of the files that match one of the globs.
pub(crate) fn hash(dirs: &BuildDirs, globs: &[String]) -> Result<String, Refusal> {
    let paths = glob(dirs, globs)?;
    if paths.is_empty() {
        return Err(Refusal::not_found(format!("no file matches {globs:?}")));
    }
    let mut digest = Sha256::new();
    let (mut left, mut buffer) = (HASHED, vec![0; 128 * 1024]);
    for path in paths {
        let content = content(&dirs.workspace, &path, &mut left, &mut buffer)?;
        digest.update((path.len() as u64).to_le_bytes());
        digest.update(&path);
        digest.update(content);
    }
    Ok(hex(&digest.finalize()))
}

/// The digest of one file's content; of a link, of where it points.
fn content(dir: &Dir, path: &str, left: &mut u64, buffer: &mut [u8]) -> Result<[u8; 32], Refusal> {
    let fail = |error| failed(Path::new(path), &error);
    let metadata = dir.symlink_metadata(path).map_err(fail)?;
    let mut digest = Sha256::new();
    if metadata.is_symlink() {
        digest.update(b"link");
        digest.update(dir.read_link_contents(path).map_err(fail)?.as_os_str().as_encoded_bytes());
        return Ok(digest.finalize().into());
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits() as i32);
    let mut file = dir.open_with(path, &options).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Ok(digest.finalize().into());
    }
    loop {
        let read = file.read(buffer).map_err(fail)?;
        if read == 0 {
            return Ok(digest.finalize().into());
        }
        *left = left
            .checked_sub(read as u64)
            .ok_or_else(|| Refusal::too_large("the globs match more than 4 GiB; use narrower ones"))?;
        digest.update(&buffer[..read]);
    }
}

/// Why there is no answer to what files there are.
fn unreadable(error: ArchiveError) -> Refusal {
    match error {
        ArchiveError::Entry { entry, source } => failed(&entry, &source),
        error @ ArchiveError::TooManyPatterns { .. } => Refusal::too_large(error),
        error => Refusal::invalid(format!("the workspace can't be read: {error}")),
    }
}

/// Why something of the workspace can't be read, which is said aloud: nothing is passed over.
pub(super) fn failed(path: &Path, error: &io::Error) -> Refusal {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    match errno {
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
            Refusal::busy(format!("{path:?} can't be opened: the host has too many files open; try again"))
        }
        _ => Refusal::invalid(format!("{path:?} can't be read: {error}")),
    }
}

fn compile(globs: &[String]) -> Result<Globs, Refusal> {
    if globs.is_empty() || globs.len() > GLOBS {
        return Err(Refusal::invalid(format!("give 1 to {GLOBS} globs")));
    }
    Globs::new(globs).map_err(Refusal::invalid)
}
