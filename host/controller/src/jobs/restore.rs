//! Code and script of a build that another process began, made as they were: nothing is written down, and nobody is told anything.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use monkeyci_build::{Checked, EventBody, Phase, Source};
use monkeyci_storage::{Blobs, hex, names};
use sha2::{Digest, Sha256};

use super::JobContext;
use super::checkout::{KnownSource, check_out};
use super::define::{Loaded, check_definition};
use crate::error::ControllerError;
use crate::running::{Known, ResumeError};
use crate::source::SourceRequest;

/// Where a build was before it is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// In a process that has died: all has to be as it was.
    Elsewhere,
    /// In this one, parked. The code in a directory is as it is: somebody works there, and jobs start from the archive that was made of it.
    Parked,
}

/// The bytes of a build's script, as the store has them.
///
/// # Errors
/// When it does not have them.
pub(crate) async fn script(blobs: &Blobs, build: &str, digest: &str) -> Result<Bytes, ResumeError> {
    let reason = |reason: &str| (build.to_owned(), reason.to_owned());
    let stored = blobs.get(&names::script(digest)).await.map_err(ControllerError::from)?;
    let Some(stored) = stored else {
        let (build, reason) = reason("the store does not have its script");
        return Err(ResumeError::NotEnough { build, reason });
    };
    let bytes: Vec<Bytes> = stored.try_collect().await.map_err(ControllerError::from)?;
    let bytes = bytes.concat();
    if hex(&Sha256::digest(&bytes)) != digest {
        let (build, reason) = reason("the store has another script than the one that it began with");
        return Err(ResumeError::Changed { build, reason });
    }
    Ok(bytes.into())
}

/// Gets the code of a build, and the script with what it was told, as far as the build has come.
///
/// # Errors
/// When something can't be had, or is not what it was.
pub(crate) async fn restore(context: &JobContext, known: &Known, before: Before) -> Result<(), ResumeError> {
    let phase = context.live.state().phase();
    if !matches!(phase, Phase::Defining | Phase::Running) {
        return Ok(());
    }
    let build = || context.live.id.clone();
    let (request, dir) = (&context.request, context.dir.clone());
    let source = match (&request.source, &known.source) {
        // What was told of it stands, whatever somebody has done there since.
        (SourceRequest::Dir(_), Some(source)) if before == Before::Parked => {
            Some(KnownSource::Whatever(source.clone()))
        }
        (SourceRequest::Dir(_), _) | (_, None) => None,
        // Of a commit that was fetched by its id, nobody knows which branch or tag was meant.
        (SourceRequest::Git { .. }, Some(source)) => Some(KnownSource::Of(source.clone())),
    };
    let found = check_out(&context.live, request.source.clone(), (&request.trigger, &request.given), dir, source).await;
    let (source, _) = found.map_err(|reason| ResumeError::Code { build: build(), reason })?;
    if let Some(before) = &known.source
        && let Some(reason) = differs(before, context.live.masking.event(EventBody::BuildCheckedOut { source }))
    {
        return Err(ResumeError::Changed { build: build(), reason });
    }
    if phase == Phase::Running { define_again(context, known, before).await } else { Ok(()) }
}

/// Whether the archive that jobs start from is there still.
async fn is_stored(blobs: &Blobs, build: &str) -> Result<bool, ResumeError> {
    Ok(blobs.has(&names::workspace(build)).await.map_err(ControllerError::from)?)
}

/// What of the code is not as it was.
fn differs(before: &Source, now: EventBody) -> Option<String> {
    let EventBody::BuildCheckedOut { source: now } = now else { return None };
    if before.commit != now.commit {
        let name = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "no commit".to_owned());
        return Some(format!("the code is at {}, and was at {}", name(&now.commit), name(&before.commit)));
    }
    (*before != now).then(|| "the code has other changes that are not committed than it had".to_owned())
}

async fn define_again(context: &JobContext, known: &Known, begun: Before) -> Result<(), ResumeError> {
    let (services, live) = (&context.services, &context.live);
    let build = || live.id.clone();
    let not_enough = |reason: &str| ResumeError::NotEnough { build: build(), reason: reason.to_owned() };
    let changed = |reason: String| ResumeError::Changed { build: build(), reason };
    let (Some(told), Some(jobs)) = (&known.told, &known.jobs) else {
        return Err(not_enough("its journal does not say what its script was told"));
    };
    let loaded = services.runtime.load_in_background(context.request.script.clone()).await;
    let script = loaded.map_err(|error| changed(format!("its script can't be loaded any more: {error}")))?;
    let info = live.info.get().cloned().ok_or_else(|| not_enough("nothing was checked out"))?;
    let life = services.runtime.limits().define_time + Duration::from_secs(60);
    let client = services.script_client(live, None, life)?;
    let defined = script.define_again(&client, info, told).await;
    let defined = defined.map_err(|error| changed(format!("its script does not do what it did: {error}")))?;
    let checked = check_definition(&script, &defined, live).map_err(|hopeless| changed(hopeless.message))?;
    let Checked { graph, .. } = checked;
    if graph.jobs() != jobs {
        return Err(changed("its script does not declare the jobs that it declared".to_owned()));
    }
    if let Some(before) = &told.workspace {
        live.left_out_was_said();
        if begun == Before::Parked && is_stored(&services.blobs, &live.id).await? {
            live.was_packed(before.clone());
        }
        let packed = live.pack_workspace(&services.blobs).await;
        packed.map_err(|error| changed(format!("the workspace could not be packed: {error}")))?;
        // A clone has times of its own, and so has a directory after a `git checkout`, so the archive is another one; the commit says what is in it.
        let committed = known.source.as_ref().is_some_and(Source::is_as_committed);
        let is_dir = matches!(context.request.source, SourceRequest::Dir(_));
        if is_dir && !committed && live.packed() != Some(before) {
            return Err(changed("files in the code's directory are not what they were".to_owned()));
        }
    }
    // Nobody else sets it.
    let _ = context.loaded.set(Loaded { script, transcript: defined.transcript });
    Ok(())
}
