//! A file of the code that a build is to have, before there is the build: its script, say.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_build::Source;

use super::Host;
use crate::error::ControllerError;
use crate::source::{CheckoutError, SourceRequest};

/// See [`HostBuilder::languages`](super::HostBuilder::languages).
pub(super) type Languages = dyn Fn(&Path, &str) -> Option<Result<Vec<u8>, String>> + Send + Sync;

/// A file of a repository.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CodeFile {
    /// What is in it.
    pub bytes: Bytes,
    /// The code that it is of: commit, branch or tag.
    pub source: Source,
}

/// Why a file of the code can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// The code itself can't be had.
    #[error("{reason}")]
    Checkout {
        /// Why.
        reason: String,
    },
    /// There is no such file, or what is there is no file.
    #[error("the code has no file {path:?}: {reason}")]
    NoFile {
        /// Its path.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// It is larger than it may be.
    #[error("{path:?} of the code has more than {most} bytes, which is as much as it may have")]
    TooLarge {
        /// Its path.
        path: String,
        /// How large it may be.
        most: u64,
    },
    /// There is something, and no script can be made of it.
    #[error("the code has no script at {path:?}: {reason}")]
    Script {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// This machine failed.
    #[error(transparent)]
    Host(#[from] ControllerError),
}

impl From<CheckoutError> for CodeError {
    fn from(error: CheckoutError) -> Self {
        Self::Checkout { reason: error.to_string() }
    }
}

impl Host {
    /// Gets the code that `source` names, and reads the file at `path` of it, which may have `most` bytes. No link in the code leads out of it.
    ///
    /// # Errors
    /// When code or file can't be had.
    pub async fn read_code(&self, source: &SourceRequest, path: &str, most: u64) -> Result<CodeFile, CodeError> {
        let path = path.to_owned();
        self.look_into(source, move |dir| read(dir, path, most)).await
    }

    /// Gets the code that `source` names, and the script at `path` of it: a component, which may have `most` bytes, or what is made of a
    /// file or a folder in one of the [languages](super::HostBuilder::languages) that this host has.
    ///
    /// # Errors
    /// When the code can't be had, or has no script there.
    pub async fn read_script(&self, source: &SourceRequest, path: &str, most: u64) -> Result<CodeFile, CodeError> {
        let (path, languages) = (path.to_owned(), self.0.languages.clone());
        let look = move |dir: &Path| match languages.and_then(|make| make(dir, &path)) {
            Some(made) => made.map(Bytes::from).map_err(|reason| CodeError::Script { path, reason }),
            None => read(dir, path, most),
        };
        self.look_into(source, look).await
    }

    /// Gets the code, and has somebody look for something in its directory.
    async fn look_into(
        &self,
        source: &SourceRequest,
        look: impl FnOnce(&Path) -> Result<Bytes, CodeError> + Send + 'static,
    ) -> Result<CodeFile, CodeError> {
        let aside =
            tempfile::tempdir().map_err(|source| ControllerError::Home { path: std::env::temp_dir(), source })?;
        let checkout = source.clone().check_out_in_background(aside.path().join("code")).await?;
        let dir = checkout.dir;
        let read = tokio::task::spawn_blocking(move || {
            // It is there as long as somebody reads in it.
            let _aside = aside;
            look(&dir)
        });
        let bytes = read.await.map_err(|error| ControllerError::Panic(error.to_string()))??;
        Ok(CodeFile { bytes, source: checkout.source })
    }
}

fn read(dir: &Path, path: String, most: u64) -> Result<Bytes, CodeError> {
    let none = |reason: String| CodeError::NoFile { path: path.clone(), reason };
    let dir = Dir::open_ambient_dir(dir, ambient_authority()).map_err(|error| none(error.to_string()))?;
    // Before it is opened: a pipe would be waited for.
    if !dir.metadata(&path).map_err(|error| none(error.to_string()))?.is_file() {
        return Err(none("it is no regular file".to_owned()));
    }
    let file = dir.open(&path).map_err(|error| none(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| none(error.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(CodeError::TooLarge { path, most });
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_code_is_read_and_what_is_none_or_lies_outside_or_is_too_large_is_refused() {
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::write(outside.path().join("secret"), "s").expect("written");
        let dir = outside.path().join("code");
        std::fs::create_dir_all(dir.join("sub")).expect("made");
        std::fs::write(dir.join("sub/ci.wasm"), "12345").expect("written");
        std::os::unix::fs::symlink("../secret", dir.join("link")).expect("linked");
        let read = |path: &str, most| super::read(&dir, path.to_owned(), most);
        assert_eq!(read("sub/ci.wasm", 5).expect("a file"), "12345");
        assert!(matches!(read("sub/ci.wasm", 4), Err(CodeError::TooLarge { .. })));
        for wrong in ["none", "sub", "link", "../secret", "/etc"] {
            assert!(matches!(read(wrong, 5), Err(CodeError::NoFile { .. })), "{wrong}");
        }
    }
}
