//! What the core asks for, carried out: checkout, `define`, and jobs. Each is a task that records how it ended.

mod action;
mod container;

use std::sync::Arc;
use std::time::Duration;

use monkeyci_api::BuildInfo;
use monkeyci_build::{Ending, EventBody, GraphFaults, JobKind, JobSpec, check};
use monkeyci_script::{Script, Transcript};
use tokio::sync::watch;

use crate::blobs::names;
use crate::build::Run;
use crate::workspace;

/// Why a job has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    TimedOut,
}

/// The script, and what its `define` was told.
pub(crate) struct Loaded {
    script: Script,
    transcript: Arc<Transcript>,
}

impl Stop {
    /// The ending of a job that was stopped.
    fn ending(self, job: &JobSpec) -> Ending {
        match self {
            Self::Cancelled => Ending::Cancelled,
            Self::TimedOut => Ending::TimedOut { after_ms: job.timeout_ms },
        }
    }
}

/// Gets the code.
pub(crate) async fn check_out(run: Arc<Run>) {
    let (source, into) = (run.request.source.clone(), run.dir.join("checkout"));
    let done = tokio::task::spawn_blocking(move || source.check_out(&into)).await;
    let body = match done {
        Ok(Ok(checkout)) => {
            let source = checkout.source;
            let trigger = run.request.trigger.clone();
            // Set once: there is one checkout a build.
            let _ = run.live.info.set(BuildInfo { id: run.live.id.clone(), trigger, source: source.clone() });
            let _ = run.checkout.set(checkout.dir);
            EventBody::BuildCheckedOut { source }
        }
        Ok(Err(error)) => failed(false, error.to_string()),
        Err(error) => failed(false, format!("the checkout stopped by a fault of the host: {error}")),
    };
    record(&run, body).await;
}

/// Loads the script, asks it for its jobs, checks them, and packs the workspace if a container job will want it.
pub(crate) async fn define(run: Arc<Run>) {
    let body = match try_define(&run).await {
        Ok(jobs) => EventBody::ScriptDefined { jobs },
        Err(body) => body,
    };
    record(&run, body).await;
}

/// Loads the script and asks it for its jobs; an error is the event that ends the build.
async fn try_define(run: &Arc<Run>) -> Result<Vec<JobSpec>, EventBody> {
    let (runtime, bytes) = (run.controller.runtime.clone(), run.request.script.clone());
    let script = tokio::task::spawn_blocking(move || runtime.load(&bytes))
        .await
        .map_err(|error| failed(false, format!("loading the script stopped by a fault of the host: {error}")))?
        .map_err(|error| failed(true, error.to_string()))?;
    let loaded = EventBody::ScriptLoaded {
        digest: script.digest().to_owned(),
        size: script.size() as u64,
        cached: script.cached(),
    };
    record(run, loaded).await;

    let info = run.live.info.get().cloned().ok_or_else(|| failed(false, "nothing was checked out".to_owned()))?;
    let life = run.controller.runtime.limits().define_time + Duration::from_secs(60);
    let (client, token) =
        run.controller.script_client(&run.live.id, None, life).map_err(|error| failed(false, error.to_string()))?;
    let defined = script.define(&client, info).await;
    run.controller.api.tokens.revoke(&token);
    let defined = defined.map_err(|error| failed(true, format!("the script could not declare its jobs: {error}")))?;
    let graph = check(&defined.jobs).map_err(|faults| EventBody::BuildFailed {
        script: true,
        message: "the script's job graph is not valid".to_owned(),
        faults,
    })?;
    let _ = run.loaded.set(Loaded { script, transcript: defined.transcript });

    let jobs = graph.into_jobs();
    if jobs.iter().any(|job| matches!(job.kind, JobKind::Container(_)))
        && let Some(dir) = run.checkout.get()
    {
        let name = names::workspace(&run.live.id);
        workspace::store(&run.controller.api.blobs, &name, dir.clone())
            .await
            .map_err(|error| failed(false, format!("the workspace {} could not be packed: {error}", dir.display())))?;
    }
    Ok(jobs)
}

/// Runs a job.
pub(crate) async fn run(run: Arc<Run>, job: String, stop: watch::Receiver<Option<Stop>>) {
    let spec = run.live.state().jobs().find(|(spec, _)| spec.id == job).map(|(spec, _)| spec.clone());
    // The core starts jobs that it knows only.
    let Some(spec) = spec else { return };
    record(&run, EventBody::JobStarted { job: job.clone() }).await;
    let (ending, remains) = match &spec.kind {
        JobKind::Action => (action::run(&run, &spec, stop).await, None),
        JobKind::Container(container) => container::run(&run, &spec, container, stop).await,
    };
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

fn failed(script: bool, message: String) -> EventBody {
    EventBody::BuildFailed { script, message, faults: GraphFaults::default() }
}
