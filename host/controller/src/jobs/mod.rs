//! What the core asks for, carried out: checkout, `define`, and jobs. Each is a task that records how it ended.

mod action;
mod container;
mod plan;
mod refine;

pub(crate) use refine::refine;

use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_api::BuildInfo;
use monkeyci_build::{Checked, Ending, EventBody, FaultKind, GraphFaults, JobDraft, JobKind, JobSpec, check};
use monkeyci_script::{Definition, Script, Transcript};
use tokio::sync::watch;

use crate::build::Run;
use crate::live::{LiveBuild, Places};

/// Why a job has to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    TimedOut,
    FailedFast { group: String, because: String },
}

/// The script, and what its `define` was told.
pub(crate) struct Loaded {
    script: Script,
    transcript: Arc<Transcript>,
}

/// Why a build can't go on before any job started.
pub(crate) struct Hopeless {
    /// Whether the script is at fault; the infrastructure is otherwise.
    pub(crate) script: bool,
    pub(crate) message: String,
    pub(crate) faults: GraphFaults,
}

impl From<Hopeless> for EventBody {
    fn from(Hopeless { script, message, faults }: Hopeless) -> Self {
        Self::BuildFailed { script, message, faults }
    }
}

impl Stop {
    /// The ending of a job that was stopped.
    pub(crate) fn ending(self, job: &JobSpec) -> Ending {
        match self {
            Self::Cancelled => Ending::Cancelled,
            Self::TimedOut => Ending::TimedOut { after_ms: job.timeout_ms },
            Self::FailedFast { group, because } => Ending::FailedFast { group, because },
        }
    }
}

/// Gets the code.
pub(crate) async fn check_out(run: Arc<Run>) {
    let (source, into) = (run.request.source.clone(), run.dir.join("checkout"));
    let body = match source.check_out_in_background(into).await {
        Ok(checkout) => {
            let source = checkout.source;
            match Dir::open_ambient_dir(&checkout.dir, ambient_authority()) {
                Ok(workspace) => {
                    let places = Places { path: checkout.dir, workspace, outputs: run.dir.join("outputs") };
                    let _ = run.live.places.set(places);
                }
                Err(error) => {
                    let message = format!("the code in {} can't be read: {error}", checkout.dir.display());
                    return record(&run, failed(false, message).into()).await;
                }
            }
            let trigger = run.request.trigger.clone();
            // Set once: there is one checkout a build.
            let _ = run.live.info.set(BuildInfo { id: run.live.id.clone(), trigger, source: source.clone() });
            EventBody::BuildCheckedOut { source }
        }
        Err(error) => failed(false, error.to_string()).into(),
    };
    record(&run, body).await;
}

/// Loads the script, asks it for its jobs, checks them, and packs the workspace if a container job will want it.
pub(crate) async fn define(run: Arc<Run>) {
    let body = try_define(&run).await.unwrap_or_else(EventBody::from);
    record(&run, body).await;
}

/// Loads the script and asks it for its jobs.
async fn try_define(run: &Arc<Run>) -> Result<EventBody, Hopeless> {
    let loading = run.controller.runtime.load_in_background(run.request.script.clone());
    let script = loading.await.map_err(|error| failed(error.is_script(), error.to_string()))?;
    let loaded = EventBody::ScriptLoaded {
        digest: script.digest().to_owned(),
        size: script.size() as u64,
        cached: script.cached(),
    };
    record(run, loaded).await;

    let info = run.live.info.get().cloned().ok_or_else(|| failed(false, "nothing was checked out".to_owned()))?;
    let life = run.controller.runtime.limits().define_time + Duration::from_secs(60);
    let (client, token) =
        run.controller.script_client(&run.live, None, life).map_err(|error| failed(false, error.to_string()))?;
    let defined = script.define(&client, info).await;
    run.controller.api.tokens.revoke(&token);
    let defined = defined.map_err(|error| failed(true, format!("the script could not declare its jobs: {error}")))?;
    let checked = check_definition(&script, &defined, &run.live)?;
    let _ = run.loaded.set(Loaded { script, transcript: defined.transcript });

    let Checked { graph, removed, params } = checked;
    let _ = run.live.params.set(params.clone());
    let jobs = graph.into_jobs();
    if jobs.iter().any(|job| matches!(job.kind, JobKind::Container(_))) {
        run.live
            .pack_workspace(&run.controller.api.blobs)
            .await
            .map_err(|error| failed(false, format!("the workspace could not be packed: {error}")))?;
    }
    Ok(EventBody::ScriptDefined { jobs, removed, params })
}

/// Checks what a script declared. What is wrong with its parameters and jobs says more than what it says itself when it
/// fails, which may well be a consequence.
///
/// # Errors
/// Why the build can't go on.
pub(crate) fn check_definition(script: &Script, defined: &Definition, live: &LiveBuild) -> Result<Checked, Hopeless> {
    let inputs = &live.inputs;
    // A script that failed may have declared half of its jobs: only its parameters count.
    let jobs: &[JobDraft] = if defined.failed.is_some() { &[] } else { &defined.jobs };
    let checked = check(jobs, &defined.params).map_err(|faults| {
        let missing = faults.0.iter().any(|fault| matches!(fault.kind, FaultKind::MissingValue));
        let looked = if missing { inputs.looked_for_param() } else { String::new() };
        Hopeless {
            script: true,
            message: format!("what the script declares, or what it was given, is not valid{looked}"),
            faults,
        }
    })?;
    if let Some(message) = &defined.failed {
        return Err(failed(true, format!("the script could not declare its jobs: {message}")));
    }
    let faults = live.secret_faults(checked.graph.jobs());
    if !faults.is_empty() {
        let missing = faults.0.iter().any(|fault| matches!(fault.kind, FaultKind::MissingSecret { .. }));
        let looked = if missing { inputs.looked_for_secret() } else { String::new() };
        let message = format!("what the jobs do with secrets is not valid{looked}");
        return Err(Hopeless { script: true, message, faults });
    }
    match checked.graph.jobs().iter().find(|job| job.late) {
        Some(job) if !script.refines() => Err(failed(
            true,
            format!("the job {:?} is late, but the script does not export `refine`; build it with a newer SDK", job.id),
        )),
        _ => Ok(checked),
    }
}

/// Runs a job, for the `attempt`-th time.
pub(crate) async fn run(run: Arc<Run>, job: String, attempt: u32, stop: watch::Receiver<Option<Stop>>) {
    let spec = run.live.state().graph().get(&job).cloned();
    // The core starts jobs that it knows only.
    let Some(spec) = spec else { return };
    record(&run, EventBody::JobStarted { job: job.clone() }).await;
    let (ending, remains) = match &spec.kind {
        JobKind::Action => (action::run(&run, &spec, stop).await, None),
        JobKind::Container(container) => container::run(&run, &spec, container, attempt, stop).await,
    };
    let mut results = run.live.take_results(&job);
    run.live.masking.withhold(&mut results);
    let ending = match (ending, &results.warning) {
        (Ending::Succeeded, Some(warning)) => Ending::Warned { message: warning.clone() },
        (Ending::Warned { message }, Some(warning)) => Ending::Warned { message: format!("{warning}; {message}") },
        (ending, _) => ending,
    };
    if !results.is_empty() {
        record(&run, EventBody::JobResults { job: job.clone(), results: Box::new(results) }).await;
    }
    record(&run, EventBody::JobEnded { job, ending }).await;
    if let Some(remains) = remains {
        remains.clear(&run).await;
    }
}

async fn record(run: &Run, body: EventBody) {
    if run.live.record(body).await.is_err() {
        tracing::debug!("an event came after the build's end");
    }
}

fn failed(script: bool, message: String) -> Hopeless {
    Hopeless { script, message, faults: GraphFaults::default() }
}
