//! Large answers that a build's script was told, from where it was told them: artifacts in the store, and the code's directory, where that has
//! not changed. Whatever is found counts only if it is what the journal has the digest of.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::TryStreamExt;
use monkeyci_archive::{UnpackLimits, extract_file};
use monkeyci_build::{BuildState, Event, RequestedSource};
use monkeyci_storage::names;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::Host;
use crate::bundle::VALUE_BYTES;
use crate::replay::RecordedBuild;
use crate::replay::values::{Content, Piece};

impl Host {
    /// Looks for the large answers of a build, and adds those that are still there; of those that are `carried` elsewhere, the ones without
    /// secrets.
    pub(super) async fn find_values(&self, recorded: &mut RecordedBuild, events: &[Event], carried: bool) {
        if recorded.key.is_none() {
            return;
        }
        let code = match &recorded.requested.source {
            RequestedSource::Dir { path } => Some(PathBuf::from(path)),
            RequestedSource::Git { .. } => None,
        };
        let state = BuildState::of(events);
        let mut left = VALUE_BYTES;
        for (content, pieces) in recorded.wanted(carried) {
            // A journal that was imported may say anything.
            let size = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.bytes));
            let Some(rest) = size.and_then(|size| left.checked_sub(size)) else { continue };
            left = rest;
            let found = match &content {
                Content::Workspace(path) => of_code(code.clone(), path.clone(), pieces).await,
                Content::Artifact(id, path) => {
                    let Some(saved) = state.artifact(id) else { continue };
                    self.of_artifact(names::artifact(recorded.build(), id, saved.attempt), path.clone(), pieces).await
                }
            };
            // What can't be read is as good as gone; whoever replays is told so at the call.
            for (piece, value) in found.unwrap_or_default() {
                recorded.take(&piece, value);
            }
        }
    }

    async fn of_artifact(
        &self,
        artifact: object_store::path::Path,
        path: String,
        pieces: Vec<Piece>,
    ) -> Option<Vec<(Piece, Bytes)>> {
        let stream = self.0.services.blobs.get(&artifact).await.ok()??;
        let reader = SyncIoBridge::new(StreamReader::new(Box::pin(stream.map_err(std::io::Error::other))));
        let read = move || {
            let mut file = extract_file(reader, Path::new(&path), &UnpackLimits::default()).ok()?;
            let (mut pieces, mut at, mut found) = (pieces, 0, Vec::new());
            pieces.sort_by_key(|piece| piece.from);
            for piece in pieces {
                // Two that overlap were read by two readers; the second one is left out.
                let Some(skip) = piece.from.checked_sub(at) else { continue };
                std::io::copy(&mut (&mut file).take(skip), &mut std::io::sink()).ok()?;
                let value = exactly(&mut file, piece.bytes)?;
                at = piece.from + piece.bytes;
                found.push((piece, value));
            }
            Some(found)
        };
        tokio::task::spawn_blocking(read).await.ok()?
    }
}

async fn of_code(code: Option<PathBuf>, path: String, pieces: Vec<Piece>) -> Option<Vec<(Piece, Bytes)>> {
    let read = move || {
        // The path is a script's: nothing outside of the directory is read.
        let dir = Dir::open_ambient_dir(code?, ambient_authority()).ok()?;
        // Whoever opens a named pipe waits for somebody to write.
        dir.metadata(&path).ok().filter(|metadata| metadata.is_file())?;
        let mut file = dir.open(&path).ok()?;
        let mut found = Vec::new();
        for piece in pieces {
            file.seek(SeekFrom::Start(piece.from)).ok()?;
            let value = exactly(&mut file, piece.bytes)?;
            found.push((piece, value));
        }
        Some(found)
    };
    tokio::task::spawn_blocking(read).await.ok()?
}

fn exactly(from: &mut impl Read, bytes: u64) -> Option<Bytes> {
    let mut value = Vec::new();
    from.take(bytes).read_to_end(&mut value).ok()?;
    (value.len() as u64 == bytes).then(|| value.into())
}
