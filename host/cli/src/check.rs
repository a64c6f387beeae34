//! `monkeyci-host check`

use std::num::NonZeroUsize;

use monkeyci_build::{Graph, JobKind, JobSpec};
use monkeyci_controller::{BuildRequest, CheckError};

use crate::Done;
use crate::args::{CheckArgs, Progress};
use crate::exit::Exit;
use crate::progress::display;
use crate::text::{harmless_lines, print_line};
use crate::{params, setup};

/// Shows the jobs that the script declares, or all that is wrong with them.
pub async fn check(args: CheckArgs) -> Done {
    let request = BuildRequest {
        script: setup::script(&args.script.script)?.into(),
        source: setup::source(&args.script)?,
        params: params::collect(&args.script.params, &args.script.param_files).map_err(|e| (Exit::Usage, e))?,
        trigger: "cli".to_owned(),
        max_running: NonZeroUsize::MIN,
        keep: false,
    };
    let controller = setup::controller(&args.script.home, "auto").await?;
    // What the script prints is no part of the answer.
    let quiet = display(if args.json { Progress::Json } else { Progress::Plain });
    let observer = if args.json { std::sync::Arc::new(monkeyci_controller::Silent) } else { quiet.observer() };
    match controller.check(&request, observer).await {
        Ok(graph) => {
            if args.json {
                print_line(&serde_json::json!({ "ok": true, "jobs": graph.jobs() }).to_string());
            } else {
                print_line(&harmless_lines(&table(&graph)));
            }
            Ok(Exit::Success)
        }
        Err(error) => {
            if args.json {
                let faults = if let CheckError::Graph(faults) = &error { faults.clone() } else { Default::default() };
                let answer = serde_json::json!({ "ok": false, "error": error.to_string(), "faults": faults });
                print_line(&answer.to_string());
            }
            let exit = if error.is_script() { Exit::BadScript } else { Exit::Infrastructure };
            Err((exit, error.into()))
        }
    }
}

/// The jobs, one a line, in the order of declaration.
fn table(graph: &Graph) -> String {
    let jobs = graph.jobs();
    let width = jobs.iter().map(|job| job.id.chars().count()).max().unwrap_or(0);
    let lines = jobs.iter().map(|job| format!("{:width$}  {}\n", job.id, describe(job)));
    format!("{}{} jobs, no faults", lines.collect::<String>(), jobs.len())
}

fn describe(job: &JobSpec) -> String {
    let kind = match &job.kind {
        JobKind::Action => "action".to_owned(),
        JobKind::Container(container) => format!("container {}", container.image),
    };
    if job.needs.is_empty() { kind } else { format!("{kind}, needs {}", job.needs.join(", ")) }
}
