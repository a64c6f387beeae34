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
use tokio::time::Instant;

use crate::bindings::monkeyci::script::types;
use crate::error::beginning;
use crate::keeper::NotKept;
use crate::limits::Reached;
use crate::store::State;
use crate::tape::{Answer, Call, Records, Told};
use crate::waiting::{Awaited, Wait};

pub use artifacts::ArtifactWriter;
pub(crate) use artifacts::QUEUE;
pub(crate) use files::CHUNK;
pub use files::FileReader;
pub use jobs::JobHandle;
pub(crate) use outcomes::NotKnownYet;
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

/// What a call does beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Nothing: it is made once, and its answer told again.
    Nothing,
    /// Nothing, and what it answers changes with time: it can't be had again.
    Changes,
    /// Something that leaves the instance: what it was told before is kept first.
    Effect,
    /// Something to files of this machine: they are made again where another process made them.
    Files,
    /// It answers with something that no transcript has: it is asked again.
    Reveals,
}

impl State {
    /// Asks the build API, once: whoever takes this instance's place is told what it was told the first time. So calls with an effect have
    /// it once; and of `define`, every instance sees the same.
    async fn told<T: Serialize + DeserializeOwned>(
        &mut self,
        request: String,
        call: impl AsyncFnOnce() -> Result<T, ClientError>,
    ) -> wasmtime::Result<Result<T, types::Error>> {
        self.told_of(Does::Nothing, request, call).await
    }

    /// Like [`State::told`], for calls that do something.
    async fn told_of<T: Serialize + DeserializeOwned>(
        &mut self,
        does: Does,
        request: String,
        call: impl AsyncFnOnce() -> Result<T, ClientError>,
    ) -> wasmtime::Result<Result<T, types::Error>> {
        let answer = self
            .told_bytes(does, request, async move || {
                let value = call().await?;
                serde_json::to_vec(&value).map_err(|error| ClientError::Malformed(error.to_string()))
            })
            .await?;
        Ok(match answer {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) => Err(error),
        })
    }

    /// Like [`State::told_of`], for bytes.
    async fn told_bytes(
        &mut self,
        does: Does,
        request: String,
        call: impl AsyncFnOnce() -> Result<Vec<u8>, ClientError>,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Error>> {
        self.count_call()?;
        let request = self.tape.named(request);
        let ask = async move || call().await.map_err(|error| failure(&error));
        let answer = match self.tape.next(&request)? {
            Told::Whole(answer) => {
                if does == Does::Files
                    && answer.is_ok()
                    && self.tape.was_elsewhere()
                    && let Err((_, now)) = ask().await
                {
                    return Err(self.tape.differs(request, now).into());
                }
                answer
            }
            Told::Again(same) => {
                let answer = match self.tape.replayed(&same)? {
                    Some(answer) => answer,
                    None => ask().await,
                };
                self.tape.same(same, &answer)?;
                answer
            }
            Told::Live => {
                if does == Does::Effect {
                    self.keep().await?;
                }
                let answer = ask().await;
                let records = match does {
                    Does::Nothing => Records::Small,
                    Does::Changes | Does::Effect | Does::Files => Records::Whole,
                    Does::Reveals => Records::Digest,
                };
                self.record(request, &answer, records)?;
                answer
            }
        };
        match answer {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(failure) => self.fails(guest_error(failure)),
        }
    }

    /// The answer that was recorded, if it was: one that is always recorded whole.
    pub(crate) fn recorded(&mut self, request: &str) -> wasmtime::Result<Option<Answer>> {
        match self.tape.next(request)? {
            Told::Whole(answer) => Ok(Some(answer)),
            Told::Again(_) => {
                Err(self.tape.differs(request.to_owned(), "a call that is never asked again".into()).into())
            }
            Told::Live => Ok(None),
        }
    }

    /// Records an answer.
    pub(crate) fn record(&mut self, request: String, answer: &Answer, records: Records) -> wasmtime::Result<()> {
        let call = Call { reply: self.tape.reply(answer, records), request };
        if !self.acts() {
            self.count_bytes(call.size())?;
        }
        self.tape.add(call).or_else(|reached| {
            self.meter.reached.get_or_insert(reached);
            wasmtime::bail!("no room for what the script is told");
        })
    }

    /// What is no answer of the build API and was told before, if it was.
    pub(crate) fn told_before<T: DeserializeOwned>(&mut self, request: &str) -> wasmtime::Result<Option<T>> {
        let told = self.recorded(request)?.and_then(Result::ok);
        Ok(told.map(|told| serde_json::from_slice(&told)).transpose()?)
    }

    /// Records what is no answer of the build API.
    pub(crate) fn has_told<T: Serialize>(&mut self, request: String, told: &T) -> wasmtime::Result<()> {
        let told = serde_json::to_vec(told)?;
        self.record(request, &Ok(told), Records::Whole)
    }

    /// What the host itself knows, once.
    pub(crate) fn told_now<T: Serialize + DeserializeOwned>(
        &mut self,
        request: &str,
        now: impl FnOnce() -> T,
    ) -> wasmtime::Result<T> {
        if let Some(told) = self.told_before(request)? {
            return Ok(told);
        }
        let now = now();
        self.has_told(request.to_owned(), &now)?;
        Ok(now)
    }

    /// Waits for something, for so many milliseconds at most, and leaves slot and memory to others meanwhile. What comes is JSON.
    pub(crate) async fn waited(
        &mut self,
        request: String,
        what: Awaited,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Answer> {
        // Whoever goes on with the wait knows by it how long it has lasted. Who only looks does not wait.
        let until = match timeout_ms {
            None | Some(0) => None,
            Some(ms) => Some(self.clock_now()?.saturating_add(ms.saturating_mul(1_000_000))),
        };
        let request = self.tape.named(request);
        if let Some(answer) = self.recorded(&request)? {
            return Ok(answer);
        }
        let until = until.and_then(|until| Instant::now().checked_add(self.clock.until(until)));
        // Also of one that another instance has waited for: it does not wait again.
        let is_due = timeout_ms == Some(0) || until.is_some_and(|until| until <= Instant::now());
        let mut wait = Wait { what, until };
        let client = self.client.clone();
        let refused = |error: ClientError| failure(&error);
        let answer = match wait.look(&client).await {
            Ok(looked) if looked.came || is_due => Ok(looked.json),
            Ok(_) => self.wait_until(wait).await?.and_then(|came| came.map_err(refused)),
            Err(error) => Err(refused(error)),
        };
        self.record(request, &answer, Records::Whole)?;
        Ok(answer)
    }

    /// Has kept what the instance was told: something follows that leaves it.
    pub(crate) async fn keep(&mut self) -> wasmtime::Result<()> {
        let kept = self.tape.keep(false).await;
        if let Err(NotKept::UsedUp(limit)) = &kept {
            self.meter.reached.get_or_insert(Reached::UsedUp(limit.clone()));
        }
        Ok(kept?)
    }

    /// An error for the guest. It is kept: should the guest trap next, that is mostly why.
    fn fails<T>(&mut self, error: types::Error) -> wasmtime::Result<Result<T, types::Error>> {
        self.last_error = Some(words(&error));
        Ok(Err(error))
    }

    /// An error for what `define` may not do.
    fn only_an_action(&self) -> Result<(), types::Error> {
        if self.acts() {
            return Ok(());
        }
        Err(types::Error::Denied("only an action may do this, while it runs".to_owned()))
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
