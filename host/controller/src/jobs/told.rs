//! What actions are told: kept in the journal of their build, for whoever goes on with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use monkeyci_build::{CommandError, ToldCall};
use monkeyci_script::{Digests, Keeper, NotKept, Recording};

use super::JobContext;
use super::attempts::BegunBy;
use crate::lock::lock;
use crate::running::{self, BuildHandle, Refused};

/// What actions were told by a process that has died, by their jobs.
#[derive(Debug, Default)]
pub(crate) struct ToldActions(Mutex<BTreeMap<String, Vec<ToldCall>>>);

impl ToldActions {
    pub(crate) fn set(&self, told: BTreeMap<String, Vec<ToldCall>>) {
        *lock(&self.0) = told;
    }
}

/// Keeps what an attempt of an action is told.
struct ForAttempt {
    live: Arc<BuildHandle>,
    job: String,
    attempt: u32,
    /// The key of digests.
    key: Arc<str>,
}

impl Keeper for ForAttempt {
    fn keep(&self, calls: Vec<ToldCall>, durably: bool) -> BoxFuture<'_, Result<(), NotKept>> {
        let tell = async move {
            let told = self.live.tell(&self.job, self.attempt, calls, durably).await;
            told.map_err(|refused| match refused {
                Refused::Command(error @ CommandError::ToldUsedUp) => NotKept::UsedUp(error.to_string()),
                Refused::Command(_) | Refused::Over(_) => NotKept::Over,
            })
        };
        tell.boxed()
    }
}

impl Digests for ForAttempt {
    fn digest(&self, bytes: &[u8]) -> String {
        running::Digests { key: &self.key, build: &self.live.id }.of("told", &self.job, bytes)
    }

    fn has_secret(&self, bytes: &[u8]) -> bool {
        self.live.masking.is_in(bytes)
    }

    fn masked(&self, text: &str) -> String {
        self.live.masking.text(text)
    }
}

impl JobContext {
    /// What an attempt was told before, if another process began it, and who keeps what it is told from now on. What that process has
    /// written for it is gone then.
    ///
    /// # Errors
    /// When that can't be removed.
    pub(super) async fn recording(&self, job: &str, attempt: u32, begun: BegunBy) -> std::io::Result<Recording> {
        let told = lock(&self.told.0).remove(job).filter(|_| begun == BegunBy::Another).unwrap_or_default();
        // Not only then: what completes a late job may have written something.
        self.live.clear_output_area(job, attempt).await?;
        let (live, job, key) = (self.live.clone(), job.to_owned(), self.digest_key.clone());
        Ok(Recording { keeper: Some(Arc::new(ForAttempt { live, job, attempt, key })), told })
    }
}
