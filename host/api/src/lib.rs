//! The build API: what the controller serves to the script and to sidecars, and to nobody else.
//!
//! Wire types, the claims and scopes of a token, the one authorisation function, and the one client with its three
//! transports (in process, Unix socket, TCP). The server stands in the controller.
//!
//! Every path starts with `/v1/builds/{org}/{repo}/{build}`; see [`Operation`] for the list. Bodies are JSON, but for
//! archives (`application/octet-stream`) and logs (frames, see [`LogFrame`]). Errors are
//! [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems, see [`Problem`].
#![deny(missing_docs)]

mod authorise;
mod claims;
mod client;
mod config;
mod log;
pub mod paths;
mod problem;
mod wire;

pub use authorise::{Action, Denied, Operation, authorise};
pub use claims::{AUDIENCE, Claims, ISSUER, Role, Scope, Token};
pub use client::{ByteStream, Client, ClientError, InProcess};
pub use config::{API_VERSION, SidecarConfig};
pub use log::{LogDecodeError, LogDecoder, LogFrame, LogStream, MAX_LOG_FRAME};
pub use problem::Problem;
pub use reqwest::Body;
pub use wire::{
    BuildInfo, JobOutcome, NewEvent, NewReport, ParamValue, ServiceProbe, SidecarPlan, SidecarReport, Stored,
};
