//! Saves artifacts and caches after a job that succeeded.

use std::path::PathBuf;

use cap_std::fs::Dir;
use monkeyci_api::{Body, Client, ClientError, Stored};
use monkeyci_archive::{ArchiveError, Packed};
use monkeyci_build::{ArtifactPath, CachePath, Ending};

use super::job::Stop;
use super::log::Log;
use super::restore::size;
use super::{StepError, transfer};

/// Why something was not saved.
enum Failed {
    /// It is not there, or can't be read.
    Local(ArchiveError),
    /// It could not be sent, or the build API refused it.
    Upload(String),
}

/// Saves the artifacts. What the job promised and did not make is its own failure.
pub(super) async fn artifacts(client: &Client, log: &Log, artifacts: &[ArtifactPath], dir: &Dir) -> Result<(), Stop> {
    for ArtifactPath { id, path } in artifacts {
        match upload(dir, path, |body| client.save_artifact(id, body)).await {
            Ok(packed) => log.say(format!("saved artifact {id} ({})", size(packed.bytes))).await,
            Err(Failed::Local(error)) => {
                return Err(Stop::Ended(Ending::ArtifactMissing { id: id.clone(), reason: error.to_string() }));
            }
            Err(Failed::Upload(reason)) => return Err(StepError::new(format!("saving artifact {id}"), reason).into()),
        }
    }
    Ok(())
}

/// Saves the caches. Without one the next build is slower, and nothing else: a failure is a line in the log.
pub(super) async fn caches(client: &Client, log: &Log, caches: &[CachePath], dir: &Dir) {
    for CachePath { id, path } in caches {
        let line = match upload(dir, path, |body| client.save_cache(id, body)).await {
            Ok(packed) => format!("saved cache {id} ({})", size(packed.bytes)),
            Err(Failed::Local(error)) => format!("cache {id} is not saved: {error}"),
            Err(Failed::Upload(reason)) => format!("cache {id} is not saved: {reason}"),
        };
        log.say(line).await;
    }
}

async fn upload<F>(dir: &Dir, path: &str, put: impl FnOnce(Body) -> F) -> Result<Packed, Failed>
where
    F: Future<Output = Result<Stored, ClientError>>,
{
    let dir = dir.try_clone().map_err(|error| Failed::Upload(error.to_string()))?;
    let (body, packing) = transfer::send(dir, PathBuf::from(path)).await;
    let stored = match body {
        Some(body) => Some(put(body).await),
        None => None,
    };
    let packed = packing.await.map_err(|error| Failed::Upload(error.to_string()))?;
    match (packed, stored) {
        // The writer fails when the request has ended before: then the request knows why.
        (Err(ArchiveError::Write(_)) | Ok(_), Some(Err(error))) => Err(Failed::Upload(error.to_string())),
        (Err(error @ ArchiveError::Write(_)), _) => Err(Failed::Upload(error.to_string())),
        (Err(error), _) => Err(Failed::Local(error)),
        (Ok(_), None) => Err(Failed::Upload("packing gave nothing".to_owned())),
        (Ok(packed), Some(Ok(_))) => Ok(packed),
    }
}
