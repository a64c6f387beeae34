//! What the APIs share: sockets, TLS, and errors in words.

mod http_server;
mod limits;
mod listen;
mod peers;
mod problem;
mod sockets;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(test)]
mod tls_tests;
mod unread;

pub use http_server::HttpServer;
pub use sockets::ApiOverTcp;

pub(crate) use limits::{SILENCE, limits};
pub(crate) use listen::{Listener, in_process};
pub(crate) use problem::{NOT_HERE, Refusal, in_words, no_such_method, no_such_path, parse};
pub(crate) use sockets::{ApiAddress, ApiOnNetwork, ApiSockets};
