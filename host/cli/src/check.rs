//! `monkeyci-host check`

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use monkeyci_build::{Checked, JobKind, JobSpec};
use monkeyci_controller::{BuildRequest, CheckError, Silent};

use crate::Done;
use crate::args::{CheckArgs, EngineArgs, Progress};
use crate::exit::Exit;
use crate::progress::{Hints, count, display};
use crate::signals::Signals;
use crate::text::{harmless_lines, print_line};
use crate::{given, inputs, script, setup};

/// Shows the jobs that the script declares, or all that is wrong with them.
pub async fn check(args: CheckArgs) -> Done {
    let given = given::collect(&args.script.given).map_err(|error| (Exit::Usage, error))?;
    let trigger = given::trigger(&given);
    let mut request = BuildRequest::new(script::bytes(&args.script)?, setup::source(&args.script)?).trigger(trigger);
    request.inputs = inputs::collect(&args.script.inputs, std::env::vars_os()).map_err(|e| (Exit::Usage, e))?;
    request.given = given;
    let host = setup::host(&args.script.stores, &EngineArgs::default(), Arc::new(Silent)).await?;
    // What the script prints is no part of the answer.
    let progress = if args.json { Progress::Json } else { Progress::Plain };
    let quiet = display(progress, Hints::of(&args.script.stores.home));
    let observer = if args.json { Arc::new(Silent) } else { quiet.clone().observer() };
    let mut signals =
        Signals::take().map_err(|error| (Exit::Infrastructure, anyhow!(error).context("signals can't be handled")))?;
    let checked = tokio::select! {
        checked = host.check(&request, observer) => checked,
        // What it has made in the temporary directory goes with it.
        () = signals.next() => return Err((Exit::Interrupted, anyhow!("stopped before the script was checked"))),
    };
    // From here on it only prints, and perhaps for somebody who does not read.
    tokio::spawn(signals.end_the_process(Duration::ZERO));
    tokio::task::block_in_place(|| quiet.flush());
    match checked {
        Ok(checked) => {
            if args.json {
                let Checked { graph, removed, params } = &checked;
                let answer = serde_json::json!({
                    "ok": true, "jobs": graph.jobs(), "removed": removed, "params": params,
                    "warning": checked.nothing_to_run(),
                });
                print_line(&answer.to_string());
            } else {
                print_line(&harmless_lines(&table(&checked)));
            }
            Ok(Exit::Success)
        }
        Err(error) => {
            if args.json {
                let faults = match &error {
                    CheckError::Graph { faults, .. } => faults.clone(),
                    _ => Default::default(),
                };
                let answer = serde_json::json!({ "ok": false, "error": error.to_string(), "faults": faults });
                print_line(&answer.to_string());
            }
            let exit = if error.is_script() { Exit::BadScript } else { Exit::Infrastructure };
            Err((exit, error.into()))
        }
    }
}

/// The parameters and the jobs, one a line, in the order of declaration.
fn table(checked: &Checked) -> String {
    let Checked { graph, removed, params } = checked;
    let mut text = String::new();
    for param in params {
        text.push_str(&format!("parameter {}  {param}\n", param.name));
    }
    let jobs = graph.jobs();
    let names = jobs.iter().map(|job| &job.id).chain(removed.iter().map(|(job, _)| job));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    for job in jobs {
        text.push_str(&format!("{:width$}  {}\n", job.id, describe(job)));
    }
    for (job, reason) in removed {
        text.push_str(&format!("{job:width$}  removed: {reason}\n"));
    }
    text.push_str(&checked.nothing_to_run().unwrap_or_else(|| format!("{}, no faults", count(jobs.len(), "job"))));
    text
}

fn describe(job: &JobSpec) -> String {
    let kind = match &job.kind {
        JobKind::Action => "action".to_owned(),
        JobKind::Container(container) => format!("container {}", container.image),
    };
    if job.needs.is_empty() { kind } else { format!("{kind}, needs {}", job.needs.join(", ")) }
}
