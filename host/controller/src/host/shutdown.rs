//! The end of a host.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::{StreamExt, stream};
use tokio::sync::watch;

use super::Host;
use super::driven::Outcome;
use super::parked::StopError;

/// How long builds that are killed may take to remove what they have made, and those that are let go of to have written what happened.
const KILLED: Duration = Duration::from_secs(10);

/// How many parked builds are brought back at once, to be stopped.
const BROUGHT_BACK: usize = 64;

/// What becomes of the builds that run when a host shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// They run to their ends. Those that have not ended at the deadline are let go of.
    Drain,
    /// They are stopped, as [`Build::cancel`](super::Build::cancel) does; at the deadline their jobs are killed.
    Stop,
    /// They are let go of: their containers run on and wait for the host that goes on with them
    /// ([`Host::resume`]), in this process or another one.
    Leave,
}

/// What became of the builds that ran when a host was shut down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Those that have ended, sorted.
    pub ended: Vec<String>,
    /// Those that have not, and that can be resumed, sorted.
    pub left: Vec<String>,
}

impl Host {
    /// Shuts the host down: it takes no new builds, and what becomes of those that run says `mode`. When this returns, it drives none any
    /// more, and the streams of their events have ended. Whoever serves those over HTTP calls this first, and then has their server stop.
    pub async fn shutdown(&self, mode: Shutdown, deadline: Duration) -> ShutdownReport {
        let known = &self.0.driven;
        let (mut driven, mut parked, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for (id, is_parked, ended) in known.close() {
            let list = if is_parked { &mut parked } else { &mut driven };
            list.push(id.clone());
            all.push((id, ended));
        }
        match mode {
            Shutdown::Drain => drop(tokio::time::timeout(deadline, all_ended(&all)).await),
            Shutdown::Stop => {
                let stopped = self.stop_all(driven, parked, all_ended(&all));
                if tokio::time::timeout(deadline, stopped).await.is_err() {
                    known.all().iter().for_each(|build| build.cancel.force());
                    drop(tokio::time::timeout(KILLED, all_ended(&all)).await);
                }
            }
            Shutdown::Leave => {}
        }
        let open = known.leave();
        if !open.is_empty() {
            // Before anything of a build ends here: no sidecar shall hear that its build is over.
            self.0.services.api.cut();
            open.iter().for_each(|build| build.context.cut_connections());
            open.iter().for_each(|build| build.cancel.let_go.cancel());
            let over: Vec<_> = open.iter().map(|build| build.gone.clone().cancelled_owned()).collect();
            drop(tokio::time::timeout(KILLED, join_all(over)).await);
        }
        let parked: Vec<_> = known.all_parked().iter().filter_map(|id| known.let_go(id)).collect();
        // The drivers of those that were parked just now have not wound up yet, and one may be about to be brought back.
        let wound_up = join_all(parked.iter().map(|parked| parked.wound_up()));
        drop(tokio::time::timeout(KILLED, wound_up).await);
        // Who tells the sinks is done with what is in the journal now.
        self.0.closed.cancel();
        self.0.telling.close();
        drop(tokio::time::timeout(KILLED, self.0.telling.wait()).await);
        self.0.process.end().await;
        let mut report = ShutdownReport::default();
        for (id, ended) in all {
            let has_ended = matches!(&*ended.borrow(), Some(Ok(_)));
            let list = if has_ended { &mut report.ended } else { &mut report.left };
            list.push(id);
        }
        report.ended.sort();
        report.left.sort();
        report
    }
}

impl Host {
    /// Stops these builds, and waits until all are over.
    fn stop_all(
        &self,
        driven: Vec<String>,
        parked: Vec<String>,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> BoxFuture<'static, ()> {
        let stop = |id: String| -> BoxFuture<'static, ()> {
            let host = self.clone();
            Box::pin(async move {
                // One that is over is stopped.
                if let Err(error @ StopError::NotBack(_)) = host.stop(&id, "the host's shutdown", false).await {
                    tracing::warn!(%error, build = id, "a parked build can't be stopped");
                }
            })
        };
        let driven = join_all(driven.into_iter().map(stop).collect::<Vec<_>>());
        let parked: Vec<_> = parked.into_iter().map(stop).collect();
        let parked = stream::iter(parked).buffer_unordered(BROUGHT_BACK).collect::<Vec<()>>();
        Box::pin(async move { drop(tokio::join!(driven, parked, ended)) })
    }
}

/// Waits until all are over.
fn all_ended(builds: &[(String, watch::Receiver<Option<Outcome>>)]) -> impl Future<Output = ()> + use<> {
    let over: Vec<_> = builds.iter().map(|(_, ended)| ended.clone()).collect();
    async move {
        for mut ended in over {
            // Also when whoever was to say so has gone.
            let _ = ended.wait_for(Option::is_some).await;
        }
    }
}
