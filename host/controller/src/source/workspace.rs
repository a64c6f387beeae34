//! The workspace archive: what container jobs start from.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use monkeyci_archive::WorkspaceFiles;
use monkeyci_storage::{Blobs, Stored, written_by};
use object_store::path::Path;

/// Packs those files of the directory into the blob `name`. Returns too which files with patterns of what is ignored did not count,
/// since they are links or no files at all.
pub(crate) async fn store(
    blobs: &Blobs,
    name: &Path,
    dir: PathBuf,
    files: WorkspaceFiles,
) -> Result<(Stored, Vec<PathBuf>), io::Error> {
    let unread = Arc::new(OnceLock::new());
    let found = unread.clone();
    let pack = move |out: &mut dyn io::Write| {
        let packed = monkeyci_archive::pack_workspace(&dir, &files, out).map_err(io::Error::other)?;
        let _ = found.set(packed.unread);
        Ok(())
    };
    let stored = written_by(blobs, name, pack).await?;
    Ok((stored, unread.get().cloned().unwrap_or_default()))
}
