//! Late jobs: the script completes them when their turn comes.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_build::{Ending, EventBody, check_refined};
use monkeyci_script::Refined;

use super::record;
use crate::build::Run;

/// Lets the script complete the job, and records what became of it.
pub(crate) async fn refine(run: Arc<Run>, job: String) {
    let body = try_refine(&run, &job).await;
    record(&run, body.unwrap_or_else(|ending| EventBody::JobEnded { job, ending })).await;
}

async fn try_refine(run: &Run, job: &str) -> Result<EventBody, Ending> {
    let failed = |message: String| Ending::RefineFailed { message };
    let loaded =
        run.loaded.get().ok_or_else(|| Ending::EngineFailed { reason: "the script is not loaded".to_owned() })?;
    let spec = run.live.state().graph().get(job).cloned();
    let spec = spec.ok_or_else(|| failed("the build has no such job".to_owned()))?;
    let life = run.controller.runtime.limits().define_time + Duration::from_secs(60);
    let (client, token) = run
        .controller
        .script_client(&run.live, Some(&spec), life)
        .map_err(|error| Ending::EngineFailed { reason: error.to_string() })?;
    let refined = loaded.script.refine(&client, &loaded.transcript, job).await;
    run.controller.api.tokens.revoke(&token);
    match refined.map_err(|error| failed(error.to_string()))? {
        Refined::Skipped(reason) => Err(Ending::NotNeeded { reason }),
        Refined::Completed(draft) => {
            let job = check_refined(&spec, &draft).map_err(|faults| failed(faults.to_string()))?;
            let faults = run.live.secret_faults(std::slice::from_ref(&job));
            if !faults.is_empty() {
                return Err(failed(faults.to_string()));
            }
            Ok(EventBody::JobRefined { job: Box::new(job) })
        }
    }
}
