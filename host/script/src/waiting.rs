//! What an action waits for, and how its instance gives way meanwhile.
//!
//! An instance that waits leaves its slot to others. When too many wait, or somebody wants the memory that it has, it is dropped: what it
//! was told is recorded, so another instance is made in its place when what it waits for has come. One that can't be made anew, since it
//! is in the middle of writing an artifact, stays.

use std::time::{Duration, Instant};

use monkeyci_api::{Client, ClientError, EventQuery, WaitQuery};

use crate::host::ONE_REQUEST;
use crate::slots::{Slot, TooManyWait, Waiting};
use crate::store::State;

/// What an action waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) what: Awaited,
    /// How long at most.
    pub(crate) until: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(crate) enum Awaited {
    Jobs(WaitQuery),
    Events(EventQuery),
    Time,
}

/// The instance is dropped, and will be made anew.
#[derive(Debug, thiserror::Error)]
#[error("the action waits without an instance")]
pub(crate) struct Suspended;

impl Wait {
    /// What has come, as JSON. Who only looks does not wait.
    pub(crate) async fn look(&self, client: &Client) -> Result<Option<Vec<u8>>, ClientError> {
        self.ask(client, Duration::ZERO).await
    }

    /// Waits until something has come, or the time is over.
    pub(crate) async fn over(&self, client: &Client) -> Result<Vec<u8>, ClientError> {
        loop {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            if let Awaited::Time = self.what {
                tokio::time::sleep(left.unwrap_or_default()).await;
                return Ok(Vec::new());
            }
            if let Some(came) = self.ask(client, left.unwrap_or(ONE_REQUEST).min(ONE_REQUEST)).await? {
                return Ok(came);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return self.nothing(client).await;
            }
        }
    }

    async fn ask(&self, client: &Client, wait: Duration) -> Result<Option<Vec<u8>>, ClientError> {
        let wait_ms = wait.as_millis() as u64;
        match &self.what {
            Awaited::Jobs(query) => {
                let query = WaitQuery { wait_ms, ..query.clone() };
                let over = client.wait_for_jobs(&query).await?;
                over.map(|over| json(&Some(over))).transpose()
            }
            Awaited::Events(query) => {
                let page = client.events(&EventQuery { wait_ms, ..query.clone() }).await?;
                (!page.events.is_empty()).then(|| json(&page)).transpose()
            }
            Awaited::Time => Ok(None),
        }
    }

    /// What there is to say when nothing has come.
    pub(crate) async fn nothing(&self, client: &Client) -> Result<Vec<u8>, ClientError> {
        match &self.what {
            Awaited::Events(query) => json(&client.events(&EventQuery { wait_ms: 0, ..query.clone() }).await?),
            Awaited::Jobs(_) | Awaited::Time => json(&None::<String>),
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(value).map_err(|error| ClientError::Malformed(error.to_string()))
}

impl State {
    /// Whether another instance could take this one's place.
    pub(crate) fn may_be_made_anew(&self) -> bool {
        self.acts() && self.tape.is_kept() && self.refining.is_none() && self.open_writers == 0
    }

    /// Leaves the instance's slot to others, until [`go_on`](Self::go_on): it waits. Where too many wait, it is dropped, if it can be made
    /// anew for `wait`.
    pub(crate) fn begin_to_wait(
        &mut self,
        wait: Option<&Wait>,
    ) -> wasmtime::Result<Result<Option<Waiting>, (u16, String)>> {
        let given_up = self.slot.as_mut().map(Slot::give_up).transpose();
        let anew = wait.is_some() && self.may_be_made_anew();
        match given_up {
            Ok(given_up) => {
                self.meter.memory.waits(anew);
                Ok(Ok(given_up))
            }
            Err(TooManyWait) if anew => Err(self.suspend(wait.cloned())),
            Err(TooManyWait) => {
                let limit = self.limits.waiting_instances;
                let message = format!("{limit} actions wait on this host already; let some end first");
                Ok(Err((429, message)))
            }
        }
    }

    /// Takes a slot again.
    pub(crate) async fn go_on(&mut self, waiting: Option<Waiting>) {
        // Who waits for a slot gives no way any more: one that has it may wait for this one's memory.
        self.meter.memory.waits(false);
        if let (Some(slot), Some(waiting)) = (&mut self.slot, waiting) {
            slot.take_again(waiting).await;
        }
        self.meter.memory.runs();
    }

    /// Drops the instance, which waits for this.
    pub(crate) fn suspend(&mut self, wait: Option<Wait>) -> wasmtime::Error {
        self.suspended = wait;
        Suspended.into()
    }

    /// Waits for this, while others may have the instance's slot and memory. What comes is JSON.
    pub(crate) async fn wait_until(
        &mut self,
        wait: Wait,
    ) -> wasmtime::Result<Result<Result<Vec<u8>, ClientError>, (u16, String)>> {
        let waiting = match self.begin_to_wait(Some(&wait))? {
            Ok(waiting) => waiting,
            Err(error) => return Ok(Err(error)),
        };
        // That it waits is an event; what it was told has to stand before it.
        self.keep().await?;
        let (client, gives_way) = (self.client.clone(), self.may_be_made_anew());
        let wanted = self.meter.memory.wanted();
        let came = tokio::select! {
            biased;
            came = wait.over(&client) => Some(came),
            () = wanted, if gives_way => None,
        };
        match came {
            Some(came) => {
                self.go_on(waiting).await;
                Ok(Ok(came))
            }
            None => Err(self.suspend(Some(wait))),
        }
    }
}
