//! `monkeyci-host approve`, `publish` and `cancel`: speaking to a build that runs.

use monkeyci_controller::{Decision, OutsideError, OutsideEvent, RunningBuild};

use crate::Done;
use crate::args::{ApproveArgs, CancelArgs, PublishArgs};
use crate::exit::Exit;
use crate::setup;
use crate::text::print_line;

/// Approves or rejects a job.
pub async fn approve(args: ApproveArgs) -> Done {
    let build = find(&args.home, &args.build)?;
    let approved = !args.reject;
    let decision = Decision { job: args.job, by: args.by, comment: args.comment, approved };
    build.decide(&decision).await.map_err(failed)?;
    let done = if approved { "approved" } else { "rejected" };
    print_line(&format!("{done} {} of {}", decision.job, build.id()));
    Ok(Exit::Success)
}

/// Publishes an event.
pub async fn publish(args: PublishArgs) -> Done {
    let build = find(&args.home, &args.build)?;
    let event = OutsideEvent { by: args.by, name: args.name, payload: args.payload };
    build.publish(&event).await.map_err(failed)?;
    print_line(&format!("published {} to {}", event.name, build.id()));
    Ok(Exit::Success)
}

/// Stops a build.
pub async fn cancel(args: CancelArgs) -> Done {
    let build = find(&args.home, &args.build)?;
    build.cancel().await.map_err(failed)?;
    print_line(&format!("asked {} to stop", build.id()));
    Ok(Exit::Success)
}

fn find(home: &crate::args::HomeArgs, build: &str) -> Result<RunningBuild, (Exit, anyhow::Error)> {
    let home = setup::home(home).map_err(|error| (Exit::Infrastructure, error))?;
    RunningBuild::find(&home, build).map_err(failed)
}

fn failed(error: OutsideError) -> (Exit, anyhow::Error) {
    let exit = match error {
        OutsideError::Unreachable { .. } => Exit::Infrastructure,
        _ => Exit::Usage,
    };
    (exit, error.into())
}
