//! Saves artifacts after a job, and packs what is to be saved.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use cap_std::fs::Dir;
use futures::{StreamExt, stream};
use monkeyci_api::{Body, Client, ClientError, Stored};
use monkeyci_archive::{ArchiveError, Globs, Packed};
use monkeyci_build::{Ending, SaveArtifact};

use super::host::{Away, Host};
use super::job::Stop;
use super::log::Log;
use super::restore::size;
use super::results::Warnings;
use super::{STORE, StepError, at_once, transfer};

/// Why something was not saved.
pub(super) enum Failed {
    /// It is not there, or can't be read.
    Local(ArchiveError),
    /// It could not be sent, or the build API refused it.
    Upload {
        /// Why.
        reason: String,
        /// The host's store has no room for it.
        store_full: bool,
    },
}

impl Failed {
    fn upload(error: &ClientError) -> Self {
        Self::Upload { reason: error.to_string(), store_full: error.is_store_full() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => error.fmt(f),
            Self::Upload { reason, .. } => reason.fmt(f),
        }
    }
}

/// Saves the artifacts of a job that went as `so_far` says; returns how it went in the end.
///
/// What a job that succeeded has promised and not made is its own failure; of what is saved in any case, or if it is there, it has
/// promised nothing: that is a warning, or a line in the log. Once the job has failed, one way or another, saving begins only of
/// those that are saved then, and one that is not there is a line in the log: there was no time to make it.
pub(super) async fn artifacts(
    host: &Host,
    log: &Log,
    warnings: &mut Warnings,
    artifacts: &[SaveArtifact],
    dir: &Dir,
    so_far: Result<(), Stop>,
) -> Result<(), Stop> {
    let failed = &Cell::new(so_far.is_err());
    let ran_well = so_far.is_ok();
    let uploads = stream::iter(artifacts).map(|artifact| async move {
        let SaveArtifact { id, path, files, always, on_failure, if_there: _ } = artifact;
        // `failed` is also what became of the artifacts before this one; whether the commands failed is settled.
        let wanted = *always || if *on_failure { !ran_well } else { !failed.get() };
        if !wanted {
            return None;
        }
        let saved = upload(host, dir, &[path], files, async |client, body| client.save_artifact(id, body).await).await;
        let excused = matches!(&saved, Err(Failed::Local(error)) if is_excused(artifact, error));
        failed.set(failed.get() || (saved.is_err() && !excused));
        Some((artifact, saved))
    });
    let mut uploads = pin!(uploads.buffered(at_once::uploads()));
    let mut result = so_far;
    while let Some(upload) = uploads.next().await {
        match upload {
            None => {}
            Some((SaveArtifact { id, .. }, Ok(packed))) => {
                log.say(format!("saved artifact {id} ({})", size(packed.bytes))).await;
                if packed.skipped > 0 {
                    let skipped = packed.skipped;
                    let said =
                        format!("artifact {id} lacks {skipped} of sockets, pipes, devices and files that vanished");
                    warnings.say(log, said).await;
                }
            }
            Some((artifact, Err(Failed::Local(error)))) if is_excused(artifact, &error) => {
                let said = format!("artifact {} is not saved: {error}", artifact.id);
                if artifact.if_there || artifact.on_failure {
                    log.say(said).await;
                } else {
                    warnings.say(log, said).await;
                }
            }
            Some((SaveArtifact { id, .. }, Err(failed))) if result.is_err() => {
                log.say(format!("artifact {id} is not saved: {failed}")).await;
            }
            Some((SaveArtifact { id, .. }, Err(Failed::Local(error)))) => {
                result = Err(Stop::Ended(Ending::ArtifactMissing { id: id.clone(), reason: error.to_string() }));
            }
            Some((SaveArtifact { id, .. }, Err(Failed::Upload { reason, store_full }))) => {
                let error = StepError::new(format!("saving artifact {id}"), reason);
                result = Err(StepError { full_disk: store_full.then_some(STORE), ..error }.into());
            }
        }
    }
    result
}

/// Whether it is no failure when the artifact is not there.
pub(super) fn may_be_missing(artifact: &SaveArtifact) -> bool {
    artifact.always || artifact.if_there || artifact.on_failure
}

fn is_excused(artifact: &SaveArtifact, error: &ArchiveError) -> bool {
    may_be_missing(artifact) && matches!(error, ArchiveError::Missing { .. } | ArchiveError::NoMatch { .. })
}

/// Pauses between attempts to upload: a host that is being restarted, or whose store has a bad moment, is back within them.
const PAUSES_MS: [u64; 3] = [250, 1000, 3000];

/// Packs these paths (of one directory, only the files that match, if there are globs) into the request that `put` makes. An upload that
/// fails for a reason that passes is made again.
pub(super) async fn upload(
    host: &Host,
    dir: &Dir,
    paths: &[&String],
    files: &[String],
    put: impl AsyncFn(&Client, Body) -> Result<Stored, ClientError>,
) -> Result<Packed, Failed> {
    let mut pauses = PAUSES_MS.into_iter();
    let mut away = Away::default();
    loop {
        host.introduce().await;
        let (failed, passing) = match upload_once(host.client(), dir, paths, files, &put).await {
            Ok(packed) => return Ok(packed),
            Err(failed) => failed,
        };
        match passing {
            Passing::Never => return Err(failed),
            Passing::Away => {
                let waited = host.wait(&mut away, ClientError::Unreachable(String::new())).await;
                waited.map_err(|_| failed)?;
            }
            Passing::Soon => {
                away.is_back();
                let Some(pause) = pauses.next() else { return Err(failed) };
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }
}

/// Whether an upload that failed may go well another time.
enum Passing {
    Never,
    /// The store has a bad moment.
    Soon,
    /// The host is away.
    Away,
}

impl Passing {
    fn of(error: &ClientError) -> Self {
        match error {
            error if error.is_away() => Self::Away,
            error if error.is_passing() => Self::Soon,
            _ => Self::Never,
        }
    }
}

/// One attempt; a failure comes with whether another one may go well.
async fn upload_once(
    client: &Client,
    dir: &Dir,
    paths: &[&String],
    files: &[String],
    put: impl AsyncFn(&Client, Body) -> Result<Stored, ClientError>,
) -> Result<Packed, (Failed, Passing)> {
    let given_up = |error: &dyn ToString| {
        let reason = error.to_string();
        (Failed::Upload { reason, store_full: false }, Passing::Never)
    };
    let dir = dir.try_clone().map_err(|error| given_up(&error))?;
    let globs = if files.is_empty() { None } else { Some(Globs::new(files)) };
    let globs = globs.transpose().map_err(|error| given_up(&error))?;
    let (body, packing) = transfer::send(dir, paths.iter().map(PathBuf::from).collect(), globs).await;
    let stored = match body {
        Some(body) => Some(put(client, body).await),
        None => None,
    };
    if let Some(Err(error @ ClientError::Refused(_))) = &stored
        && !error.is_passing()
    {
        // Nobody takes it any more. Packing notices when it has packed the next chunk, which nothing waits for.
        return Err((Failed::upload(error), Passing::Never));
    }
    let packed = packing.await.map_err(|error| given_up(&error))?;
    match (packed, stored) {
        // The writer fails when the request has ended before: then the request knows why.
        (Err(ArchiveError::Write(_)) | Ok(_), Some(Err(error))) => Err((Failed::upload(&error), Passing::of(&error))),
        (Err(error @ ArchiveError::Write(_)), _) => Err(given_up(&error)),
        (Err(error), _) => Err((Failed::Local(error), Passing::Never)),
        (Ok(_), None) => Err(given_up(&"packing gave nothing")),
        (Ok(packed), Some(Ok(_))) => Ok(packed),
    }
}
