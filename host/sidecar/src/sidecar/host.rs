//! The host, as a sidecar reaches it: by the build API, and with patience.
//!
//! A host may die, and another one goes on with the build. The job runs on meanwhile, and whatever its sidecar asks or tells waits until
//! somebody answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use monkeyci_api::{Client, ClientError};
use tokio::sync::watch;

/// How long to wait until a host that is away is asked again.
pub(super) const AGAIN: Duration = Duration::from_millis(200);
/// How long a host is waited for at least: one that is being restarted is back by then.
const LEAST: Duration = Duration::from_secs(10);

/// The build API, for a job.
#[derive(Clone, Debug)]
pub(super) struct Host {
    client: Client,
    /// The job's id.
    job: String,
    patience: Duration,
    /// Whether the job's own command runs, or has run.
    runs: Arc<AtomicBool>,
    /// Whether another host may have come, which does not know that.
    other: Arc<AtomicBool>,
    /// It was away for too long, and is not waited for any more.
    gone: Arc<watch::Sender<bool>>,
}

impl Host {
    pub(super) fn new(client: Client, job: String, patience: Duration) -> Self {
        Self {
            client,
            job,
            patience: patience.max(LEAST),
            runs: Arc::default(),
            other: Arc::default(),
            gone: Arc::default(),
        }
    }

    /// The job's own command runs now.
    pub(super) async fn command_runs(&self) -> Result<(), ClientError> {
        self.ask(async |client| client.job_running(&self.job).await).await?;
        self.runs.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A connection broke: who comes next may be another host.
    pub(super) fn broke_off(&self) {
        self.other.store(true, Ordering::Relaxed);
    }

    /// Tells a host that may have come after another one what that may not have written down: that the command runs. Whoever has it
    /// written down hears nothing new.
    pub(super) async fn introduce(&self) {
        if self.other.load(Ordering::Relaxed)
            && self.runs.load(Ordering::Relaxed)
            && !self.client.job_running(&self.job).await.is_err_and(|error| error.is_away())
        {
            self.other.store(false, Ordering::Relaxed);
        }
    }

    /// Whether it was away for too long.
    pub(super) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Returns when it was away for too long.
    pub(super) async fn gone(&self) {
        // Its sender is here.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// The client, for what waits in its own way.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// For how long a host that is away is waited for.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for a moment, since it is away.
    ///
    /// # Errors
    /// When it was so for too long.
    pub(super) async fn wait(&self, away: &mut Away, error: ClientError) -> Result<(), ClientError> {
        self.broke_off();
        let since = *away.since.get_or_insert_with(Instant::now);
        if self.is_gone() || since.elapsed() >= self.patience {
            self.gone.send_replace(true);
            return Err(error);
        }
        tokio::time::sleep(AGAIN).await;
        Ok(())
    }

    /// Calls until the host has answered. The same call may come twice: the answer to the first may be what got lost.
    ///
    /// # Errors
    /// What the host said, or that it was away for too long.
    pub(super) async fn ask<T>(&self, call: impl AsyncFn(&Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut away = Away::default();
        loop {
            self.introduce().await;
            match call(&self.client).await {
                Err(error) if error.is_away() => self.wait(&mut away, error).await?,
                answered => return answered,
            }
        }
    }
}

/// Since when the host is away.
#[derive(Debug, Default)]
pub(super) struct Away {
    since: Option<Instant>,
}

impl Away {
    /// It has answered.
    pub(super) fn is_back(&mut self) {
        self.since = None;
    }
}
