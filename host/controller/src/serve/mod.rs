//! What the build API and the control API share: sockets, and errors in words.

mod listen;
mod problem;
mod sockets;

pub use sockets::ApiOverTcp;

pub(crate) use listen::Listener;
pub(crate) use problem::{Refusal, in_words, no_such_method, no_such_path, parse};
pub(crate) use sockets::{ApiAddress, ApiSockets};
