//! The artifacts of a build, unpacked for a person.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use monkeyci_api::checked;
use monkeyci_archive::{ArchiveError, UnpackLimits, Unpacked, unpack};
use monkeyci_storage::{BlobStore, Blobs, names};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{ArtifactRecord, Builds, BuildsError};
use crate::error::ControllerError;

/// The bytes of an artifact, as they come.
pub type ArtifactBytes = BoxStream<'static, io::Result<Bytes>>;

impl Builds {
    /// Unpacks an artifact of a build into a directory, which is made if it is not there: all of it, or nothing. Its files have the paths
    /// that they had in the job. What is there already is never replaced.
    ///
    /// # Errors
    /// When the build has no such artifact, it is not what was saved, or something stands where it is to go.
    pub async fn unpack_artifact(
        &self,
        blobs: &BlobStore,
        build: &str,
        id: &str,
        into: &Path,
    ) -> Result<(ArtifactRecord, Unpacked), BuildsError> {
        let lost = |reason: String| BuildsError::ArtifactLost { build: build.to_owned(), id: id.to_owned(), reason };
        let blobs = self.blobs(blobs).await?;
        let (artifact, bytes) = self.artifact_in(&blobs, build, id).await?;
        let (bytes, into) = (SyncIoBridge::new(StreamReader::new(bytes)), into.to_owned());
        let unpacked = tokio::task::spawn_blocking(move || place(bytes, &into)).await;
        let unpacked = unpacked.map_err(|error| ControllerError::Panic(error.to_string()))?;
        match unpacked {
            Ok(unpacked) => Ok((artifact, unpacked)),
            Err(Fault::Artifact(reason)) => Err(lost(reason)),
            Err(Fault::Taken(path)) => Err(BuildsError::Taken { path }),
            Err(Fault::Unwritten(path, source)) => Err(BuildsError::Unwritten { path, source }),
        }
    }

    /// An artifact of a build in a store, as it was saved: an archive. Where its bytes are not those that were saved, they end with an error.
    pub(crate) async fn artifact_in(
        &self,
        blobs: &Blobs,
        build: &str,
        id: &str,
    ) -> Result<(ArtifactRecord, ArtifactBytes), BuildsError> {
        let record = self.record(build).await?;
        let Some(artifact) = record.artifacts().find(|artifact| artifact.id == id).cloned() else {
            let found = record.artifacts().map(|artifact| artifact.id.clone()).collect();
            return Err(BuildsError::NoArtifact { build: build.to_owned(), id: id.to_owned(), found });
        };
        let lost = |reason: &str| {
            let (build, id, reason) = (build.to_owned(), id.to_owned(), reason.to_owned());
            BuildsError::ArtifactLost { build, id, reason }
        };
        let found = blobs.get(&names::artifact(build, id, artifact.attempt)).await.map_err(ControllerError::from)?;
        let bytes = found.ok_or_else(|| lost("its bytes are gone from the store; run the build again"))?;
        let changed = |_| Some(io::Error::other("the store has changed it since it was saved"));
        let bytes = checked(bytes.map_err(io::Error::other).boxed(), artifact.digest.clone(), changed);
        Ok((artifact, bytes))
    }

    /// The store of this home, or the one that is named.
    pub(super) async fn blobs(&self, store: &BlobStore) -> Result<Blobs, BuildsError> {
        let local = self.home.blobs();
        if *store == BlobStore::Local && !local.exists() {
            return Ok(Blobs::none());
        }
        Ok(Blobs::open(store, &local).await.map_err(ControllerError::from)?)
    }
}

enum Fault {
    Artifact(String),
    Taken(PathBuf),
    Unwritten(PathBuf, io::Error),
}

/// Unpacks beside the place first: a half of an artifact, or one that is not what was saved, is nobody's.
fn place(mut archive: impl Read, into: &Path) -> Result<Unpacked, Fault> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Fault::Unwritten(path, error)
    };
    std::fs::create_dir_all(into).map_err(refused(into))?;
    let aside = tempfile::Builder::new().prefix(".monkeyci-").tempdir_in(into).map_err(refused(into))?;
    let dir = Dir::open_ambient_dir(aside.path(), ambient_authority()).map_err(refused(aside.path()))?;
    let unpacked = unpack(&mut archive, &dir, &UnpackLimits::default(), None);
    let unpacked = unpacked.map_err(|error| match error {
        // Not what is in the archive, but what the disk makes of it.
        ArchiveError::Entry { entry, source } => Fault::Unwritten(into.join(entry), source),
        error => Fault::Artifact(error.to_string()),
    })?;
    // To the end, where it turns out whether they are those that were saved.
    io::copy(&mut archive, &mut io::sink()).map_err(|error| Fault::Artifact(error.to_string()))?;
    let entries: Result<Vec<_>, _> =
        std::fs::read_dir(aside.path()).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let entries = entries.map_err(refused(aside.path()))?;
    // All are looked at before one is moved.
    if let Some(taken) = entries.iter().map(|name| into.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        return Err(Fault::Taken(taken));
    }
    for name in &entries {
        let to = into.join(name);
        let from = aside.path().join(name);
        match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            // Not every file system can do that. What was there has been looked for just now.
            Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(&from, &to).map_err(refused(&to))?,
            Err(Errno::EXIST) => return Err(Fault::Taken(to)),
            moved => moved.map_err(|error| Fault::Unwritten(to, error.into()))?,
        }
    }
    Ok(unpacked)
}
