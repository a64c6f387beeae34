//! `monkeyci-host run --watch`: again and again, whenever files change.
//!
//! A round asks the script for its jobs, runs the script's own tests, and then the jobs. Once a build has succeeded, the next ones are told
//! what has changed since, so that a script's conditions leave out what was not touched. A script that is another than it was is told what
//! git says, as in the first round: what the build of another script has done says nothing of its jobs.

mod files;
mod tests_of;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use monkeyci_build::BuildStatus;
use monkeyci_controller::{BuildRequest, Host, Shutdown};

use self::files::{Seen, Watched};
use crate::args::RunArgs;
use crate::exit::Exit;
use crate::progress::{Display, Hints, display};
use crate::run::{self, Stopping};
use crate::signals::Signals;
use crate::text::{causes, harmless, harmless_lines};
use crate::{Done, script, setup};

type Failed = (Exit, anyhow::Error);

/// How many changed files are named.
const NAMED: usize = 3;

/// What the last build that succeeded was of.
struct Green {
    seen: Arc<Seen>,
    script: Bytes,
}

/// How a round ended.
enum Round {
    /// It came to its end.
    Over,
    /// Files have changed meanwhile.
    Outdated,
    /// Somebody wants no more of it.
    Stopped,
}

/// Runs builds until somebody stops it.
pub async fn watch(args: RunArgs) -> Done {
    let signals = Signals::take();
    let mut signals = signals.map_err(|error| infrastructure(anyhow!(error).context("signals can't be handled")))?;
    // What is wrong with the command line ends it; what is wrong with files is waited out.
    setup::source(&args.script)?;
    let script = script::place(&args.script)?;
    let mut watching = Watching {
        files: Watched::new(&args.script.dir, &script).await.map_err(infrastructure)?,
        tested: script::crate_of(&script).map_err(|error| (Exit::Usage, error))?,
        args,
        tests_passed: None,
        green: None,
    };
    let mut before: Option<Arc<Seen>> = None;
    loop {
        let now = watching.files.seen();
        let display = watching.display();
        if let Some(before) = before.replace(now) {
            display.note(&watching.what_changed(&before));
        }
        let ended = watching.round(&display, &mut signals).await;
        tokio::task::block_in_place(|| display.flush());
        match ended {
            Ok(Round::Outdated) => continue,
            Ok(Round::Stopped) => return Ok(Exit::Interrupted),
            Ok(Round::Over) => {}
            Err((Exit::Infrastructure, error)) => return Err(infrastructure(error)),
            Err((_, error)) => display.note(&format!("error: {}", harmless_lines(&causes(&error)))),
        }
        display.note(&format!("watching {} files; Ctrl-C ends it", watching.files.count()));
        tokio::task::block_in_place(|| display.flush());
        tokio::select! {
            changed = watching.files.changed() => changed.map_err(infrastructure)?,
            () = signals.next() => return Ok(Exit::Interrupted),
        }
    }
}

fn infrastructure(error: anyhow::Error) -> Failed {
    (Exit::Infrastructure, error)
}

/// What is watched, and what came of it.
struct Watching {
    args: RunArgs,
    files: Watched,
    /// The script's crate, if it is made of one.
    tested: Option<PathBuf>,
    /// The files when its tests last passed.
    tests_passed: Option<Arc<Seen>>,
    green: Option<Green>,
}

impl Watching {
    fn display(&self) -> Arc<dyn Display> {
        let RunArgs { progress, script, engine, .. } = &self.args;
        display(*progress, Hints::of(&script.stores.home).on(engine))
    }

    /// The files that have changed, in a line.
    fn what_changed(&self, before: &Seen) -> String {
        let paths = self.files.paths_since(before);
        let mut names: Vec<String> =
            paths.iter().take(NAMED).map(|path| harmless(&self.files.shown(path), false)).collect();
        if paths.len() > NAMED {
            names.push(format!("{} more", paths.len() - NAMED));
        }
        format!("changed: {}", names.join(", "))
    }

    /// Runs all that files may have changed, once.
    async fn round(&mut self, display: &Arc<dyn Display>, signals: &mut Signals) -> Result<Round, Failed> {
        let seen = self.files.seen();
        let prepared = tokio::select! {
            prepared = prepare(&self.args, self.tests(), &self.green, &self.files, display) => prepared?,
            () = signals.next() => return Ok(Round::Stopped),
        };
        let Some((host, request)) = prepared else { return Ok(Round::Over) };
        self.tests_passed = Some(seen.clone());
        let script = request.script.clone();
        let build = host.start(request).await.map_err(|error| infrastructure(error.into()))?;
        let (mut stopping, mut outdated, mut asked) = (Stopping::default(), false, false);
        let mut end = std::pin::pin!(build.wait());
        let report = loop {
            tokio::select! {
                report = &mut end => break report.map_err(|error| infrastructure(error.into()))?,
                () = signals.next() => {
                    asked = true;
                    stopping.again(&build, "cli", &**display);
                }
                changed = self.files.changed(), if !outdated && !asked => {
                    changed.map_err(infrastructure)?;
                    outdated = true;
                    display.note("files have changed: this build is stopped, and the next one begins when it is over");
                    let build = build.clone();
                    // It may be over.
                    tokio::spawn(async move { build.cancel("cli").await });
                }
            }
        };
        tokio::task::block_in_place(|| display.summary(&report));
        // The next round has a host of its own; nothing runs in this one.
        host.shutdown(Shutdown::Stop, Duration::ZERO).await;
        if report.status == BuildStatus::Success {
            self.green = Some(Green { seen, script });
        }
        Ok(match (asked, outdated) {
            (true, _) => Round::Stopped,
            (false, true) => Round::Outdated,
            (false, false) => Round::Over,
        })
    }

    /// The script's crate, if its tests may end otherwise than when they last passed.
    fn tests(&self) -> Option<PathBuf> {
        let tested = self.tested.clone()?;
        let Some(passed) = &self.tests_passed else { return Some(tested) };
        let touched = self.files.paths_since(passed).iter().any(|path| path.starts_with(&tested));
        touched.then_some(tested)
    }
}

/// What goes before a build: the script is made, tested, and asked for its jobs. `None` where its tests fail.
async fn prepare(
    args: &RunArgs,
    tests: Option<PathBuf>,
    green: &Option<Green>,
    files: &Watched,
    display: &Arc<dyn Display>,
) -> Result<Option<(Host, BuildRequest)>, Failed> {
    let place = script::place(&args.script)?;
    let made = tokio::task::spawn_blocking(move || script::at(&place)).await;
    let script = Bytes::from(made.map_err(|error| infrastructure(error.into()))??);
    let mut request = run::request(args, script)?;
    if let Some(green) = green
        && green.script == request.script
    {
        let touched = files.changes_since(&green.seen);
        request.given.changes = touched;
        if request.given.check().is_err() {
            // Not what can be told: what git says is.
            request.given.changes = None;
        }
    }
    let host = setup::host(&args.script.stores, &args.engine, display.clone().observer()).await?;
    if let Err(error) = host.check(&request, Arc::new(monkeyci_controller::Silent)).await {
        let exit = if error.is_script() { Exit::BadScript } else { Exit::Infrastructure };
        return Err((exit, error.into()));
    }
    if let Some(tests) = tests
        && !tests_of::pass(&tests).await.map_err(infrastructure)?
    {
        display.note("the script's tests fail: no job is run");
        return Ok(None);
    }
    Ok(Some((host, request)))
}
