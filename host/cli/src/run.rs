//! `monkeyci-host run`

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::anyhow;
use monkeyci_controller::{BuildRequest, Cancel};

use crate::Done;
use crate::args::RunArgs;
use crate::exit::Exit;
use crate::progress::{Display, Hints, display};
use crate::signals::Signals;
use crate::{inputs, script, setup};

/// Runs a build.
pub async fn run(args: RunArgs) -> Done {
    let usage = |error| (Exit::Usage, error);
    let script = script::bytes(&args.script)?;
    let source = setup::source(&args.script)?;
    let inputs = inputs::collect(&args.script.inputs, std::env::vars_os()).map_err(usage)?;
    let cancel = Cancel::default();
    let display = display(args.progress, Hints::of(&args.script.stores.home).on(&args.engine));
    stop_on_signals(cancel.clone(), display.clone())
        .map_err(|error| (Exit::Infrastructure, anyhow!(error).context("signals can't be handled")))?;

    let controller = setup::controller(&args.script.stores, &args.engine).await?;
    match controller.left_behind() {
        Ok(0) => {}
        Ok(1) => display.note("a build of this home has lost its host: `monkeyci-host resume` goes on with it"),
        Ok(some) => display
            .note(&format!("{some} builds of this home have lost their hosts: `monkeyci-host resume` lists them")),
        Err(error) => display.note(&format!("builds that have lost their hosts can't be looked for: {error}")),
    }
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let request = BuildRequest {
        script: script.into(),
        source,
        inputs,
        trigger: "cli".to_owned(),
        max_running: args.jobs.unwrap_or(processors),
        timeout: args.timeout,
        keep: args.keep,
        keep_failed: args.keep_failed,
    };
    let report = controller
        .run(request, display.clone().observer(), cancel)
        .await
        .map_err(|error| (Exit::Infrastructure, error.into()))?;
    // Whoever reads may take their time; signals are still heard.
    tokio::task::block_in_place(|| display.summary(&report));
    Ok(report.status.into())
}

/// Ctrl-C, TERM or a closed terminal stops the build; a second one takes the jobs' time to end away; a third gives up at once.
pub fn stop_on_signals(cancel: Cancel, display: Arc<dyn Display>) -> std::io::Result<()> {
    let mut signals = Signals::take()?;
    tokio::spawn(async move {
        for round in 1.. {
            signals.next().await;
            match round {
                1 => {
                    display.note("stopping the build: jobs have 10 s to end, and time to save what they always save; once more to kill them");
                    cancel.cancel();
                }
                2 => {
                    display
                        .note("killing the jobs and removing their containers; once more to leave everything as it is");
                    cancel.force();
                }
                _ => std::process::exit(Exit::Interrupted as i32),
            }
        }
    });
    Ok(())
}
