//! `monkeyci-host rerun`

use anyhow::anyhow;
use monkeyci_build::RequestedSource;
use monkeyci_controller::{BuildRecord, Cancel, RerunError, RerunRequest};

use crate::args::RerunArgs;
use crate::exit::Exit;
use crate::progress::display;
use crate::run::stop_on_signals;
use crate::{Done, builds, inputs, script, setup};

/// Runs jobs of an earlier build again.
pub async fn rerun(args: RerunArgs) -> Done {
    let usage = |error| (Exit::Usage, error);
    let inputs = inputs::collect(&args.inputs, std::env::vars_os()).map_err(usage)?;
    let git_auth = setup::git_auth(&args.git_auth)?;
    let (builds, build) = builds::find(&args.stores.home, &args.build.build).await?;
    let record = builds.record(&build).await.map_err(builds::failed)?;
    let script = if args.with_changes { changed_script(&args, &record)? } else { None };
    drop(builds);
    let cancel = Cancel::default();
    let display = display(args.progress, &args.stores.home);
    stop_on_signals(cancel.clone(), display.clone())
        .map_err(|error| (Exit::Infrastructure, anyhow!(error).context("signals can't be handled")))?;
    let controller = setup::controller(&args.stores, &args.engine).await?;
    let request = RerunRequest {
        build,
        what: args.what(),
        with_changes: args.with_changes,
        script: script.map(Into::into),
        inputs,
        git_auth,
        max_running: args.jobs,
        timeout: args.timeout,
        keep: args.keep,
        by: args.by,
    };
    let report = controller.rerun(request, display.clone().observer(), cancel).await.map_err(refused)?;
    tokio::task::block_in_place(|| display.summary(&report));
    Ok(report.status.into())
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
        RerunError::Code { .. } | RerunError::Host(_) => Exit::Infrastructure,
    };
    (exit, error.into())
}
