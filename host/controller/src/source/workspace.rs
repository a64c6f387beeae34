//! The workspace archive: what container jobs start from.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use monkeyci_archive::{WorkspaceFiles, pack_workspace, pack_workspace_with_git};
use monkeyci_storage::{Blobs, Stored, written_by};
use object_store::path::Path;

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

/// Packs those files of the directory into the blob `name`. Returns too which files with patterns of what is ignored did not count,
/// since they are links or no files at all.
pub(crate) async fn store(blobs: &Blobs, name: &Path, contents: Contents) -> Result<(Stored, Vec<PathBuf>), io::Error> {
    let unread = Arc::new(OnceLock::new());
    let found = unread.clone();
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
        let _ = found.set(packed.unread);
        Ok(())
    };
    let stored = written_by(blobs, name, pack).await?;
    Ok((stored, unread.get().cloned().unwrap_or_default()))
}
