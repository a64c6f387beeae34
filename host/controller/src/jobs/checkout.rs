//! The code of a build, made known to it.

use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_api::BuildInfo;
use monkeyci_build::{EventBody, Given, Source};
use monkeyci_storage::{Blobs, names};

use super::JobContext;
use super::define::failed;
use crate::running::{BuildDirs, BuildHandle, BuildRequest};
use crate::source::history::History;
use crate::source::{Checkout, SourceRequest};

/// What is known of the code before it is got.
pub(super) enum KnownSource {
    /// It counts if it is of the same commit.
    Of(Source),
    /// It counts.
    Whatever(Source),
}

/// Gets the code, and records that it is there.
pub(super) async fn run(context: &JobContext) {
    let (source, dir) = (context.request.source.clone(), context.dir.clone());
    // Of a commit that is fetched by its id, nobody knows which branch or tag was meant.
    let known = context.earlier().and_then(|earlier| earlier.source.clone()).map(KnownSource::Of);
    let said = (context.request.trigger.as_str(), &context.request.given);
    match check_out(&context.live, source, said, dir, known).await {
        Ok((source, warnings)) => {
            keep_script(context).await;
            for message in warnings {
                context.record(EventBody::BuildWarned { message }).await;
            }
            context.record(EventBody::BuildCheckedOut { source }).await;
        }
        Err(message) => context.record(failed(false, message).into()).await,
    }
}

/// Gets the code into `dir`, and tells the build where it is. What is `given` of it counts before what is found. What is not as one might think of it comes in words. What is `known` of the
/// code counts, where it was checked out before.
///
/// # Errors
/// Says why it is not there.
pub(super) async fn check_out(
    live: &BuildHandle,
    source: SourceRequest,
    (trigger, given): (&str, &Given),
    dir: PathBuf,
    known: Option<KnownSource>,
) -> Result<(Source, Vec<String>), String> {
    let checkout = source.check_out_in_background(dir.join("checkout")).await.map_err(|error| error.to_string())?;
    enter(live, checkout, (trigger, given), dir, known)
}

/// Tells a build where code is that is there; what it writes goes below `dir`.
///
/// # Errors
/// When the code can't be read.
pub(super) fn enter(
    live: &BuildHandle,
    checkout: Checkout,
    (trigger, given): (&str, &Given),
    dir: PathBuf,
    known: Option<KnownSource>,
) -> Result<(Source, Vec<String>), String> {
    let workspace = Dir::open_ambient_dir(&checkout.dir, ambient_authority())
        .map_err(|error| format!("the code in {} can't be read: {error}", checkout.dir.display()))?;
    let (mut found, mut warnings) = (checkout.source, checkout.warnings);
    given.apply(&mut found);
    if !found.given.is_empty() {
        let facts = found.given.join(", ");
        warnings.push(format!("{facts}: the script is told what was given, and not what is so of the code"));
    }
    let source = match known {
        Some(KnownSource::Of(known)) if known.commit == found.commit => known,
        Some(KnownSource::Whatever(known)) => known,
        _ => found,
    };
    let history = checkout.repository.map(|repository| History {
        repository,
        scratch: dir.clone(),
        url: source.git_url.clone(),
        branch: source.branch.clone(),
        commit: source.commit.clone(),
    });
    // Set once: there is one checkout a build.
    let dirs =
        BuildDirs { path: checkout.dir, files: checkout.files, history, workspace, outputs: dir.join("outputs") };
    let _ = live.dirs.set(dirs);
    let _ = live.info.set(BuildInfo { id: live.id.clone(), trigger: trigger.to_owned(), source: source.clone() });
    Ok((source, warnings))
}

/// Puts the script into the store, if it is not there: whoever goes on with the build after a crash takes it from there.
///
/// # Errors
/// When the store fails.
pub(crate) async fn store_script(blobs: &Blobs, request: &BuildRequest) -> Result<(), object_store::Error> {
    let name = names::script(&request.script_digest());
    match blobs.has(&name).await? {
        true => Ok(()),
        false => blobs.put_whole(&name, request.script.clone().into()).await,
    }
}

async fn keep_script(context: &JobContext) {
    if let Err(error) = store_script(&context.services.blobs, &context.request).await {
        let message =
            format!("the script could not be stored: {error}; should this host die, the build can't be resumed");
        context.record(EventBody::BuildWarned { message }).await;
    }
}
