//! Pod cleanup: what a job leaves is removed, later than the job ends, so that the jobs that wait for it do not wait for that too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use monkeyci_build::ServiceSpec;
use monkeyci_engines::{Engine, EngineError};

use super::kept::Kept;
use super::services::ServiceLogs;
use super::{GRACE, PARTING};
use crate::jobs::JobContext;
use crate::jobs::lease::{self, AGAIN};

/// How long clearing away may take.
pub(super) const REMOVAL: Duration = Duration::from_secs(60);

/// What is left of a job that has ended: a pod that is to be removed.
pub(in crate::jobs) struct PodCleanup {
    pub(super) engine: Arc<dyn Engine>,
    /// The pod's key.
    pub(super) key: String,
    pub(super) job: String,
    pub(super) services: Vec<ServiceSpec>,
    /// What the pod has of the build's directory.
    pub(super) dir: PathBuf,
    /// What still follows the output of its services.
    pub(super) logs: Option<ServiceLogs>,
    /// The attempt, where another process has begun it: what its services have written may be known to nobody yet.
    pub(super) taken_over: Option<u32>,
    /// How long the engine may be away.
    pub(super) lease: Duration,
}

impl PodCleanup {
    /// Removes the pod, or tells where it is.
    pub(in crate::jobs) async fn run(self, context: &JobContext) {
        let Self { engine, key, job, services, dir, mut logs, taken_over, lease } = self;
        if let Some(attempt) = taken_over {
            if let Some(logs) = logs.take() {
                logs.finish(Duration::ZERO).await;
            }
            if let Some(rest) = ServiceLogs::catch_up(context, &engine, (&key, &job, attempt), &services) {
                rest.finish(PARTING).await;
            }
        }
        if context.request.keep {
            context.live.observer.progress(&context.live.id, &job, &format!("kept its containers: {key}"));
            if let Some(logs) = logs {
                logs.finish(Duration::ZERO).await;
            }
            return;
        }
        if context.request.keep_failed
            && let Some(kept) = failed(context, &job)
            && kept_at_rest(engine.as_ref(), &key, &services).await
        {
            if let Some(logs) = logs.take() {
                logs.store().await;
                logs.finish(Duration::ZERO).await;
            }
            match kept.write(&dir) {
                Ok(()) => {
                    context.live.observer.progress(&context.live.id, &job, "kept its containers");
                    return;
                }
                Err(error) => {
                    let line = format!("its containers can't be kept: {}: {error}", dir.display());
                    context.say(Some(&job), &line).await;
                }
            }
        }
        let removal = async {
            if let Some(logs) = &logs {
                logs.store().await;
            }
            loop {
                match engine.remove(&key).await {
                    // It may be back in a moment.
                    Err(EngineError::Gone(_)) => tokio::time::sleep(AGAIN).await,
                    removed => return removed.err().map(|error| error.to_string()),
                }
            }
        };
        let forced = async {
            context.force.cancelled().await;
            lease::over(engine.as_ref(), PARTING).await
        };
        let failed = tokio::select! {
            failed = removal => failed,
            reason = lease::over(engine.as_ref(), lease) => Some(reason),
            reason = forced => Some(reason),
            () = tokio::time::sleep(REMOVAL) => Some(format!("it took longer than {} s", REMOVAL.as_secs())),
        };
        if let Some(logs) = logs {
            // Their containers are gone, and what they have said is on its way.
            logs.finish(PARTING).await;
        }
        if let Some(reason) = failed {
            let left = format!("its containers ({key}) could not be removed and are left behind: {reason}");
            context
                .say(Some(&job), &format!("{left}; `monkeyci-host gc` removes them, and so does the next build"))
                .await;
        }
        // It goes with the build's directory at the latest.
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// The attempt of a job that is over and has failed; `None` of one that is tried again.
fn failed(context: &JobContext, job: &str) -> Option<Kept> {
    let state = context.live.state();
    let known = state.job(job)?;
    let failed = known.status.is_final() && known.ending.as_ref().is_some_and(|ending| ending.status().is_failed());
    failed.then(|| Kept { job: job.to_owned(), attempt: known.attempt })
}

/// Stops what still runs of a pod: its services. False where it can't be kept.
async fn kept_at_rest(engine: &dyn Engine, key: &str, services: &[ServiceSpec]) -> bool {
    let rest = engine.rest(key, services, GRACE);
    tokio::select! {
        rested = rest => match rested {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, key, "a failed job's containers can't be kept");
                false
            }
        },
        reason = lease::over(engine, PARTING) => {
            tracing::warn!(reason, key, "a failed job's containers can't be kept");
            false
        }
    }
}
