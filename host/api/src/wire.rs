//! Bodies of requests and answers.

use monkeyci_build::{ArtifactPath, CachePath, Command, Ending, Source, Status};
use serde::{Deserialize, Serialize};

/// What is being built, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// The build's id, `org/repo/build`.
    pub id: String,
    /// What started it: `cli`, say.
    pub trigger: String,
    /// The code.
    pub source: Source,
}

/// The answer to a question for a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamValue {
    /// The value; none where nobody gave one.
    pub value: Option<String>,
}

/// An event that a script publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// The name, 1 to 128 characters.
    pub name: String,
    /// JSON text, at most 64 KiB.
    pub payload: String,
}

/// A message for the build's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewReport {
    /// The message, at most 64 KiB.
    pub message: String,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOutcome {
    /// Where it is in its life.
    pub status: Status,
    /// How it ended, if it has.
    pub ending: Option<Ending>,
    /// How long it ran in milliseconds, if it has ended and had started.
    pub duration_ms: Option<u64>,
}

/// All that a sidecar has to do for its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarPlan {
    /// The job's image, for messages.
    pub image: String,
    /// What the launcher runs.
    pub command: Command,
    /// The working directory relative to the workspace; empty for the workspace itself.
    pub work_dir: String,
    /// The memory limit of the job's container in bytes, for messages.
    pub memory_bytes: Option<u64>,
    /// Restored before the command.
    pub restore_artifacts: Vec<ArtifactPath>,
    /// Saved after it, when it has succeeded.
    pub save_artifacts: Vec<ArtifactPath>,
    /// Restored before the command, saved after it, when it has succeeded.
    pub caches: Vec<CachePath>,
    /// Services whose ports have to accept a connection before the command runs.
    pub services: Vec<ServiceProbe>,
}

/// Ports of a service that the sidecar waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceProbe {
    /// The service's name.
    pub name: String,
    /// The ports.
    pub ports: Vec<u16>,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// What a sidecar reports at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SidecarReport {
    /// The job ended so.
    Ended(Ending),
    /// The launcher went away without a word: its container was killed. The engine knows how.
    LauncherGone,
}

/// The answer to an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes stored.
    pub size: u64,
    /// Their SHA-256 in hexadecimal.
    pub digest: String,
}
