//! Late jobs: the script completes them when their turn comes.

use std::time::Duration;

use monkeyci_build::{Ending, EventBody, check_refined};
use monkeyci_script::{Refined, ScriptError};

use super::JobContext;
use super::attempts::BegunBy;

/// Lets the script complete the job, and records what became of it.
pub(super) async fn run(context: &JobContext, job: String, attempt: u32) {
    let body = try_refine(context, &job, attempt).await;
    context.record(body.unwrap_or_else(|ending| EventBody::JobEnded { job, attempt, ending })).await;
}

async fn try_refine(context: &JobContext, job: &str, attempt: u32) -> Result<EventBody, Ending> {
    let failed = |message: String| Ending::RefineFailed { message };
    let loaded =
        context.loaded.get().ok_or_else(|| Ending::EngineFailed { reason: "the script is not loaded".to_owned() })?;
    let spec = context.live.state().graph().get(job).cloned();
    let spec = spec.ok_or_else(|| failed("the build has no such job".to_owned()))?;
    let life = context.services.runtime.limits().define_time + Duration::from_secs(60);
    let client = context
        .services
        .script_client(&context.live, Some((&spec, attempt)), life)
        .map_err(|error| Ending::EngineFailed { reason: error.to_string() })?;
    // Where another process has begun, that is gone on with.
    let recording = context.recording(job, attempt, BegunBy::Another).await;
    let recording = recording.map_err(|error| Ending::EngineFailed { reason: error.to_string() })?;
    let refined = loaded.script.refine(&client, &loaded.transcript, job, &recording).await;
    let ending = |error| match error {
        ScriptError::ActionDiverged { call, recorded, now } => Ending::Diverged { call, recorded, now },
        ScriptError::UsedUp(limit) => Ending::LimitReached { limit },
        error => failed(error.to_string()),
    };
    match refined.map_err(ending)? {
        Refined::Skipped(reason) => Err(Ending::NotNeeded { reason }),
        Refined::Completed(draft) => {
            let job = check_refined(&spec, &draft).map_err(|faults| failed(faults.to_string()))?;
            let faults = context.live.secret_faults(std::slice::from_ref(&job));
            if !faults.is_empty() {
                return Err(failed(faults.to_string()));
            }
            Ok(EventBody::JobRefined { job: Box::new(job), attempt })
        }
    }
}
