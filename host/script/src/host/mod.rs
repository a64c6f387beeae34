//! The host's side of `monkeyci:script`, one file per interface.

mod artifacts;
mod build_info;
mod events;
mod files;
mod jobs;
mod outcomes;
mod params;
mod process;
mod results;
mod secrets;
mod services;
mod submit;
mod subscription;
mod workspace;

use std::time::Duration;

use monkeyci_api::ClientError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::monkeyci::script::types;
use crate::error::beginning;
use crate::limits::Reached;
use crate::store::State;
use crate::transcript::{Call, Mode};

pub use artifacts::ArtifactWriter;
pub(crate) use artifacts::QUEUE;
pub(crate) use files::CHUNK;
pub use files::FileReader;
pub use jobs::JobHandle;
pub use params::ParamHandle;
pub(crate) use results::{COUNT, TEXT};
pub use secrets::SecretHandle;
pub use subscription::Subscription;
pub(crate) use workspace::WHOLE;

/// How long one request to the build API waits at most; whoever wants to wait longer makes another one.
pub(crate) const ONE_REQUEST: Duration = Duration::from_secs(20);

/// How much is kept of an error that a guest was told, in bytes.
pub(crate) const LAST_ERROR: usize = 500;

impl types::Host for State {}

impl State {
    /// Counts a call. Every host function calls this first.
    ///
    /// # Errors
    /// A trap, when the script has made too many.
    fn count_call(&mut self) -> wasmtime::Result<()> {
        self.calls += 1;
        if self.calls > self.limits.calls {
            let limit = self.limits.calls;
            self.meter.reached.get_or_insert_with(|| Reached::Own(format!("its limit of {limit} calls to the host")));
            wasmtime::bail!("too many calls to the host");
        }
        Ok(())
    }
}

impl State {
    /// Asks the build API, once for a build: `define` in later instances is told what it was told the first time. So calls
    /// with an effect have it once, and every instance sees the same.
    async fn told<T: Serialize + DeserializeOwned>(
        &mut self,
        request: String,
        call: impl AsyncFnOnce() -> Result<T, ClientError>,
    ) -> wasmtime::Result<Result<T, types::Error>> {
        let answer = self
            .told_bytes(request, async move || {
                let value = call().await?;
                serde_json::to_vec(&value).map_err(|error| ClientError::Malformed(error.to_string()))
            })
            .await?;
        Ok(match answer {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) => Err(error),
        })
    }

    /// Like [`State::told`], for bytes.
    async fn told_bytes(
        &mut self,
        request: String,
        call: impl AsyncFnOnce() -> Result<Vec<u8>, ClientError>,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Error>> {
        self.count_call()?;
        let answer = match self.mode.replay(&request)? {
            Some(answer) => answer,
            None => {
                let answer = call().await.map_err(|error| failure(&error));
                if matches!(self.mode, Mode::Record(_)) {
                    let bytes = answer.as_ref().map_or(0, Vec::len);
                    self.count_bytes(size_of::<Call>() + request.len() + bytes)?;
                    self.mode.record(request, answer.clone());
                }
                answer
            }
        };
        match answer {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(failure) => self.fails(guest_error(failure)),
        }
    }

    /// What the build API has answered, for the guest.
    fn answer<T>(&mut self, answer: Result<T, ClientError>) -> wasmtime::Result<Result<T, types::Error>> {
        match answer {
            Ok(value) => Ok(Ok(value)),
            Err(error) => self.fails(refused(&error)),
        }
    }

    /// An error for the guest. It is kept: should the guest trap next, that is mostly why.
    fn fails<T>(&mut self, error: types::Error) -> wasmtime::Result<Result<T, types::Error>> {
        self.last_error = Some(words(&error));
        Ok(Err(error))
    }

    /// An error for what `define` may not do.
    fn only_an_action(&self) -> Result<(), types::Error> {
        match self.mode {
            Mode::Live => Ok(()),
            _ => Err(types::Error::Denied("only an action may do this, while it runs".to_owned())),
        }
    }
}

/// An error for people, shortened.
fn words(error: &types::Error) -> String {
    let (what, message) = match error {
        types::Error::Denied(message) => ("denied: ", message),
        types::Error::NotFound(message) => ("not found: ", message),
        types::Error::Invalid(message) => ("invalid: ", message),
        types::Error::Conflict(message) => ("conflict: ", message),
        types::Error::Quota(message) => ("a limit is reached: ", message),
        types::Error::Unavailable(message) => ("not available now: ", message),
        types::Error::Other(message) => ("", message),
    };
    format!("{what}{}", beginning(message, LAST_ERROR))
}

/// What a guest is told of an error of the build API.
fn refused(error: &ClientError) -> types::Error {
    guest_error(failure(error))
}

/// An error of the build API as a transcript can hold it: the HTTP status (0 when there was no answer), and the message.
fn failure(error: &ClientError) -> (u16, String) {
    (error.status().unwrap_or(0), error.to_string())
}

/// What a guest is told of an error of the build API.
fn guest_error((status, message): (u16, String)) -> types::Error {
    match status {
        401 | 403 => types::Error::Denied(message),
        404 => types::Error::NotFound(message),
        400 | 422 => types::Error::Invalid(message),
        409 => types::Error::Conflict(message),
        413 | 429 => types::Error::Quota(message),
        // No details of the host's inside for a guest.
        0 | 500..=599 => types::Error::Unavailable("the build API is not available".to_owned()),
        _ => types::Error::Other(message),
    }
}
