//! `types`.

use std::fmt;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    Denied(String),
    NotFound(String),
    Invalid(String),
    Conflict(String),
    // A simulated host has no limits and no bad days, but the real one has.
    #[allow(dead_code)]
    Quota(String),
    #[allow(dead_code)]
    Unavailable(String),
    #[allow(dead_code)]
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Error {}
