//! The builds that this host drives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use monkeyci_storage::journal::Durable;
use tokio::sync::watch;

use crate::error::ControllerError;
use crate::jobs::JobContext;
use crate::lock::lock;
use crate::running::{BuildHandle, BuildReport, Cancel};

/// What came of a build that this host drove.
pub(super) type Outcome = Result<BuildReport, Arc<ControllerError>>;

/// A build that this host drives.
pub(super) struct DrivenBuild {
    pub(super) live: Arc<BuildHandle>,
    pub(super) context: Arc<JobContext>,
    pub(super) cancel: Cancel,
    /// Tells how much of its journal is on disk.
    pub(super) durable: Durable,
    /// Set when it is driven no more.
    pub(super) ended: watch::Receiver<Option<Outcome>>,
}

impl DrivenBuild {
    /// Waits until it is driven no more.
    pub(super) async fn over(&self) {
        // Also when whoever was to say so has gone.
        let _ = self.ended.clone().wait_for(Option::is_some).await;
    }
}

/// The builds that a host drives.
#[derive(Default)]
pub(super) struct Driven(Mutex<Known>);

#[derive(Default)]
struct Known {
    builds: HashMap<String, Arc<DrivenBuild>>,
    closed: bool,
}

impl Driven {
    /// A build that is driven now.
    pub(super) fn get(&self, id: &str) -> Option<Arc<DrivenBuild>> {
        lock(&self.0).builds.get(id).cloned()
    }

    /// All that are driven now.
    pub(super) fn all(&self) -> Vec<Arc<DrivenBuild>> {
        lock(&self.0).builds.values().cloned().collect()
    }

    /// Whether new ones are taken.
    ///
    /// # Errors
    /// When not.
    pub(super) fn is_open(&self) -> Result<(), ControllerError> {
        if lock(&self.0).closed { Err(ControllerError::ShuttingDown) } else { Ok(()) }
    }

    /// Takes nothing new from now on.
    pub(super) fn close(&self) {
        lock(&self.0).closed = true;
    }

    /// Drives a build.
    ///
    /// # Errors
    /// When the host takes nothing new.
    pub(super) fn insert(&self, build: DrivenBuild) -> Result<(), ControllerError> {
        let mut known = lock(&self.0);
        if known.closed {
            return Err(ControllerError::ShuttingDown);
        }
        known.builds.insert(build.live.id.clone(), Arc::new(build));
        Ok(())
    }

    /// Drives a build no more.
    pub(super) fn remove(&self, id: &str) {
        lock(&self.0).builds.remove(id);
    }
}
