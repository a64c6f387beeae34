//! `monkeyci-host approve`, `publish` and `cancel`: speaking to a build that runs.

use std::path::Path;
use std::sync::Arc;

use monkeyci_controller::{
    BlobStore, Cancel, Decision, OutsideError, OutsideEvent, ResumeRequest, RunningBuild, Silent, StoredLogs,
};

use crate::Done;
use crate::args::{ApproveArgs, CancelArgs, PublishArgs};
use crate::exit::Exit;
use crate::text::print_line;
use crate::{resume, setup};

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

/// Stops a build; one whose host has died is ended here.
pub async fn cancel(args: CancelArgs) -> Done {
    let home = setup::home(&args.stores.home).map_err(|error| (Exit::Infrastructure, error))?;
    let refused = match RunningBuild::find(&home, &args.build) {
        Ok(build) => match build.cancel().await {
            Ok(()) => {
                print_line(&format!("asked {} to stop", build.id()));
                return Ok(Exit::Success);
            }
            Err(error) => error,
        },
        Err(error) => error,
    };
    if !matches!(refused, OutsideError::NotRunning { .. } | OutsideError::Unreachable { .. }) {
        return Err(failed(refused));
    }
    let controller = setup::controller(&args.stores, &args.engine).await?;
    let all = controller.resumable().await.map_err(|error| (Exit::Infrastructure, error.into()))?;
    let build = resume::find(&all, &args.build)?;
    if !all.iter().any(|known| known.build == build) {
        return Err(not_running(&home, &args.build, refused).await);
    }
    let request = ResumeRequest { build, cancel: true, by: args.by, ..ResumeRequest::default() };
    let report = controller.resume(request, Arc::new(Silent), Cancel::default()).await.map_err(resume::refused)?;
    print_line(&format!("{} had lost its host, and is cancelled", report.build));
    Ok(Exit::Success)
}

async fn find(home: &crate::args::HomeArgs, build: &str) -> Result<RunningBuild, (Exit, anyhow::Error)> {
    let home = setup::home(home).map_err(|error| (Exit::Infrastructure, error))?;
    match RunningBuild::find(&home, build) {
        Err(error @ OutsideError::NotRunning { .. }) => Err(not_running(&home, build, error).await),
        found => found.map_err(failed),
    }
}

/// Says more of a build that does not run, if the home knows it.
async fn not_running(home: &Path, build: &str, error: OutsideError) -> (Exit, anyhow::Error) {
    match known(home, build).await {
        Some(id) => {
            (Exit::Usage, anyhow::anyhow!("the build {id} does not run any more; see `monkeyci-host logs {id}`"))
        }
        None => failed(error),
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
