//! The script, loaded and asked for its jobs.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_build::{Checked, EventBody, FaultKind, GraphFaults, JobDraft, JobSpec, check};
use monkeyci_script::{Definition, Script, Transcript};

use super::JobContext;
use super::select::{NotSelected, select};
use crate::running::BuildHandle;

/// The script, and what its `define` was told.
pub(super) struct Loaded {
    pub(super) script: Script,
    pub(super) transcript: Arc<Transcript>,
}

/// Why a build can't go on before any job started.
pub(super) struct Hopeless {
    /// Whether the script is at fault; the infrastructure is otherwise.
    pub(super) script: bool,
    pub(super) message: String,
    pub(super) faults: GraphFaults,
}

impl From<Hopeless> for EventBody {
    fn from(Hopeless { script, message, faults }: Hopeless) -> Self {
        Self::BuildFailed { script, message, faults }
    }
}

/// Loads the script, asks it for its jobs, checks them, and packs the workspace if a container job will want it.
pub(super) async fn run(context: &JobContext) {
    let body = try_define(context).await.unwrap_or_else(EventBody::from);
    context.record(body).await;
}

/// Loads the script and asks it for its jobs.
async fn try_define(context: &JobContext) -> Result<EventBody, Hopeless> {
    let loading = context.services.runtime.load_in_background(context.request.script.clone());
    let script = loading.await.map_err(|error| failed(error.is_script(), error.to_string()))?;
    let loaded = EventBody::ScriptLoaded {
        digest: script.digest().to_owned(),
        size: script.size() as u64,
        cached: script.cached(),
    };
    // A build that is gone on with has its script already, and says so once.
    if !context.live.has_happened(|body| matches!(body, EventBody::ScriptLoaded { .. })) {
        context.record(loaded).await;
    }

    let info = context.live.info.get().cloned().ok_or_else(|| failed(false, "nothing was checked out".to_owned()))?;
    let life = context.services.runtime.limits().define_time + Duration::from_secs(60);
    let client =
        context.services.script_client(&context.live, None, life).map_err(|error| failed(false, error.to_string()))?;
    let defined = script.define(&client, info).await;
    let defined = defined.map_err(|error| failed(true, format!("the script could not declare its jobs: {error}")))?;
    let checked = check_definition(&script, &defined, &context.live)?;
    let mut told = defined.transcript.told();
    let _ = context.loaded.set(Loaded { script, transcript: defined.transcript });

    // Before the jobs are known: without any the build ends at once.
    if let Some(message) = checked.nothing_to_run() {
        context.record(EventBody::BuildWarned { message }).await;
    }
    let Checked { graph, removed, params } = checked;
    let jobs = graph.into_jobs();
    for message in context.request.breaks.in_vain(&jobs) {
        context.record(EventBody::BuildWarned { message }).await;
    }
    match select(context, &jobs, &removed).await {
        Ok(None) => {}
        Ok(Some(selection)) => context.record(EventBody::JobsSelected { selection: Box::new(selection) }).await,
        Err(NotSelected::Refused(error)) => return Ok(EventBody::BuildRefused { message: error.to_string() }),
        Err(NotSelected::Hopeless(hopeless)) => return Err(hopeless),
    }
    if jobs.iter().filter_map(JobSpec::container).any(|container| !container.with_git) {
        context
            .live
            .pack_workspace(&context.services.blobs)
            .await
            .map_err(|error| failed(false, format!("the workspace could not be packed: {error}")))?;
    }
    context.live.masking.withhold_told(&mut told);
    told.workspace = context.live.packed().map(str::to_owned);
    context.record(EventBody::ScriptTold { told: Box::new(told) }).await;
    Ok(EventBody::ScriptDefined { jobs, removed, params })
}

/// Checks what a script declared. What is wrong with its parameters and jobs says more than what it says itself when it
/// fails, which may well be a consequence.
///
/// # Errors
/// Why the build can't go on.
pub(super) fn check_definition(script: &Script, defined: &Definition, live: &BuildHandle) -> Result<Checked, Hopeless> {
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

pub(super) fn failed(script: bool, message: String) -> Hopeless {
    Hopeless { script, message, faults: GraphFaults::default() }
}
