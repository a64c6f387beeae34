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
    let body = match check_out(&context.live, source, &context.request.trigger, dir).await {
        Ok(source) => EventBody::BuildCheckedOut { source },
        Err(message) => failed(false, message).into(),
    };
    context.record(body).await;
}

/// Gets the code into `dir`, and tells the build where it is.
///
/// # Errors
/// Says why it is not there.
pub(super) async fn check_out(
    live: &LiveBuild,
    source: SourceRequest,
    trigger: &str,
    dir: PathBuf,
) -> Result<Source, String> {
    let checkout = source.check_out_in_background(dir.join("checkout")).await.map_err(|error| error.to_string())?;
    let workspace = Dir::open_ambient_dir(&checkout.dir, ambient_authority())
        .map_err(|error| format!("the code in {} can't be read: {error}", checkout.dir.display()))?;
    let source = checkout.source;
    // Set once: there is one checkout a build.
    let _ = live.places.set(Places { path: checkout.dir, workspace, outputs: dir.join("outputs") });
    let _ = live.info.set(BuildInfo { id: live.id.clone(), trigger: trigger.to_owned(), source: source.clone() });
    Ok(source)
}
