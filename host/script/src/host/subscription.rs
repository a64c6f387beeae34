//! `events`, the reading side: subscriptions.

use std::collections::VecDeque;

use monkeyci_api::{EventPage, EventQuery};
use monkeyci_build::{Event, EventBody};
use wasmtime::component::Resource;

use super::guest_error;
use crate::bindings::monkeyci::script::events::{HostEvent, HostSubscription};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;
use crate::waiting::Awaited;

/// A guest's place in the journal of its build.
#[derive(Debug)]
pub struct Subscription {
    query: EventQuery,
    /// Events that have arrived, and that the guest has not taken yet.
    ready: VecDeque<Event>,
}

impl State {
    fn set_query(
        &mut self,
        subscription: &Resource<Subscription>,
        bytes: usize,
        set: impl FnOnce(&mut EventQuery),
    ) -> wasmtime::Result<()> {
        self.count_call()?;
        self.count_bytes(bytes)?;
        let subscription = self.table.get_mut(subscription)?;
        set(&mut subscription.query);
        // What has arrived was asked for in other words.
        if let Some(first) = subscription.ready.front() {
            subscription.query.after = Some(first.seq.saturating_sub(1));
            subscription.ready.clear();
        }
        Ok(())
    }
}

impl HostSubscription for State {
    async fn new(&mut self) -> wasmtime::Result<Resource<Subscription>> {
        if !self.acts() {
            wasmtime::bail!("only an action may subscribe to events");
        }
        // "From now on" is this moment, and not when the guest first asks. An error comes up again with the first event.
        let client = self.client.clone();
        let now = async move || client.events(&EventQuery::default()).await.map(|page| page.seen);
        let now = self.told("events.subscribe".to_owned(), now).await?.ok();
        let query = EventQuery { after: now, ..EventQuery::default() };
        Ok(self.table.push(Subscription { query, ready: VecDeque::new() })?)
    }

    async fn from_start(&mut self, subscription: Resource<Subscription>) -> wasmtime::Result<()> {
        self.set_query(&subscription, 0, |query| query.after = Some(0))?;
        // Also when events had arrived.
        self.table.get_mut(&subscription)?.query.after = Some(0);
        Ok(())
    }

    async fn kind(&mut self, subscription: Resource<Subscription>, kind: String) -> wasmtime::Result<()> {
        self.set_query(&subscription, kind.len(), |query| query.kinds.push(kind))
    }

    async fn named(&mut self, subscription: Resource<Subscription>, name: String) -> wasmtime::Result<()> {
        self.set_query(&subscription, name.len(), |query| query.names.push(name))
    }

    async fn of_job(&mut self, subscription: Resource<Subscription>, id: String) -> wasmtime::Result<()> {
        self.set_query(&subscription, id.len(), |query| query.jobs.push(id))
    }

    async fn next(
        &mut self,
        subscription: Resource<Subscription>,
        timeout: u64,
    ) -> wasmtime::Result<Result<Option<Resource<Event>>, Error>> {
        self.count_call()?;
        if self.table.get_mut(&subscription)?.ready.is_empty() {
            let query = EventQuery { wait_ms: 0, ..self.table.get(&subscription)?.query.clone() };
            let EventQuery { after, kinds, names, jobs, .. } = &query;
            let request = format!("subscription.next(after {after:?}, of {kinds:?} {names:?} {jobs:?}, {timeout} ms)");
            let page = match self.waited(request, Awaited::Events(query), Some(timeout)).await? {
                Ok(page) => serde_json::from_slice::<EventPage>(&page)?,
                Err(failure) => return self.fails(guest_error(failure)),
            };
            let listening = self.table.get_mut(&subscription)?;
            listening.query.after = Some(page.seen);
            listening.ready.extend(page.events);
        }
        let Some(bytes) = self.table.get(&subscription)?.ready.front().map(size) else { return Ok(Ok(None)) };
        if let Err(error) = self.hold(bytes)? {
            return self.fails(error);
        }
        let event = self.table.get_mut(&subscription)?.ready.pop_front();
        Ok(Ok(event.map(|event| self.table.push(event)).transpose()?))
    }

    async fn drop(&mut self, subscription: Resource<Subscription>) -> wasmtime::Result<()> {
        self.table.delete(subscription)?;
        Ok(())
    }
}

/// About how many bytes it takes to hold an event.
fn size(event: &Event) -> usize {
    serde_json::to_vec(event).map_or(0, |json| json.len())
}

impl HostEvent for State {
    async fn seq(&mut self, event: Resource<Event>) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.table.get(&event)?.seq)
    }

    async fn time(&mut self, event: Resource<Event>) -> wasmtime::Result<u64> {
        self.count_call()?;
        Ok(self.table.get(&event)?.time_ms)
    }

    async fn kind(&mut self, event: Resource<Event>) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.table.get(&event)?.body.kind().to_owned())
    }

    async fn name(&mut self, event: Resource<Event>) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.table.get(&event)?.body.published().map(|(name, _)| name.to_owned()))
    }

    async fn job(&mut self, event: Resource<Event>) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.table.get(&event)?.body.job().map(str::to_owned))
    }

    async fn payload(&mut self, event: Resource<Event>) -> wasmtime::Result<String> {
        self.count_call()?;
        let event = self.table.get(&event)?;
        Ok(match &event.body {
            EventBody::ScriptEvent { payload, .. } | EventBody::OutsideEvent { payload, .. } => payload.clone(),
            _ => serde_json::to_string(event)?,
        })
    }

    async fn drop(&mut self, event: Resource<Event>) -> wasmtime::Result<()> {
        let event = self.table.delete(event)?;
        self.let_go(size(&event));
        Ok(())
    }
}
