//! The host's side of `monkeyci:script`, one file per interface.

mod build_info;
mod events;
mod jobs;
mod params;

use monkeyci_api::ClientError;

use crate::bindings::monkeyci::script::types;
use crate::store::State;
use crate::transcript::{Call, Mode};

pub use jobs::JobHandle;

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
            self.meter.reached.get_or_insert_with(|| format!("its limit of {limit} calls to the host"));
            wasmtime::bail!("too many calls to the host");
        }
        Ok(())
    }
}

impl State {
    /// Counts what a call adds to the transcript, if it is recorded.
    ///
    /// # Errors
    /// A trap, when the script has had too much recorded.
    fn count_recorded(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if matches!(self.mode, Mode::Record(_)) { self.count_bytes(size_of::<Call>() + bytes) } else { Ok(()) }
    }
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
