//! An attempt of a job, from its start to its end.

use monkeyci_build::{Ending, EventBody, JobKind, StopReason};
use tokio::sync::watch;

use super::{JobContext, action, container};

/// Runs a job, for the `attempt`-th time.
pub(super) async fn run(context: &JobContext, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) {
    let spec = context.live.state().graph().get(&job).cloned();
    // The core starts jobs that it knows only.
    let Some(spec) = spec else { return };
    context.record(EventBody::JobStarted { job: job.clone() }).await;
    let (ending, cleanup) = match &spec.kind {
        JobKind::Action => (action::run(context, &spec, stop).await, None),
        JobKind::Container(container) => container::run(context, &spec, container, attempt, stop).await,
    };
    let mut results = context.live.take_results(&job);
    context.live.masking.withhold(&mut results);
    let ending = match (ending, &results.warning) {
        (Ending::Succeeded, Some(warning)) => Ending::Warned { message: warning.clone() },
        (Ending::Warned { message }, Some(warning)) => Ending::Warned { message: format!("{warning}; {message}") },
        (ending, _) => ending,
    };
    if !results.is_empty() {
        context.record(EventBody::JobResults { job: job.clone(), results: Box::new(results) }).await;
    }
    context.record(EventBody::JobEnded { job, ending }).await;
    if let Some(cleanup) = cleanup {
        cleanup.run(context).await;
    }
}
