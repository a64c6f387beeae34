//! `monkeyci-host run`

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use monkeyci_controller::{Build, BuildRequest, Host, Shutdown};

use crate::Done;
use crate::args::{EngineArgs, RunArgs, StoreArgs};
use crate::exit::Exit;
use crate::progress::{Display, Hints, display};
use crate::reports::{self, Reports};
use crate::signals::Signals;
use crate::text::{causes, harmless_lines};
use crate::{given, inputs, script, setup, watch};

/// Runs a build.
pub async fn run(args: RunArgs) -> Done {
    if args.watch {
        return watch::watch(args).await;
    }
    let request = request(&args, script::bytes(&args.script)?)?;
    let reports = Reports::make(&args.reports)?;
    let display = display(args.progress, Hints::of(&args.script.stores.home).on(&args.engine));
    let (host, signals) = open(&args.script.stores, &args.engine, display.clone()).await?;
    let resume = Hints::of(&args.script.stores.home).command(&["resume"]);
    match host.left_behind() {
        Ok(0) => {}
        Ok(1) => display.note(&format!("a build of this home has lost its host: `{resume}` names it")),
        Ok(some) => display.note(&format!("{some} builds of this home have lost their hosts: `{resume}` lists them")),
        Err(error) => display.note(&format!("builds that have lost their hosts can't be looked for: {error}")),
    }
    // Nobody is told of it before something of it is on disk.
    let build = host.start(request).await.map_err(|error| (Exit::Infrastructure, error.into()))?;
    to_the_end(build, "cli", signals, display, (&args.script.stores, reports)).await
}

/// Shows a build to its end, and writes the files that were asked for.
pub async fn to_the_end(
    build: Build,
    by: &str,
    signals: Signals,
    display: Arc<dyn Display>,
    (stores, reports): (&StoreArgs, Reports),
) -> Done {
    stop_on_signals(signals, build.clone(), by.to_owned(), display.clone());
    let ended = build.wait().await;
    // Whoever has approved, published or cancelled something is answered before this process ends.
    build.host().shutdown(Shutdown::Drain, Duration::ZERO).await;
    let report = ended.map_err(|error| (Exit::Infrastructure, error.into()))?;
    // Whoever reads may take their time; signals are still heard.
    tokio::task::block_in_place(|| display.summary(&report));
    reports::summarise(&report, &Hints::of(&stores.home), display.as_ref());
    let written = reports.write(&report, stores, display.as_ref()).await;
    tokio::task::block_in_place(|| display.flush());
    match (report.status.into(), written) {
        (Exit::Success, Err(error)) => Err(error),
        // How the build ended says more.
        (exit, Err((_, error))) => {
            let _ = writeln!(std::io::stderr(), "error: {}", harmless_lines(&causes(&error)));
            Ok(exit)
        }
        (exit, Ok(())) => Ok(exit),
    }
}

/// What the command line asks for, with this script.
pub fn request(args: &RunArgs, script: impl Into<Bytes>) -> Result<BuildRequest, (Exit, anyhow::Error)> {
    let usage = |error| (Exit::Usage, error);
    let source = setup::source(&args.script)?;
    let inputs = inputs::collect(&args.script.inputs, std::env::vars_os()).map_err(usage)?;
    let given = given::collect(&args.script.given).map_err(usage)?;
    let trigger = given::trigger(&given);
    let mut request = BuildRequest::new(script, source).trigger(trigger);
    request.inputs = inputs;
    request.max_running = args.jobs.unwrap_or(request.max_running);
    (request.timeout, request.keep, request.keep_failed) = (args.timeout, args.keep, args.keep_failed);
    request.breaks = args.breaks.breaks();
    (request.select, request.given) = (args.select.select(), given);
    Ok(request)
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

/// Ctrl-C, TERM or a closed terminal stops the build, the more so the more often.
fn stop_on_signals(mut signals: Signals, build: Build, by: String, display: Arc<dyn Display>) {
    tokio::spawn(async move {
        let mut stopping = Stopping::default();
        loop {
            signals.next().await;
            stopping.again(&build, &by, &*display);
        }
    });
}

/// How often a build was asked to stop.
#[derive(Debug, Default)]
pub struct Stopping(u8);

impl Stopping {
    /// Ctrl-C, TERM or a closed terminal stops the build; a second one takes the jobs' time to end away; a third gives up at once.
    pub fn again(&mut self, build: &Build, by: &str, display: &dyn Display) {
        self.0 = self.0.saturating_add(1);
        match self.0 {
            1 => {
                display.note("stopping the build: jobs have 10 s to end, and time to save what they always save; once more to kill them");
                let (build, by) = (build.clone(), by.to_owned());
                // It may be over; and a disk that is full must not keep the next signal from being heard.
                tokio::spawn(async move { build.cancel(&by).await });
            }
            2 => {
                display.note("killing the jobs and removing their containers; once more to leave everything as it is");
                build.kill();
            }
            _ => std::process::exit(Exit::Interrupted as i32),
        }
    }
}
