//! `events`, the writing side: telling the world what happens.

use crate::bindings::monkeyci::script::{
    events::{Host, Level},
    types::Error,
};
use crate::host::Does;
use crate::store::State;

impl Host for State {
    async fn publish(&mut self, name: String, payload: String) -> wasmtime::Result<Result<(), Error>> {
        let request = format!("events.publish({name:?}, {payload:?})");
        let client = self.client.clone();
        self.told_of(Does::Effect, request, async move || client.publish(&name, &payload).await).await
    }

    async fn report(&mut self, message: String) -> wasmtime::Result<Result<(), Error>> {
        let request = format!("events.report({message:?})");
        let client = self.client.clone();
        self.told_of(Does::Effect, request, async move || client.report(&message).await).await
    }

    async fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.count_call()?;
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.log.line(&format!("[{level}] {message}")).await;
        Ok(())
    }
}
