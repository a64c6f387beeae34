//! `monkeyci-host rerun`

use monkeyci_build::RequestedSource;
use monkeyci_controller::{BuildRecord, Inputs, RerunError, RerunRequest};

use crate::args::RerunArgs;
use crate::exit::Exit;
use crate::progress::{Hints, display};
use crate::reports::Reports;
use crate::{Done, builds, inputs, run, script, setup};

/// Runs jobs of an earlier build again.
pub async fn rerun(args: RerunArgs) -> Done {
    let usage = |error| (Exit::Usage, error);
    let git_auth = setup::git_auth(&args.git_auth)?;
    let (builds, build) = builds::find(&args.stores.home, &args.build.build).await?;
    let record = builds.record(&build).await.map_err(builds::failed)?;
    let script = if args.with_changes { changed_script(&args, &record)? } else { None };
    drop(builds);
    let reports = Reports::make(&args.reports)?;
    let display = display(args.progress, Hints::of(&args.stores.home).on(&args.engine));
    let (host, signals) = run::open(&args.stores, &args.engine, display.clone()).await?;
    let mut request = RerunRequest {
        build,
        what: args.what(),
        with_changes: args.with_changes,
        script: script.map(Into::into),
        inputs: Inputs::default(),
        git_auth,
        max_running: args.jobs,
        timeout: args.timeout,
        keep: args.keep,
        keep_failed: args.keep_failed,
        breaks: args.breaks.breaks(),
        by: args.by.name.clone(),
    };
    let needs = host.needed(&request).await.map_err(refused)?;
    request.inputs = match args.with_changes {
        // A script that is another one may ask for anything.
        true => inputs::collect(&args.inputs, std::env::vars_os()),
        false => inputs::collect_again(&args.inputs, std::env::vars_os(), &needs),
    }
    .map_err(usage)?;
    let build = host.rerun(request).await.map_err(refused)?;
    run::to_the_end(build, &args.by.name, signals, display, (&args.stores, reports)).await
}

/// The script as it is now; `None` for the one that the earlier build had.
fn changed_script(args: &RerunArgs, record: &BuildRecord) -> Result<Option<Vec<u8>>, (Exit, anyhow::Error)> {
    if let Some(path) = &args.script {
        return script::at(path).map(Some);
    }
    match &record.from {
        // What a repository brings is not compiled on this machine.
        Some(RequestedSource::Dir { path }) => script::beside(std::path::Path::new(path)),
        _ => Ok(None),
    }
}

fn refused(error: RerunError) -> (Exit, anyhow::Error) {
    let exit = match &error {
        RerunError::NoBuild { .. }
        | RerunError::Runs { .. }
        | RerunError::Lost { .. }
        | RerunError::NotEnough { .. }
        | RerunError::Missing { .. }
        | RerunError::Changed { .. }
        | RerunError::Select(_) => Exit::Usage,
        RerunError::Code { .. } | RerunError::NotTaken { .. } | RerunError::Host(_) => Exit::Infrastructure,
    };
    (exit, error.into())
}
