//! What a host does beside its builds for as long as it lives: it goes on with those that have lost their hosts, and clears away.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use monkeyci_engines::EngineError;

use super::cleaning::{Removed, Retention};
use super::{Host, Inner};
use crate::error::ControllerError;
use crate::jobs::Sweep;
use crate::running::ResumeRequest;

/// How a host looks after its home. What is wrong once in a while stops nothing: it is tried again the next time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkeep {
    /// How often; every 5 minutes by default, and at once when the host opens.
    pub every: Duration,
    /// Whether builds that have lost their hosts are gone on with; they are by default. Their secrets come from the host's own
    /// [sources](super::SecretSource).
    pub resume: bool,
    /// What is kept of builds that are over, and of caches; by default, all.
    pub retention: Retention,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { every: Duration::from_secs(5 * 60), resume: true, retention: Retention::default() }
    }
}

/// What came of looking after a home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkept {
    /// The builds that are gone on with.
    pub resumed: Vec<String>,
    /// What was removed of the stores.
    pub removed: Vec<Removed>,
    /// The names of containers, networks, volumes and directories that were removed, because they were no live build's.
    pub swept: Vec<String>,
    /// What could not be done, in words, by what it is about.
    pub failed: BTreeMap<String, String>,
}

impl Host {
    /// Looks after the home once, as [`HostBuilder::upkeep`](super::HostBuilder::upkeep) has it done again and again.
    pub async fn upkeep(&self, upkeep: &Upkeep) -> Upkept {
        let mut done = Upkept::default();
        // First: what is gone on with is not cleared away.
        if upkeep.resume {
            match self.0.journals.open_builds().await {
                Ok(mut open) => {
                    match self.live_builds() {
                        Ok(live) => open.retain(|build| !live.contains(build)),
                        Err(error) => {
                            open.clear();
                            drop(
                                done.failed.insert("which builds have lost their hosts".to_owned(), error.to_string()),
                            );
                        }
                    }
                    for build in open {
                        match self.resume(ResumeRequest::new(&build, "the host's upkeep")).await {
                            Ok(_) => done.resumed.push(build),
                            Err(error) => drop(done.failed.insert(build, error.to_string())),
                        }
                    }
                }
                Err(error) => {
                    drop(done.failed.insert("builds that have lost their hosts".to_owned(), error.to_string()))
                }
            }
        }
        match self.clean(&upkeep.retention, false).await {
            Ok(removed) => done.removed = removed,
            Err(error) => drop(done.failed.insert("what is old".to_owned(), error.to_string())),
        }
        match self.collect_garbage(Sweep::default()).await {
            Ok(swept) => done.swept = swept.removed,
            // Who has no engine has nothing in it.
            Err(ControllerError::Engine(EngineError::NotFound { .. })) => {}
            Err(error) => drop(done.failed.insert("what killed builds have left".to_owned(), error.to_string())),
        }
        done
    }

    /// Looks after the home from now on, until the host shuts down or is dropped.
    pub(super) fn look_after(&self, upkeep: Upkeep) {
        let (host, closed) = (Arc::downgrade(&self.0), self.0.closed.clone());
        tokio::spawn(async move {
            let mut said = BTreeMap::new();
            while let Some(host) = alive(&host) {
                let done = tokio::select! {
                    done = host.upkeep(&upkeep) => done,
                    () = closed.cancelled() => return,
                };
                drop(host);
                tell(&done, &said);
                said = done.failed;
                tokio::select! {
                    () = tokio::time::sleep(upkeep.every) => {}
                    () = closed.cancelled() => return,
                }
            }
        });
    }
}

/// The host, if somebody has it, and it takes something new.
fn alive(host: &Weak<Inner>) -> Option<Host> {
    host.upgrade().filter(|inner| inner.driven.is_open().is_ok()).map(Host)
}

/// Says what was done, and what is wrong that was not said before.
fn tell(done: &Upkept, said: &BTreeMap<String, String>) {
    for build in &done.resumed {
        tracing::info!(build, "the build had lost its host, and goes on");
    }
    for removed in &done.removed {
        tracing::info!("removed {removed}");
    }
    if !done.swept.is_empty() {
        tracing::info!("removed what no live build owns: {}", done.swept.join(", "));
    }
    for (what, reason) in done.failed.iter().filter(|(what, reason)| said.get(*what) != Some(*reason)) {
        tracing::warn!("upkeep: {what}: {reason}");
    }
}
