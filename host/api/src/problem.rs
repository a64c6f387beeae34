//! The body of an answer that is an error.

use serde::{Deserialize, Serialize};

/// The title of the problem that the host's store has no room left.
pub const STORE_FULL: &str = "store full";
/// The title of the problem that the host has not made the token that came.
pub const UNKNOWN_TOKEN: &str = "unknown token";

/// An error as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) has it (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The kind of error in a few words, the same each time.
    pub title: String,
    /// What went wrong this time, on what.
    pub detail: String,
}
