//! The control API: how builds are reached from outside, by `approve`, `debug`, `publish`, `cancel` and `logs`.
//!
//! A host process listens on one socket in its own directory, below its home, for all builds that it drives or has parked; each request names
//! its build. Whoever can open that (mode 0600 in directories of mode 0700) may speak to the builds; there are no tokens.

mod client;
mod following;
mod server;

use serde::{Deserialize, Serialize};

pub use client::{Continue, Decision, OutsideError, OutsideEvent, RunningBuild};

pub(crate) use following::frames as log_frames;
pub(crate) use server::{Driving, Inside, NotReached, listen};

/// The name of the socket, in the host's directory.
const SOCKET: &str = "control.sock";

/// What is asked of a build.
#[derive(Debug, Serialize, Deserialize)]
struct OfBuild<B, T> {
    /// The build's whole id.
    build: B,
    #[serde(flatten)]
    what: T,
}

/// Nothing more is to be said.
#[derive(Debug, Serialize, Deserialize)]
struct Nothing {}
