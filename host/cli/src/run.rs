//! `monkeyci-host run`

use std::sync::Arc;

use anyhow::anyhow;
use monkeyci_controller::{Build, BuildRequest, Host};

use crate::Done;
use crate::args::{EngineArgs, RunArgs, StoreArgs};
use crate::exit::Exit;
use crate::progress::{Display, Hints, display};
use crate::signals::Signals;
use crate::{given, inputs, script, setup};

/// Runs a build.
pub async fn run(args: RunArgs) -> Done {
    let usage = |error| (Exit::Usage, error);
    let script = script::bytes(&args.script)?;
    let source = setup::source(&args.script)?;
    let inputs = inputs::collect(&args.script.inputs, std::env::vars_os()).map_err(usage)?;
    let given = given::collect(&args.script.given).map_err(usage)?;
    let display = display(args.progress, Hints::of(&args.script.stores.home).on(&args.engine));
    let (host, signals) = open(&args.script.stores, &args.engine, display.clone()).await?;
    match host.left_behind() {
        Ok(0) => {}
        Ok(1) => display.note("a build of this home has lost its host: `monkeyci-host resume` goes on with it"),
        Ok(some) => display
            .note(&format!("{some} builds of this home have lost their hosts: `monkeyci-host resume` lists them")),
        Err(error) => display.note(&format!("builds that have lost their hosts can't be looked for: {error}")),
    }
    let trigger = given.trigger.clone().unwrap_or_else(|| "cli".to_owned());
    let mut request = BuildRequest::new(script, source).trigger(trigger);
    request.inputs = inputs;
    request.max_running = args.jobs.unwrap_or(request.max_running);
    (request.timeout, request.keep, request.keep_failed) = (args.timeout, args.keep, args.keep_failed);
    (request.select, request.given) = (args.select.select(), given);
    // Nobody is told of it before something of it is on disk.
    let build = host.start(request).await.map_err(|error| (Exit::Infrastructure, error.into()))?;
    to_the_end(build, "cli", signals, display).await
}

/// Opens the host, and shows what happens in its builds. From now on, signals are heard.
pub async fn open(
    stores: &StoreArgs,
    engine: &EngineArgs,
    display: Arc<dyn Display>,
) -> Result<(Host, Signals), (Exit, anyhow::Error)> {
    let mut signals =
        Signals::take().map_err(|error| (Exit::Infrastructure, anyhow!(error).context("signals can't be handled")))?;
    tokio::select! {
        host = setup::host(stores, engine, display.observer()) => Ok((host?, signals)),
        () = signals.next() => Err((Exit::Interrupted, anyhow!("stopped before the build began"))),
    }
}

/// Shows a build to its end.
pub async fn to_the_end(build: Build, by: &str, signals: Signals, display: Arc<dyn Display>) -> Done {
    stop_on_signals(signals, build.clone(), by.to_owned(), display.clone());
    let report = build.wait().await.map_err(|error| (Exit::Infrastructure, error.into()))?;
    // Whoever reads may take their time; signals are still heard.
    tokio::task::block_in_place(|| display.summary(&report));
    Ok(report.status.into())
}

/// Ctrl-C, TERM or a closed terminal stops the build; a second one takes the jobs' time to end away; a third gives up at once.
fn stop_on_signals(mut signals: Signals, build: Build, by: String, display: Arc<dyn Display>) {
    tokio::spawn(async move {
        for round in 1.. {
            signals.next().await;
            match round {
                1 => {
                    display.note("stopping the build: jobs have 10 s to end, and time to save what they always save; once more to kill them");
                    let (build, by) = (build.clone(), by.clone());
                    // It may be over; and a disk that is full must not keep the next signal from being heard.
                    tokio::spawn(async move { build.cancel(&by).await });
                }
                2 => {
                    display
                        .note("killing the jobs and removing their containers; once more to leave everything as it is");
                    build.kill();
                }
                _ => std::process::exit(Exit::Interrupted as i32),
            }
        }
    });
}
