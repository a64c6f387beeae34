//! The workspace archive: what container jobs start from.

use std::io;
use std::path::PathBuf;

use monkeyci_storage::{Blobs, Stored, written_by};
use object_store::path::Path;

/// Packs the directory into the blob `name`: all files that git would not ignore.
pub(crate) async fn store(blobs: &Blobs, name: &Path, dir: PathBuf) -> Result<Stored, io::Error> {
    let pack =
        move |out: &mut dyn io::Write| monkeyci_archive::pack_workspace(&dir, out).map(drop).map_err(io::Error::other);
    written_by(blobs, name, pack).await
}
