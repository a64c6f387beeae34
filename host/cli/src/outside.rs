//! `monkeyci-host approve`, `publish` and `cancel`: speaking to a build that runs.

use std::path::Path;

use monkeyci_controller::{BlobStore, Decision, OutsideError, OutsideEvent, RunningBuild, StoredLogs};

use crate::Done;
use crate::args::{ApproveArgs, CancelArgs, PublishArgs};
use crate::exit::Exit;
use crate::setup;
use crate::text::print_line;

/// Approves or rejects a job.
pub async fn approve(args: ApproveArgs) -> Done {
    let build = find(&args.home, &args.build).await?;
    let approved = !args.reject;
    let decision = Decision { job: args.job, by: args.by, comment: args.comment, approved };
    build.decide(&decision).await.map_err(failed)?;
    let done = if approved { "approved" } else { "rejected" };
    print_line(&format!("{done} {} of {}", decision.job, build.id()));
    Ok(Exit::Success)
}

/// Publishes an event.
pub async fn publish(args: PublishArgs) -> Done {
    let build = find(&args.home, &args.build).await?;
    let event = OutsideEvent { by: args.by, name: args.name, payload: args.payload };
    build.publish(&event).await.map_err(failed)?;
    print_line(&format!("published {} to {}", event.name, build.id()));
    Ok(Exit::Success)
}

/// Stops a build.
pub async fn cancel(args: CancelArgs) -> Done {
    let build = find(&args.home, &args.build).await?;
    build.cancel().await.map_err(failed)?;
    print_line(&format!("asked {} to stop", build.id()));
    Ok(Exit::Success)
}

async fn find(home: &crate::args::HomeArgs, build: &str) -> Result<RunningBuild, (Exit, anyhow::Error)> {
    let home = setup::home(home).map_err(|error| (Exit::Infrastructure, error))?;
    match RunningBuild::find(&home, build) {
        Err(error @ OutsideError::NotRunning { .. }) => Err(match known(&home, build).await {
            Some(id) => {
                (Exit::Usage, anyhow::anyhow!("the build {id} does not run any more; see `monkeyci-host logs {id}`"))
            }
            None => failed(error),
        }),
        found => found.map_err(failed),
    }
}

/// The id of a build that the home knows of, though it does not run.
async fn known(home: &Path, build: &str) -> Option<String> {
    StoredLogs::open(home, &BlobStore::Local).await.ok()?.find(build).await.ok()
}

fn failed(error: OutsideError) -> (Exit, anyhow::Error) {
    let exit = match error {
        OutsideError::Unreachable { .. } => Exit::Infrastructure,
        _ => Exit::Usage,
    };
    (exit, error.into())
}
