//! What the controller hands to a sidecar, in a file that only the sidecar's container sees.

use serde::{Deserialize, Serialize};

use crate::Token;

/// The version of the build API and of the launcher's protocol. Controller and sidecar come from one build of the host,
/// so they have to be equal.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a sidecar exits with that has waited for its host in vain.
pub const WAITED_IN_VAIN: u8 = 75;

/// The sidecar's configuration file, JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarConfig {
    /// The version of the host that wrote the file: [`API_VERSION`].
    pub version: String,
    /// Where the build API is: `unix:/path/to/socket`, `https://host:port`, or `http://host:port`.
    pub api: String,
    /// With `https:`, the certificate of the authority that vouches for the build API, in PEM. No other is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The build's id, `org/repo/build`.
    pub build: String,
    /// The job's id.
    pub job: String,
    /// The sidecar's token.
    pub token: Token,
    /// For how long the sidecar waits for a host that has gone away, in milliseconds: whoever goes on with the build finds the job running.
    /// After that it ends the job.
    pub patience_ms: u64,
}
