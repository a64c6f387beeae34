//! The build API: what the controller serves to the script and to sidecars, and to nobody else.
//!
//! Wire types, the claims and scopes of a token, the one authorisation function, and the one client with its three
//! transports (in process, Unix socket, TCP with or without TLS). The server stands in the controller.
//!
//! Every path starts with `/v1/builds/{org}/{repo}/{build}`; see [`ROUTES`] for the list. Bodies are JSON, but for
//! archives (`application/octet-stream`) and logs (frames, see [`LogFrame`]). Errors are
//! [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems, see [`Problem`].
#![deny(missing_docs)]

mod authorise;
mod budget;
mod checked;
mod claims;
mod client;
mod config;
mod disk_full;
pub mod grants;
mod guard;
mod hidden;
mod log;
pub mod networks;
pub mod paths;
mod problem;
mod routes;
pub mod scope_table;
mod tls;
mod wire;

pub use authorise::{Action, Denied, FileQuery, Operation, Standing, admit, authorise};
pub use budget::limits;
pub use checked::checked;
pub use claims::{AUDIENCE, Claims, ISSUER, Role, Scope, Token};
pub use client::{ByteStream, CacheHit, Client, ClientError, IDLE, InProcess, Kept, Sized, plain_http};
pub use config::{API_VERSION, SidecarConfig, WAITED_IN_VAIN};
pub use disk_full::is_disk_full;
pub use guard::{GuardOrders, HAND_OVER, Handed, NetworkRules};
pub use hidden::Hidden;
pub use log::{
    LOG_FRAME_HEADER, LOG_HELD, LogDecodeError, LogDecoder, LogFrame, LogStream, MAX_LOG_FRAME, encode_mark,
};
pub use problem::{Problem, STORE_FULL, UNKNOWN_TOKEN};
pub use routes::{Bearer, Needs, ROUTES, Route, RouteId, Verb};

/// The most bytes of the file in which a container job exposes its outputs: 1 MiB.
pub const MAX_OUTPUTS: u64 = 1 << 20;
/// The most bytes of a test report: 16 MiB.
pub const MAX_TEST_REPORT: u64 = 16 << 20;

/// The header with the size of a content that is streamed.
pub const SIZE_HEADER: &str = "monkeyci-size";
/// The header of a test report that says how many the same attempt has handed in before: so that one counts once that comes twice.
pub const REPORTS_BEFORE_HEADER: &str = "monkeyci-reports-before";
/// The header of a log that goes on at a place: the number of bytes of output that were sent before. The answer comes while the log does:
/// a number of eight bytes, big endian, each time that more of it is kept.
pub const LOG_FROM_HEADER: &str = "monkeyci-log-from";
/// The header that says whether a cache was found under its own key: `exact` or `other`.
pub const CACHE_HEADER: &str = "monkeyci-cache";
/// The header with the SHA-256 that an archive had when it was saved, in hexadecimal.
pub const DIGEST_HEADER: &str = "monkeyci-digest";
pub use monkeyci_build::SidecarReport;
pub use reqwest::Body;
pub use tls::provide_tls;
pub use wire::{
    ArtifactInfo, Artifacts, BuildInfo, Continued, EventPage, EventQuery, FileStat, FilesDigest, Globs, HoldQuery,
    JobOutcome, Names, NewEvent, NewJobs, NewReport, NotKnown, ParamValue, Revealed, ServiceProbe, SidecarPlan, Stored,
    WaitQuery, Waited,
};
