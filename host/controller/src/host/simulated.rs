//! What a simulation puts in the place of a host's parts, and sees of it beside what everybody sees.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures::future::BoxFuture;
use monkeyci_api::InProcess;
use monkeyci_build::StopReason;
use monkeyci_script::Runtime;
use monkeyci_storage::Blobs;
use monkeyci_storage::journal::Journal;
use tokio::sync::watch;

use super::Host;
use crate::running::{BuildHandle, Effects, Task};

/// In the place of what a host makes itself.
#[derive(Clone)]
pub(crate) struct Substitutes {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) blobs: Blobs,
    pub(crate) runtime: Runtime,
    pub(crate) pace: Arc<dyn Pace>,
}

/// Says when something begins that may begin. What takes threads for what blocks then happens when nothing else does.
pub(crate) trait Pace: Send + Sync + 'static {
    /// Returns when it is the turn of this attempt; of no job, of getting the code (0) or asking the script for its jobs (1).
    fn turn(&self, job: &str, attempt: u32) -> BoxFuture<'static, ()>;

    /// The same of a call of the build API.
    fn call(&self) -> BoxFuture<'static, ()>;
}

/// How long the journal's writer of a simulated host waits for more to write: less than the time between two turns.
pub(super) const LINGER: Duration = Duration::from_millis(5);

/// A router that takes each call when it is its turn.
pub(super) fn paced_router(router: Router, pace: Option<&Arc<dyn Pace>>) -> Router {
    let Some(pace) = pace.cloned() else { return router };
    router.layer(from_fn(move |request: Request, next: Next| {
        let turn = pace.call();
        async move {
            turn.await;
            next.run(request).await
        }
    }))
}

impl Host {
    /// The effects of a build, each when it is its turn.
    pub(super) fn paced(&self, effects: Arc<dyn Effects>) -> Arc<dyn Effects> {
        match &self.0.pace {
            None => effects,
            Some(pace) => Arc::new(Paced { effects, pace: pace.clone() }),
        }
    }

    /// A build that it drives.
    pub(crate) fn live(&self, build: &str) -> Option<Arc<BuildHandle>> {
        self.0.driven.get(build).map(|driven| driven.live.clone())
    }

    /// The build API without a socket.
    pub(crate) fn in_process(&self) -> InProcess {
        self.0.services.api.in_process()
    }

    /// From now on it leaves what it has made as it is, as if its process had been killed.
    pub(crate) fn dies(&self) {
        self.0.home.dies();
    }
}

struct Paced {
    effects: Arc<dyn Effects>,
    pace: Arc<dyn Pace>,
}

impl Effects for Paced {
    fn check_out(self: Arc<Self>) -> Task {
        Box::pin(async move {
            self.pace.turn("", 0).await;
            self.effects.clone().check_out().await;
        })
    }

    fn define(self: Arc<Self>) -> Task {
        Box::pin(async move {
            self.pace.turn("", 1).await;
            self.effects.clone().define().await;
        })
    }

    fn refine(self: Arc<Self>, job: String, attempt: u32) -> Task {
        Box::pin(async move {
            self.pace.turn(&job, attempt).await;
            self.effects.clone().refine(job, attempt).await;
        })
    }

    fn run(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task {
        Box::pin(async move {
            self.pace.turn(&job, attempt).await;
            self.effects.clone().run(job, attempt, stop).await;
        })
    }

    fn go_on(self: Arc<Self>, job: String, attempt: u32, stop: watch::Receiver<Option<StopReason>>) -> Task {
        Box::pin(async move {
            self.pace.turn(&job, attempt).await;
            self.effects.clone().go_on(job, attempt, stop).await;
        })
    }
}
