//! What an action waits for, and how its instance gives way meanwhile.
//!
//! An instance that waits leaves its slot to others. When too many wait, or somebody wants the memory that it has, it is dropped: what it
//! was told is recorded, so another instance is made in its place when what it waits for has come. One that can't be made anew, since it
//! is in the middle of writing an artifact, stays.

use std::time::Duration;

use monkeyci_api::{Client, ClientError, EventQuery, WaitQuery};
use tokio::time::Instant;

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

/// What there is to say of what is waited for.
pub(crate) struct Looked {
    /// Whether it has come.
    pub(crate) came: bool,
    /// What has come, or that nothing has.
    pub(crate) json: Vec<u8>,
}

impl Wait {
    /// What has come. Who only looks does not wait.
    pub(crate) async fn look(&mut self, client: &Client) -> Result<Looked, ClientError> {
        self.ask(client, Duration::ZERO).await
    }

    /// Waits until something has come, or the time is over.
    pub(crate) async fn over(mut self, client: &Client) -> Result<Vec<u8>, ClientError> {
        loop {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            if let Awaited::Time = self.what {
                tokio::time::sleep(left.unwrap_or_default()).await;
                return Ok(Vec::new());
            }
            let looked = self.ask(client, left.unwrap_or(ONE_REQUEST).min(ONE_REQUEST)).await?;
            if looked.came || left.is_some_and(|left| left <= ONE_REQUEST) {
                return Ok(looked.json);
            }
        }
    }

    async fn ask(&mut self, client: &Client, wait: Duration) -> Result<Looked, ClientError> {
        // Who waits for less than a millisecond waits for one: no sooner is it over.
        let wait_ms = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        match &mut self.what {
            Awaited::Jobs(query) => {
                let over = client.wait_for_jobs(&WaitQuery { wait_ms, ..query.clone() }).await?;
                Ok(Looked { came: over.is_some(), json: json(&over)? })
            }
            Awaited::Events(query) => {
                let page = client.events(&EventQuery { wait_ms, ..query.clone() }).await?;
                // What has been seen is not looked through again.
                query.after = Some(page.seen);
                Ok(Looked { came: !page.events.is_empty(), json: json(&page)? })
            }
            Awaited::Time => Ok(Looked { came: false, json: Vec::new() }),
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

    /// Takes a slot again. Who has one may lack the memory of this instance: it is dropped then also, if it can be made anew for `wait`, and
    /// what has come comes again.
    pub(crate) async fn go_on(&mut self, waiting: Option<Waiting>, wait: Option<&Wait>) -> wasmtime::Result<()> {
        let anew = wait.filter(|_| self.may_be_made_anew());
        let wanted = self.meter.memory.wanted();
        if let (Some(slot), Some(waiting)) = (&mut self.slot, waiting) {
            tokio::select! {
                biased;
                () = slot.take_again(waiting) => {}
                () = wanted, if anew.is_some() => return Err(self.suspend(anew.cloned())),
            }
        }
        self.meter.memory.runs();
        Ok(())
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
        // That it waits is an event; what it was told has to stand before it.
        self.keep().await?;
        let waiting = match self.begin_to_wait(Some(&wait))? {
            Ok(waiting) => waiting,
            Err(error) => return Ok(Err(error)),
        };
        let (client, gives_way) = (self.client.clone(), self.may_be_made_anew());
        let wanted = self.meter.memory.wanted();
        let came = tokio::select! {
            biased;
            came = wait.clone().over(&client) => Some(came),
            () = wanted, if gives_way => None,
        };
        match came {
            Some(came) => {
                self.go_on(waiting, Some(&wait)).await?;
                Ok(Ok(came))
            }
            None => Err(self.suspend(Some(wait))),
        }
    }
}
