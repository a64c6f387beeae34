//! The code that is built, to read.

use crate::error::Told;
use crate::host::workspace as host;
use crate::{ErrorContext, Result};

/// The code that is built, to read: see [`Build::workspace`](crate::Build::workspace).
///
/// Paths are relative to the workspace's root, their parts divided by `/`. Nothing outside is reached: `..` and absolute
/// paths are errors, and so is a symbolic link that leads out, or into `.git`. Globs are like [those of changes](crate::Changes#globs).
///
/// The script's function may read a few megabytes: what it read is kept, so that each instance of the script reads the same.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(build: &Build) -> Result<impl IntoJobs> {
///     let modules: Vec<ContainerJob> = build
///         .workspace()
///         .glob(["modules/*/Makefile"])?
///         .iter()
///         .filter_map(|path| path.split('/').nth(1))
///         .map(|name| container(format!("test-{name}"), "debian:12").shell(["make test"]).work_dir(format!("modules/{name}")))
///         .collect();
///     Ok(modules)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Workspace {
    pub(crate) _private: (),
}

impl Workspace {
    /// The whole file, of at most 4 MiB.
    ///
    /// # Errors
    /// When there is no such file, it is too large, or the path leads out.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        host::read_file(path).told()
    }

    /// The whole file as text, of at most 4 MiB.
    ///
    /// # Errors
    /// When there is no such file, it is too large or not UTF-8, or the path leads out.
    pub fn read_to_string(&self, path: &str) -> Result<String> {
        String::from_utf8(self.read_file(path)?).with_context(|| format!("{path:?} is not a text"))
    }

    /// The names in a directory, sorted; those of directories end in `/`. The root is `.`.
    ///
    /// # Errors
    /// When there is no such directory, or the path leads out.
    pub fn read_dir(&self, path: &str) -> Result<Vec<String>> {
        host::read_dir(path).told()
    }

    /// The paths of all files that match one of the globs, sorted: of a clone, among all that was checked out; of a local directory,
    /// among those that git tracks and those that it does not ignore.
    ///
    /// # Errors
    /// When the workspace can't be read, or a name that matches is not UTF-8.
    pub fn glob<S: Into<String>>(&self, patterns: impl IntoIterator<Item = S>) -> Result<Vec<String>> {
        host::glob(&list(patterns)).told()
    }

    /// What is known of `path` without reading it; none when there is nothing. A symbolic link is not followed.
    ///
    /// # Errors
    /// When the path leads out.
    pub fn stat(&self, path: &str) -> Result<Option<Metadata>> {
        let known = host::stat(path).told()?;
        Ok(known.map(|it| Metadata { kind: kind(&it.kind()), size: it.size(), executable: it.executable() }))
    }

    /// Whether there is anything at `path`.
    ///
    /// # Errors
    /// When the path leads out.
    pub fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.stat(path)?.is_some())
    }

    /// A digest (64 hexadecimal digits) of the paths and contents of all files that match one of the globs: good for keys of
    /// [caches](crate::cache).
    ///
    /// # Errors
    /// When no file matches.
    pub fn hash_files<S: Into<String>>(&self, patterns: impl IntoIterator<Item = S>) -> Result<String> {
        host::hash_files(&list(patterns)).told()
    }
}

fn list<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Vec<String> {
    patterns.into_iter().map(Into::into).collect()
}

fn kind(name: &str) -> FileKind {
    match name {
        "file" => FileKind::File,
        "directory" => FileKind::Directory,
        "symlink" => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes; 0 for all but files.
    pub size: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Something else: a socket, say.
    Other,
}
