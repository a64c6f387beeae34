//! What the host says when it refuses a call.

use std::fmt;

use crate::host::types;

/// Why the host refused a call. Each case carries a message for a person.
///
/// The SDK's functions return it inside an [`Error`](crate::Error), where a script that wants to know can find it:
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn notes(context: &Context) -> Result<Option<String>> {
///     match context.build().workspace().read_to_string("NOTES.md") {
///         Ok(notes) => Ok(Some(notes)),
///         Err(error) if matches!(error.downcast_ref(), Some(HostError::NotFound(_))) => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// The build may not do this.
    Denied(String),
    /// There is no such thing.
    NotFound(String),
    /// An argument is not of the form that the function asks for.
    Invalid(String),
    /// It exists already, or is in a state that forbids the call.
    Conflict(String),
    /// A limit of the build has been reached.
    Quota(String),
    /// The host could not do it now; the same call may succeed later.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

impl From<types::Error> for HostError {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(message) => Self::Denied(message),
            types::Error::NotFound(message) => Self::NotFound(message),
            types::Error::Invalid(message) => Self::Invalid(message),
            types::Error::Conflict(message) => Self::Conflict(message),
            types::Error::Quota(message) => Self::Quota(message),
            types::Error::Unavailable(message) => Self::Unavailable(message),
            types::Error::Other(message) => Self::Other(message),
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, message) = match self {
            Self::Denied(message) => ("denied: ", message),
            Self::NotFound(message) => ("not found: ", message),
            Self::Invalid(message) => ("invalid: ", message),
            Self::Conflict(message) => ("conflict: ", message),
            Self::Quota(message) => ("a limit is reached: ", message),
            Self::Unavailable(message) => ("not available now: ", message),
            Self::Other(message) => ("", message),
        };
        write!(f, "{what}{message}")
    }
}

impl std::error::Error for HostError {}

/// Turns an answer of the host into the SDK's own.
pub(crate) trait Told<T> {
    /// The answer, with an error that scripts can look into.
    fn told(self) -> crate::Result<T>;
}

impl<T> Told<T> for Result<T, types::Error> {
    fn told(self) -> crate::Result<T> {
        self.map_err(|error| HostError::from(error).into())
    }
}
