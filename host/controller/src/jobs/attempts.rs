//! An attempt of a job, from its start to its end.

use monkeyci_build::{BuildCommand, Ending, EventBody, JobKind, JobSpec, Results, StopReason};
use tokio::sync::watch;

use super::{JobContext, action, container};
use crate::running::Refused;

/// Who has begun an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BegunBy {
    /// This process.
    This,
    /// One that has died: there may be a pod.
    Another,
}

/// Runs a job, for the `attempt`-th time.
pub(super) async fn run(context: &JobContext, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) {
    let spec = context.live.state().graph().get(&job).cloned();
    // The core starts jobs that it knows only.
    let Some(spec) = spec else { return };
    let started = EventBody::JobStarted { job: job.clone(), attempt };
    match &spec.kind {
        JobKind::Action => context.record(started).await,
        // The engine makes a pod now.
        JobKind::Container(_) => context.record_durably(started).await,
    }
    to_its_end(context, &spec, attempt, BegunBy::This, stop).await;
}

/// Goes on with an attempt that another process has begun.
pub(super) async fn go_on(context: &JobContext, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) {
    let spec = context.live.state().graph().get(&job).cloned();
    let Some(spec) = spec else { return };
    to_its_end(context, &spec, attempt, BegunBy::Another, stop).await;
}

async fn to_its_end(
    context: &JobContext,
    spec: &JobSpec,
    attempt: u32,
    begun: BegunBy,
    stop: watch::Receiver<Option<StopReason>>,
) {
    let job = spec.id.clone();
    let (ending, said, cleanup) = match &spec.kind {
        JobKind::Action => {
            let (ending, said) = action::run(context, spec, (attempt, begun), stop).await;
            (ending, said, None)
        }
        JobKind::Container(container) => {
            let (ending, cleanup) = container::run(context, spec, container, (attempt, begun), stop).await;
            // Its sidecar has handed in what it says.
            (ending, Results::default(), cleanup)
        }
    };
    let ending = say(context, &job, attempt, said, ending).await;
    // What it was refused for the sake of others, whoever says it: script or sidecar.
    let ending = match context.live.disk.named_in(&ending.to_string()) {
        Some(limit) => Ending::LimitReached { limit },
        None => ending,
    };
    let ending = match context.live.state().job(&job) {
        Some(known) => known.with_warning(ending),
        None => ending,
    };
    let ended = match ending {
        // Once: an attempt of this process has no dead host to blame.
        ending @ Ending::Diverged { .. } if begun == BegunBy::Another && context.is_again() => {
            EventBody::JobRetried { job, attempt, ending, delay_ms: 0 }
        }
        ending => EventBody::JobEnded { job, attempt, ending },
    };
    match cleanup {
        None => context.record(ended).await,
        // Whoever goes on after a crash finds the end in the journal, or the pod that knows it.
        Some(cleanup) => {
            context.record_durably(ended).await;
            cleanup.run(context).await;
        }
    }
}

/// Has written down what an action said of its result. Where that is refused, it has not done what it was to do.
async fn say(context: &JobContext, job: &str, attempt: u32, mut said: Results, ending: Ending) -> Ending {
    context.live.masking.withhold(&mut said);
    if said.is_empty() {
        return ending;
    }
    let say = BuildCommand::Say { job: job.to_owned(), attempt, results: Box::new(said) };
    match context.live.command(say).await {
        Err(Refused::Command(error)) if ending.is_ok() => Ending::ActionFailed { message: error.to_string() },
        _ => ending,
    }
}
