//! The code of a build, made known to it.

use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_api::BuildInfo;
use monkeyci_build::{EventBody, Source};

use super::JobContext;
use super::define::failed;
use crate::running::{LiveBuild, Places};
use crate::source::SourceRequest;

/// Gets the code, and records that it is there.
pub(super) async fn run(context: &JobContext) {
    let (source, dir) = (context.request.source.clone(), context.dir.clone());
    match check_out(&context.live, source, &context.request.trigger, dir).await {
        Ok((source, warnings)) => {
            for message in warnings {
                context.record(EventBody::BuildWarned { message }).await;
            }
            context.record(EventBody::BuildCheckedOut { source }).await;
        }
        Err(message) => context.record(failed(false, message).into()).await,
    }
}

/// Gets the code into `dir`, and tells the build where it is. What is not as one might think of it comes in words.
///
/// # Errors
/// Says why it is not there.
pub(super) async fn check_out(
    live: &LiveBuild,
    source: SourceRequest,
    trigger: &str,
    dir: PathBuf,
) -> Result<(Source, Vec<String>), String> {
    let checkout = source.check_out_in_background(dir.join("checkout")).await.map_err(|error| error.to_string())?;
    let workspace = Dir::open_ambient_dir(&checkout.dir, ambient_authority())
        .map_err(|error| format!("the code in {} can't be read: {error}", checkout.dir.display()))?;
    let (source, warnings) = (checkout.source, checkout.warnings);
    // Set once: there is one checkout a build.
    let _ =
        live.places.set(Places { path: checkout.dir, files: checkout.files, workspace, outputs: dir.join("outputs") });
    let _ = live.info.set(BuildInfo { id: live.id.clone(), trigger: trigger.to_owned(), source: source.clone() });
    Ok((source, warnings))
}
