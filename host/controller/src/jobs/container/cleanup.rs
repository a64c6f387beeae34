//! Pod cleanup: what a job leaves is removed, later than the job ends, so that the jobs that wait for it do not wait for that too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_build::JobSpec;
use monkeyci_engines::{Engine, EngineError, Pod};

use super::services::ServiceLogs;
use super::{PARTING, key};
use crate::jobs::JobContext;
use crate::jobs::engine::Left;
use crate::jobs::lease::{self, AGAIN};

/// How long clearing away may take.
pub(super) const REMOVAL: Duration = Duration::from_secs(60);

/// How many pods of a build that is gone on with are removed at once.
pub(super) const AT_ONCE: usize = 8;

/// Removes what a process that has died has left of jobs that do not go on. What their services have written is stored first.
///
/// # Errors
/// When the engine can't be asked, or something can't be removed.
pub(crate) async fn clear(context: &JobContext, left: Left) -> Result<(), EngineError> {
    let Left { engine, go_on, mut others } = left;
    let build = &context.live.id;
    let jobs: Vec<(JobSpec, u32)> = {
        let state = context.live.state();
        state.jobs().map(|(spec, known)| (spec.clone(), known.attempt)).collect()
    };
    let kept = |job: &str, attempt| (key(build, job, attempt), go_on.contains(job));
    let going_on: BTreeSet<String> = jobs
        .iter()
        .map(|(spec, attempt)| kept(&spec.id, *attempt))
        .filter_map(|(key, goes_on)| goes_on.then_some(key))
        .collect();
    let mut logs = Vec::new();
    for (spec, last) in &jobs {
        let Some(container) = spec.container() else { continue };
        for attempt in 1..=*last {
            let key = key(build, &spec.id, attempt);
            if others.contains(&key) {
                let of = (key.as_str(), spec.id.as_str(), attempt);
                logs.extend(ServiceLogs::catch_up(context, &engine, of, &container.services));
            }
        }
    }
    for log in logs {
        log.finish(PARTING).await;
    }
    while !others.is_empty() {
        let removals = stream::iter(others.iter().map(async |key| engine.remove(key).await));
        removals.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        // What the dead process asked for last may have come into being meanwhile.
        let found = engine.pods(context.services.engines.owner()).await?.into_iter();
        let found = found.filter(|pod| pod.build == *build && !going_on.contains(&pod.key));
        others = found.map(|pod| pod.key).collect();
    }
    Ok(())
}

/// What is left of a job that has ended: a pod that is to be removed.
pub(in crate::jobs) struct PodCleanup {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) pod: Pod,
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
        let Self { engine, pod, mut logs, taken_over, lease } = self;
        if let Some(attempt) = taken_over {
            if let Some(logs) = logs.take() {
                logs.finish(Duration::ZERO).await;
            }
            let of = (pod.key.as_str(), pod.job.as_str(), attempt);
            if let Some(rest) = ServiceLogs::catch_up(context, &engine, of, &pod.services) {
                rest.finish(PARTING).await;
            }
        }
        if context.request.keep {
            context.live.observer.progress(&context.live.id, &pod.job, &format!("kept its containers: {}", pod.key));
            if let Some(logs) = logs {
                logs.finish(Duration::ZERO).await;
            }
            return;
        }
        let removal = async {
            if let Some(logs) = &logs {
                logs.store().await;
            }
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
