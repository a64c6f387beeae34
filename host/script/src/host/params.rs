//! `params`: the build's parameters.

use super::{failure, guest_error};
use crate::bindings::monkeyci::script::{params::Host, types::Error};
use crate::store::State;
use crate::transcript::{Answer, Divergence};

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.count_call()?;
        let request = format!("params.get({name:?})");
        let value = match self.mode.replay(&request)? {
            Some(Answer::Param(value)) => value,
            Some(Answer::Done(_)) => return Err(Divergence(request).into()),
            None => {
                let value = self.client.param(&name).await.map_err(|error| failure(&error));
                let answer = value.as_ref().map_or(0, |value| value.as_ref().map_or(0, String::len));
                self.count_recorded(request.len() + answer)?;
                self.mode.record(request, Answer::Param(value.clone()));
                value
            }
        };
        Ok(value.map_err(guest_error))
    }
}
