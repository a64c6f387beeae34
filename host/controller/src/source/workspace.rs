//! The workspace archive: what container jobs start from.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use monkeyci_archive::{WorkspaceFiles, pack_workspace, pack_workspace_with_git};
use monkeyci_storage::{Blobs, Stored, hex, written_by};
use object_store::path::Path;
use sha2::{Digest, Sha256};

use super::history::History;

/// What a workspace archive is made of.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) dir: PathBuf,
    /// Which files of the directory.
    pub(crate) files: WorkspaceFiles,
    /// The repository whose history is packed as `.git`.
    pub(crate) history: Option<History>,
}

/// The digest of the archive that [`store`] would make, without a history.
pub(crate) async fn digest(contents: Contents) -> Result<String, io::Error> {
    /// Keeps nothing.
    struct Hashed(Sha256);

    impl io::Write for Hashed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let pack = move || {
        let mut hashed = Hashed(Sha256::new());
        pack_workspace(&contents.dir, &contents.files, &mut hashed).map_err(io::Error::other)?;
        Ok(hex(&hashed.0.finalize()))
    };
    tokio::task::spawn_blocking(pack).await.map_err(io::Error::other)?
}

/// What a workspace archive has not, and might have.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut {
    /// Files with patterns of what is ignored that did not count, since they are links or no files at all.
    pub(crate) unread: Vec<PathBuf>,
    /// How many sockets, pipes and devices there are.
    pub(crate) no_files: u64,
}

/// Packs those files of the directory into the blob `name`. Returns too what was left out.
pub(crate) async fn store(blobs: &Blobs, name: &Path, contents: Contents) -> Result<(Stored, LeftOut), io::Error> {
    let left_out = Arc::new(OnceLock::new());
    let found = left_out.clone();
    let pack = move |out: &mut dyn io::Write| {
        let Contents { dir, files, history } = contents;
        let packed = match history {
            None => pack_workspace(&dir, &files, out).map_err(io::Error::other)?,
            Some(history) => {
                // Beside nothing else: it goes when it has been packed.
                let made = tempfile::tempdir_in(&history.scratch)?;
                let git = history.copy(made.path()).map_err(io::Error::other)?;
                pack_workspace_with_git(&dir, &files, &git, out).map_err(io::Error::other)?
            }
        };
        let _ = found.set(LeftOut { unread: packed.unread, no_files: packed.packed.skipped });
        Ok(())
    };
    let stored = written_by(blobs, name, pack).await?;
    Ok((stored, left_out.get().cloned().unwrap_or_default()))
}
