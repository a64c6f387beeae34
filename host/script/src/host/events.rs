//! `events`: telling the world what happens.

use monkeyci_api::ClientError;

use super::{failure, guest_error};
use crate::bindings::monkeyci::script::{
    events::{Host, Level},
    types::Error,
};
use crate::store::State;
use crate::transcript::{Answer, Divergence};

impl Host for State {
    async fn publish(&mut self, name: String, payload: String) -> wasmtime::Result<Result<(), Error>> {
        let request = format!("events.publish({name:?}, {payload:?})");
        let client = self.client.clone();
        self.once(request, async move || client.publish(&name, &payload).await).await
    }

    async fn report(&mut self, message: String) -> wasmtime::Result<Result<(), Error>> {
        let request = format!("events.report({message:?})");
        let client = self.client.clone();
        self.once(request, async move || client.report(&message).await).await
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

impl State {
    /// Makes a call that has an effect: once for a build, however often `define` runs.
    async fn once(
        &mut self,
        request: String,
        call: impl AsyncFnOnce() -> Result<(), ClientError>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        let done = match self.mode.replay(&request)? {
            Some(Answer::Done(done)) => done,
            Some(Answer::Param(_)) => return Err(Divergence(request).into()),
            None => {
                self.count_recorded(request.len())?;
                let done = call().await.map_err(|error| failure(&error));
                self.mode.record(request, Answer::Done(done.clone()));
                done
            }
        };
        Ok(done.map_err(guest_error))
    }
}
