//! The end of a host.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use monkeyci_build::BuildCommand;

use super::Host;
use super::driven::DrivenBuild;

/// How long builds that are killed may take to remove what they have made, and those that are let go of to have written what happened.
const KILLED: Duration = Duration::from_secs(10);

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
        self.0.driven.close();
        let builds = self.0.driven.all();
        match mode {
            Shutdown::Drain => drop(tokio::time::timeout(deadline, all_over(&builds)).await),
            Shutdown::Stop => {
                let stop = builds.iter().map(|build| {
                    let by = "the host's shutdown".to_owned();
                    // One that is over is stopped.
                    async move { drop(build.live.command(BuildCommand::Cancel { by }).await) }
                });
                let stopped = async { drop(tokio::join!(join_all(stop), all_over(&builds))) };
                if tokio::time::timeout(deadline, stopped).await.is_err() {
                    builds.iter().for_each(|build| build.cancel.force());
                    drop(tokio::time::timeout(KILLED, all_over(&builds)).await);
                }
            }
            Shutdown::Leave => {}
        }
        let open: Vec<_> = builds.iter().filter(|build| build.ended.borrow().is_none()).collect();
        if !open.is_empty() {
            // Before anything of a build ends here: no sidecar shall hear that its build is over.
            self.0.services.api.cut();
            open.iter().for_each(|build| build.context.cut_connections());
            open.iter().for_each(|build| build.cancel.let_go.cancel());
            drop(tokio::time::timeout(KILLED, all_over(&builds)).await);
        }
        // Who tells the sinks is done with what is in the journal now.
        self.0.closed.cancel();
        self.0.telling.close();
        drop(tokio::time::timeout(KILLED, self.0.telling.wait()).await);
        let mut report = ShutdownReport::default();
        for build in builds {
            let has_ended = matches!(&*build.ended.borrow(), Some(Ok(_)));
            let list = if has_ended { &mut report.ended } else { &mut report.left };
            list.push(build.live.id.clone());
        }
        report.ended.sort();
        report.left.sort();
        report
    }
}

async fn all_over(builds: &[Arc<DrivenBuild>]) {
    join_all(builds.iter().map(|build| build.over())).await;
}
