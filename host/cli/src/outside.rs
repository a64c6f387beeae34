//! `monkeyci-host approve`, `publish` and `cancel`: speaking to a build that runs.

use std::sync::Arc;

use monkeyci_controller::{Builds, CancelError, Decision, OutsideError, OutsideEvent, RunningBuild, Silent};

use crate::args::{ApproveArgs, CancelArgs, HomeArgs, PublishArgs};
use crate::exit::Exit;
use crate::text::{did_you_mean, print_line};
use crate::{Done, builds, resume, setup};

/// Approves or rejects a job.
pub async fn approve(args: ApproveArgs) -> Done {
    let (builds, id) = known(&args.home, &args.build).await?;
    let build = RunningBuild::find(builds.home(), &id).map_err(|error| not_running(&id, error))?;
    let approved = !args.reject;
    let decision = Decision { job: args.job, by: args.by.name, comment: args.comment, approved };
    if let Err(error) = build.decide(&decision).await {
        let (exit, error) = failed(error);
        return Err((exit, anyhow::anyhow!("{error}{}", meant(&builds, &id, &decision.job).await)));
    }
    let done = if approved { "approved" } else { "rejected" };
    print_line(&format!("{done} {} of {}", decision.job, build.id()));
    Ok(Exit::Success)
}

/// Publishes an event.
pub async fn publish(args: PublishArgs) -> Done {
    let build = find(&args.home, &args.build).await?;
    let event = OutsideEvent { by: args.by.name, name: args.name, payload: args.payload };
    build.publish(&event).await.map_err(failed)?;
    print_line(&format!("published {} to {}", event.name, build.id()));
    Ok(Exit::Success)
}

/// Stops a build; one whose host has died is ended here.
pub async fn cancel(args: CancelArgs) -> Done {
    let (builds, id) = known(&args.stores.home, &args.build).await?;
    let refused = match RunningBuild::find(builds.home(), &id) {
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
    let host = setup::host(&args.stores, &args.engine, Arc::new(Silent)).await?;
    let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
    let all = host.resumable().await.map_err(|error| infrastructure(error.into()))?;
    if !all.iter().any(|known| known.build == id) {
        return Err(not_running(&id, refused));
    }
    let build = host.build(&id).await.map_err(builds::failed)?;
    build.cancel(&args.by.name).await.map_err(|error| match error {
        CancelError::Resume(error) => resume::refused(error),
        CancelError::Outside(error) => failed(error),
        error => infrastructure(error.into()),
    })?;
    build.wait().await.map_err(|error| infrastructure(error.into()))?;
    print_line(&format!("{id} had lost its host, and is cancelled"));
    Ok(Exit::Success)
}

async fn find(home: &HomeArgs, build: &str) -> Result<RunningBuild, (Exit, anyhow::Error)> {
    let (builds, id) = known(home, build).await?;
    RunningBuild::find(builds.home(), &id).map_err(|error| not_running(&id, error))
}

/// The home, and the id of the build that is meant: of several, the one that runs.
pub(crate) async fn known(home: &HomeArgs, build: &str) -> Result<(Builds, String), (Exit, anyhow::Error)> {
    let builds = builds::open(home).await?;
    let id = builds.find_running(build).await.map_err(builds::failed)?;
    Ok((builds, id))
}

/// Which job was probably meant with a name that no job of the build has, for the end of a message; nothing where none is near.
pub(crate) async fn meant(builds: &Builds, build: &str, job: &str) -> String {
    let Ok(record) = builds.record(build).await else { return String::new() };
    match record.job(job) {
        Some(_) => String::new(),
        None => did_you_mean(job, record.jobs.iter().map(|job| job.job.as_str())),
    }
}

/// Says more of a build that the home knows, and that does not run.
pub(crate) fn not_running(id: &str, error: OutsideError) -> (Exit, anyhow::Error) {
    match error {
        OutsideError::NotRunning { .. } => {
            (Exit::Usage, anyhow::anyhow!("the build {id} does not run any more; see `monkeyci-host logs {id}`"))
        }
        error => failed(error),
    }
}

pub(crate) fn failed(error: OutsideError) -> (Exit, anyhow::Error) {
    let exit = match error {
        OutsideError::Unreachable { .. } => Exit::Infrastructure,
        _ => Exit::Usage,
    };
    (exit, error.into())
}
