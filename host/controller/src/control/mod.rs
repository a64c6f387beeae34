//! The control API: how a build that runs is reached from outside, by `approve`, `debug`, `publish`, `cancel` and `logs`.
//!
//! A running build listens on a socket in its own directory, below the home of its host. Whoever can open that (mode 0600 in
//! directories of mode 0700) may speak to the build; there are no tokens.

mod client;
mod following;
mod server;

pub use client::{Continue, Decision, OutsideError, OutsideEvent, RunningBuild};

pub(crate) use following::frames as log_frames;
pub(crate) use server::{Inside, listen};

/// The name of the socket, in the build's directory `control`.
const SOCKET: &str = "control.sock";
