//! Bodies of requests and answers.

use std::collections::BTreeMap;

use monkeyci_build::{
    CacheSpec, Command, Ending, Event, Held, JobBreaks, JobDraft, RestoreArtifact, Results, SaveArtifact, Source,
    Status,
};
use serde::{Deserialize, Serialize};

use crate::Hidden;

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

/// Names of parameters or secrets, of files or directories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Sorted.
    pub names: Vec<String>,
}

/// A secret's bytes, for a script that may see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revealed {
    /// The bytes.
    pub value: Hidden<Vec<u8>>,
}

/// Asks for events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventQuery {
    /// Only events after this place in the journal; none for those that come from now on.
    pub after: Option<u64>,
    /// How long to wait for one, in milliseconds.
    pub wait_ms: u64,
    /// Only events of these kinds; of all when empty.
    pub kinds: Vec<String>,
    /// Only published events of these names; all when empty.
    pub names: Vec<String>,
    /// Only events of these jobs; of all when empty.
    pub jobs: Vec<String>,
}

/// The answer to an [`EventQuery`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventPage {
    /// The next events that were asked for: some, or none.
    pub events: Vec<Event>,
    /// The place in the journal up to which has been looked: `after` of the next query.
    pub seen: u64,
}

/// Jobs that an action adds to the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJobs {
    /// The jobs, unchecked.
    pub jobs: Vec<JobDraft>,
}

/// Asks which of some jobs is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitQuery {
    /// The jobs' ids.
    pub jobs: Vec<String>,
    /// How long to wait, in milliseconds.
    pub wait_ms: u64,
    /// Whether the question is asked again and again until there is an answer. Who waits so may not be waited for by those
    /// that it waits for.
    #[serde(default)]
    pub forever: bool,
}

/// The answer to a [`WaitQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// The first of the jobs that is over; none when none is yet.
    pub over: Option<String>,
}

/// Globs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globs {
    /// At least one.
    pub globs: Vec<String>,
}

/// A digest of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesDigest {
    /// SHA-256 in hexadecimal.
    pub digest: String,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// `file`, `directory`, `symlink` or `other`; none when there is nothing.
    pub kind: Option<String>,
    /// Bytes; 0 for all but files.
    pub size: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// A saved artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactInfo {
    /// Its id.
    pub id: String,
    /// The job that saved it.
    pub job: String,
    /// Bytes stored.
    pub size: u64,
    /// Their SHA-256 in hexadecimal.
    pub digest: String,
}

/// The artifacts that have been saved so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// Sorted by id.
    pub artifacts: Vec<ArtifactInfo>,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobOutcome {
    /// Where it is in its life.
    pub status: Status,
    /// How it ended, if it has.
    pub ending: Option<Ending>,
    /// How long it ran in milliseconds, if it has ended and had started.
    pub duration_ms: Option<u64>,
    /// What it said of its result.
    #[serde(default)]
    pub results: Results,
    /// What of this is not known: only where a build is planned, of a job that does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_known: Option<NotKnown>,
}

/// What is not known of the result of a job that only a plan has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotKnown {
    /// The job.
    pub job: String,
    /// Whether it is not even known how it ends.
    pub ending: bool,
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
    /// Environment variables on top of those of the container: those that the engine and whoever may look into it should
    /// not see.
    pub env: Hidden<BTreeMap<String, String>>,
    /// Files for the job's user outside the workspace, by the variables that hold their paths.
    pub files: Hidden<BTreeMap<String, Vec<u8>>>,
    /// Restored before the command.
    pub restore_artifacts: Vec<RestoreArtifact>,
    /// Saved after it.
    pub save_artifacts: Vec<SaveArtifact>,
    /// Restored before the command, saved after it.
    pub caches: Vec<CacheSpec>,
    /// Globs of JUnit XML files to report after it, relative to the working directory.
    pub test_reports: Vec<String>,
    /// Services whose ports have to accept a connection before the command runs.
    pub services: Vec<ServiceProbe>,
    /// Where the command stops for a person to look into the job.
    #[serde(default)]
    pub breaks: JobBreaks,
}

/// Says that a job is held, and asks whether it may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldQuery {
    /// How often the attempt has been held with this, from 1.
    pub number: u32,
    /// Where it stands.
    pub held: Held,
    /// How long to wait, in milliseconds.
    pub wait_ms: u64,
}

/// The answer to a [`HoldQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// Whether it may go on.
    pub continued: bool,
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

/// The answer to an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes stored.
    pub size: u64,
    /// Their SHA-256 in hexadecimal.
    pub digest: String,
}
