//! A job as it will run: checked, complete, with every default filled in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The time limit of a job that gives none: one hour, in milliseconds.
pub const DEFAULT_JOB_TIMEOUT_MS: u64 = 60 * 60 * 1000;

/// A node of the build's graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The id, unique in the build.
    pub id: String,
    /// Ids of the jobs that have to succeed first, without repetition.
    pub needs: Vec<String>,
    /// The time limit in milliseconds.
    pub timeout_ms: u64,
    /// What the job does.
    pub kind: JobKind,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// A function of the script, run in an instance of its own.
    Action,
    /// A command in a container.
    Container(Box<ContainerSpec>),
}

/// What a container job runs, and with what round it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The image reference, as the script gave it.
    pub image: String,
    /// The command.
    pub command: Command,
    /// Environment variables on top of the image's.
    pub env: BTreeMap<String, String>,
    /// The working directory relative to the workspace; empty for the workspace itself.
    pub work_dir: String,
    /// The memory limit in bytes.
    pub memory_bytes: Option<u64>,
    /// The processor limit in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Artifacts saved when the command has succeeded.
    pub save_artifacts: Vec<ArtifactPath>,
    /// Artifacts restored before the command runs.
    pub restore_artifacts: Vec<ArtifactPath>,
    /// Paths kept from one build to the next.
    pub caches: Vec<CachePath>,
    /// Containers beside the job.
    pub services: Vec<ServiceSpec>,
}

/// The command of a container job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// A program and its arguments; no shell is involved, so the image needs none.
    Argv(Vec<String>),
    /// Lines for one `/bin/sh`; the first that fails ends the job.
    Shell(Vec<String>),
}

/// An artifact and the path it is saved from or restored to, relative to the job's working directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArtifactPath {
    /// The artifact's id.
    pub id: String,
    /// A file or directory when saving; the directory to unpack into when restoring.
    pub path: String,
}

/// A cache and the path it keeps, relative to the job's working directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CachePath {
    /// The cache's id.
    pub id: String,
    /// The file or directory it keeps.
    pub path: String,
}

/// A container beside a container job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The host name the job reaches it by.
    pub name: String,
    /// The image reference.
    pub image: String,
    /// Program and arguments; the image's own when none.
    pub argv: Option<Vec<String>>,
    /// Environment variables on top of the image's.
    pub env: BTreeMap<String, String>,
    /// When the service counts as ready; at once when empty, when all hold otherwise.
    pub readiness: Vec<Readiness>,
    /// How long it may take to become ready, in milliseconds.
    pub ready_timeout_ms: u64,
}

/// One condition for a service to count as ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// This TCP port accepts a connection.
    Port(u16),
    /// This command, run inside the service's container, exits with 0.
    Command(Vec<String>),
}
