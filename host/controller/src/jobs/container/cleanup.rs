//! Pod cleanup: what a job leaves is removed, later than the job ends, so that the jobs that wait for it do not wait for that too.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_engines::{Engine, EngineError, Pod};

use super::PARTING;
use super::services::ServiceLogs;
use crate::jobs::JobContext;
use crate::jobs::lease::{self, AGAIN};

/// How long clearing away may take.
pub(super) const REMOVAL: Duration = Duration::from_secs(60);

/// What is left of a job that has ended: a pod that is to be removed.
pub(in crate::jobs) struct PodCleanup {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) pod: Pod,
    /// What still follows the output of its services.
    pub(super) logs: Option<ServiceLogs>,
    /// How long the engine may be away.
    pub(super) lease: Duration,
}

impl PodCleanup {
    /// Removes the pod, or tells where it is.
    pub(in crate::jobs) async fn run(self, context: &JobContext) {
        let Self { engine, pod, logs, lease } = self;
        if context.request.keep {
            context.live.observer.progress(&context.live.id, &pod.job, &format!("kept its containers: {}", pod.key));
            if let Some(logs) = logs {
                logs.finish(Duration::ZERO).await;
            }
            return;
        }
        let removal = async {
            loop {
                match engine.remove(&pod.key).await {
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
            let left = format!("its containers ({}) could not be removed and are left behind: {reason}", pod.key);
            context
                .say(Some(&pod.job), &format!("{left}; `monkeyci-host gc` removes them, and so does the next build"))
                .await;
        }
        if let Some(dir) = pod.sidecar_config.parent() {
            // Goes with the build's directory at the latest.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}
