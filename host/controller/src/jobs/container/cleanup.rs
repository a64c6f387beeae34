//! Pod cleanup: what a job leaves is removed, later than the job ends, so that the jobs that wait for it do not wait for that too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use monkeyci_build::ServiceSpec;
use monkeyci_engines::{Engine, EngineError};

use super::kept::Kept;
use super::services::ServiceLogs;
use super::{GRACE, PARTING, forget_service_env};
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
    pub(super) attempt: u32,
    /// What still follows the output of its services.
    pub(super) logs: Option<ServiceLogs>,
    /// How long the engine may be away.
    pub(super) lease: Duration,
}

impl PodCleanup {
    /// Removes the pod, or tells where it is.
    pub(in crate::jobs) async fn run(self, context: &JobContext) {
        let Self { engine, key, job, services, dir, attempt, mut logs, lease } = self;
        let of = (key.as_str(), job.as_str(), attempt);
        if context.request.keep {
            context.live.observer.progress(&context.live.id, &job, &format!("kept its containers: {key}"));
            // Its services run on, and have read theirs.
            if let Err(error) = forget_service_env(&dir, &services) {
                context.say(Some(&job), &format!("secrets of its services are left on disk: {error}")).await;
            }
            take_in(context, &engine, of, &services, (logs, Duration::ZERO)).await;
            return;
        }
        if context.request.keep_failed
            && let Some(kept) = failed(context, &job)
        {
            // First of all: whoever goes on after a crash leaves alone what is to be kept.
            let resting = again(|| engine.rest(&key, &services, GRACE));
            let rested = match kept.write(&dir) {
                Ok(()) => {
                    let rested = within(context, engine.as_ref(), lease, resting).await;
                    rested.and_then(|()| match forget_service_env(&dir, &services) {
                        Ok(_) => Ok(()),
                        Err(error) => Err(error.to_string()),
                    })
                }
                Err(error) => Err(format!("{}: {error}", dir.display())),
            };
            match rested {
                Ok(()) => {
                    take_in(context, &engine, of, &services, (logs.take(), PARTING)).await;
                    context.live.observer.progress(&context.live.id, &job, "kept its containers");
                    return;
                }
                Err(reason) => {
                    Kept::forget(&dir);
                    context.say(Some(&job), &format!("its containers can't be kept: {reason}")).await;
                }
            }
        }
        let removal = async {
            // What is in a container that is removed is nowhere else, and an engine tells it late: the output of one that has
            // stopped has an end.
            if !services.is_empty() {
                let stopped = again(|| engine.rest(&key, &services, Duration::ZERO)).await.is_ok();
                let patience = if stopped { PARTING } else { Duration::ZERO };
                take_in(context, &engine, of, &services, (logs, patience)).await;
            }
            again(|| engine.remove(&key)).await
        };
        let failed = within(context, engine.as_ref(), lease, removal).await.err();
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

/// Stores what the services of a pod have written: what is still under way to those who follow it, and what nobody has followed to its
/// end.
async fn take_in(
    context: &JobContext,
    engine: &Arc<dyn Engine>,
    of: (&str, &str, u32),
    services: &[ServiceSpec],
    (logs, patience): (Option<ServiceLogs>, Duration),
) {
    let is_whole = match logs {
        Some(logs) => logs.finish(patience).await,
        None => false,
    };
    if !is_whole && let Some(rest) = ServiceLogs::catch_up(context, engine, of, services) {
        rest.finish(PARTING).await;
    }
}

/// The attempt of a job that is over and has failed; `None` of one that is tried again.
fn failed(context: &JobContext, job: &str) -> Option<Kept> {
    let state = context.live.state();
    let known = state.job(job)?;
    let failed = known.status.is_final() && known.ending.as_ref().is_some_and(|ending| ending.status().is_failed());
    failed.then(|| Kept { job: job.to_owned(), attempt: known.attempt })
}

/// Asks an engine that is away once more: it may be back in a moment.
async fn again<'a>(ask: impl Fn() -> BoxFuture<'a, Result<(), EngineError>>) -> Result<(), String> {
    loop {
        match ask().await {
            Err(EngineError::Gone(_)) => tokio::time::sleep(AGAIN).await,
            done => return done.map_err(|error| error.to_string()),
        }
    }
}

/// Lets this go on for as long as the engine is there and nobody is in a hurry, or says why it does not.
async fn within(
    context: &JobContext,
    engine: &dyn Engine,
    lease: Duration,
    done: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let forced = async {
        context.force.cancelled().await;
        lease::over(engine, PARTING).await
    };
    tokio::select! {
        biased;
        done = done => done,
        reason = lease::over(engine, lease) => Err(reason),
        reason = forced => Err(reason),
        () = tokio::time::sleep(REMOVAL) => Err(format!("it took longer than {} s", REMOVAL.as_secs())),
    }
}
