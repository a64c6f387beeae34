//! Action jobs: a function of the script, in an instance of its own.

use std::time::Duration;

use monkeyci_build::{Ending, JobSpec, Results, StopReason};
use monkeyci_script::{Acted, Action, Said, ScriptError};
use tokio::sync::watch;

use super::JobContext;
use super::attempts::BegunBy;

/// Runs the action of `job`; tells how it ended, and what it said of its result. Stopping it drops its instance, wherever it is.
pub(super) async fn run(
    context: &JobContext,
    job: &JobSpec,
    (attempt, begun): (u32, BegunBy),
    mut stop: watch::Receiver<Option<StopReason>>,
) -> (Ending, Results) {
    let failed = |reason: String| (Ending::EngineFailed { reason }, Results::default());
    let Some(loaded) = context.loaded.get() else { return failed("the script is not loaded".to_owned()) };
    let limit = Duration::from_millis(job.timeout_ms);
    let life = limit.saturating_add(Duration::from_secs(60));
    let client = match context.services.script_client(&context.live, Some((job, attempt)), life) {
        Ok(client) => client,
        Err(error) => return failed(error.to_string()),
    };
    let recording = match context.recording(&job.id, attempt, begun).await {
        Ok(recording) => recording,
        Err(error) => return failed(format!("its output area can't be cleared: {error}")),
    };
    let acted = tokio::select! {
        biased;
        acted = loaded.script.act(&client, &loaded.transcript, Action::of(job), limit, &recording) => Ok(acted),
        Ok(stop) = stop.wait_for(Option::is_some) => Err(stop.clone()),
    };
    match acted {
        Ok(acted) => ended(context, job, acted),
        Err(stop) => (stop.map_or(Ending::Cancelled, |stop| stop.ending(job)), Results::default()),
    }
}

/// What the end of the function means, and what it said of its result.
fn ended(context: &JobContext, job: &JobSpec, acted: Acted) -> (Ending, Results) {
    let Acted { ended, said: Said { results, skip } } = acted;
    let ending = match ended {
        Ok(()) => match (skip, missing_artifact(context, job)) {
            (Some(reason), _) => Ending::NotNeeded { reason },
            (None, Some(id)) => {
                let reason = "the action said that it creates it, and did not".to_owned();
                Ending::ArtifactMissing { id, reason }
            }
            (None, None) => Ending::Succeeded,
        },
        Err(ScriptError::Failed(message)) => Ending::ActionFailed { message },
        Err(ScriptError::Trapped(message)) => Ending::ActionTrapped { message },
        Err(ScriptError::UsedUp(limit)) => Ending::LimitReached { limit },
        Err(ScriptError::TimedOut(_)) => Ending::TimedOut { after_ms: job.timeout_ms, during: None },
        Err(error @ ScriptError::Unreadable(_)) => Ending::EngineFailed { reason: error.to_string() },
        Err(ScriptError::ActionDiverged { call, recorded, now }) => Ending::Diverged { call, recorded, now },
        Err(error @ (ScriptError::Diverged(_) | ScriptError::Exited(_) | ScriptError::NotKnownYet { .. })) => {
            Ending::ActionFailed { message: error.to_string() }
        }
    };
    (ending, results)
}

fn missing_artifact(context: &JobContext, job: &JobSpec) -> Option<String> {
    job.creates_artifacts.iter().find(|id| context.live.artifact(id).is_none()).cloned()
}
