//! Action jobs: a function of the script, in an instance of its own.

use std::time::Duration;

use monkeyci_build::{Ending, JobSpec};
use monkeyci_script::ScriptError;
use tokio::sync::watch;

use super::Stop;
use crate::build::Run;

/// Runs the action of `job`. Stopping it drops its instance, wherever it is.
pub(super) async fn run(run: &Run, job: &JobSpec, mut stop: watch::Receiver<Option<Stop>>) -> Ending {
    let Some(loaded) = run.loaded.get() else {
        return Ending::EngineFailed { reason: "the script is not loaded".to_owned() };
    };
    let limit = Duration::from_millis(job.timeout_ms);
    let life = limit.saturating_add(Duration::from_secs(60));
    let (client, token) = match run.controller.script_client(&run.live.id, Some(&job.id), life) {
        Ok(client) => client,
        Err(error) => return Ending::EngineFailed { reason: error.to_string() },
    };
    let acted = tokio::select! {
        acted = loaded.script.act(&client, &loaded.transcript, &job.id, limit) => Ok(acted),
        Ok(stop) = stop.wait_for(Option::is_some) => Err(*stop),
    };
    run.controller.api.tokens.revoke(&token);
    match acted {
        Ok(Ok(())) => Ending::Succeeded,
        Ok(Err(ScriptError::Failed(message))) => Ending::ActionFailed { message },
        Ok(Err(ScriptError::Trapped(message))) => Ending::ActionTrapped { message },
        Ok(Err(ScriptError::TimedOut(_))) => Ending::TimedOut { after_ms: job.timeout_ms },
        Ok(Err(error @ ScriptError::Diverged(_))) => Ending::ActionFailed { message: error.to_string() },
        Err(stop) => stop.map_or(Ending::Cancelled, |stop| stop.ending(job)),
    }
}
