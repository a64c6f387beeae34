//! `monkeyci-host debug`

use anyhow::anyhow;
use monkeyci_controller::{Continue, RunningBuild};

use crate::args::DebugArgs;
use crate::exit::Exit;
use crate::progress::Hints;
use crate::text::{did_you_mean, print_line};
use crate::{Done, builds, outside};

/// Says where a job is held, or lets it go on.
pub async fn debug(args: DebugArgs) -> Done {
    let usage = |text: String| (Exit::Usage, anyhow!(text));
    let (name, job) = args.job.names();
    let (builds, build) = outside::known(&args.home, name).await?;
    if args.go_on {
        let running = RunningBuild::find(builds.home(), &build).map_err(|error| outside::not_running(&build, error))?;
        let go_on = Continue { job: job.to_owned(), by: args.by.name };
        if let Err(error) = running.let_go_on(&go_on).await {
            let (exit, error) = outside::failed(error);
            return Err((exit, anyhow!("{error}{}", outside::meant(&builds, &build, job).await)));
        }
        print_line(&format!("{job} of {build} goes on"));
        return Ok(Exit::Success);
    }
    let record = builds.record(&build).await.map_err(builds::failed)?;
    let Some(known) = record.job(job) else {
        let near = did_you_mean(job, record.jobs.iter().map(|job| job.job.as_str()));
        return Err(usage(format!("the build {build} has no job {job:?}{near}")));
    };
    let Some(held) = known.held.as_ref().filter(|_| record.is_running()) else {
        let why =
            "`run --break-on-failure` holds a job that fails, `run --break JOB:before=N` one that comes to a line";
        return Err(usage(format!("the job {job:?} of {build} is not held: {why}")));
    };
    print_line(&format!("{job} of {build} is held: {held}"));
    print_line(&Hints::of(&args.home).held(&build, job));
    Ok(Exit::Success)
}
