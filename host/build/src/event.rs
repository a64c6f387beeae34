//! Events: the facts of a build, as they stand in the journal.

use serde::{Deserialize, Serialize};

use crate::{Ending, GraphFaults, JobSpec};

/// A fact about a build, with its place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The place in the build's journal, from 1 without gaps.
    pub seq: u64,
    /// When it was recorded, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened. The names in the journal are `build/triggered` and so on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum EventBody {
    /// Somebody asked for the build.
    #[serde(rename = "build/triggered")]
    BuildTriggered {
        /// The build's id, `org/repo/build`.
        build: String,
        /// What started it: `cli`, say.
        trigger: String,
    },
    /// The code is there.
    #[serde(rename = "build/checked-out")]
    BuildCheckedOut {
        /// What was checked out.
        source: Source,
    },
    /// The script was compiled, or found in the compile cache.
    #[serde(rename = "script/loaded")]
    ScriptLoaded {
        /// The SHA-256 of the component's bytes, in hexadecimal.
        digest: String,
        /// The component's size in bytes.
        size: u64,
        /// Whether the compiled code came from the cache.
        cached: bool,
    },
    /// The script declared its jobs, and the graph has no fault.
    #[serde(rename = "script/defined")]
    ScriptDefined {
        /// The jobs, in the order of declaration.
        jobs: Vec<JobSpec>,
    },
    /// The build can't go on before any job started: the checkout failed, the script is broken or its graph is.
    #[serde(rename = "build/failed")]
    BuildFailed {
        /// Whether the script is at fault; the infrastructure is otherwise.
        script: bool,
        /// What is wrong, and what to do.
        message: String,
        /// The faults of the graph, if those are the reason.
        #[serde(default, skip_serializing_if = "GraphFaults::is_empty")]
        faults: GraphFaults,
    },
    /// The job's turn has come; its container or instance is being started.
    #[serde(rename = "job/started")]
    JobStarted {
        /// The job's id.
        job: String,
    },
    /// A container job's own command runs now: workspace, artifacts, caches and services are ready.
    #[serde(rename = "job/running")]
    JobRunning {
        /// The job's id.
        job: String,
    },
    /// The job is over.
    #[serde(rename = "job/ended")]
    JobEnded {
        /// The job's id.
        job: String,
        /// How it ended.
        ending: Ending,
    },
    /// Somebody asked for the build to stop.
    #[serde(rename = "build/cancel-requested")]
    CancelRequested {
        /// Who, or what.
        by: String,
    },
    /// A script published an event of its own.
    #[serde(rename = "script/event")]
    ScriptEvent {
        /// The job whose action published it; none for `define`.
        job: Option<String>,
        /// The event's name.
        name: String,
        /// Its JSON text.
        payload: String,
    },
    /// A script added to the build's report.
    #[serde(rename = "script/report")]
    ScriptReport {
        /// The job whose action said it; none for `define`.
        job: Option<String>,
        /// The message.
        message: String,
    },
    /// An artifact is complete in the store.
    #[serde(rename = "artifact/saved")]
    ArtifactSaved {
        /// The job that saved it.
        job: String,
        /// The artifact's id.
        id: String,
        /// Its size in the store, in bytes.
        size: u64,
        /// The SHA-256 of the stored bytes, in hexadecimal.
        digest: String,
    },
    /// The build is over.
    #[serde(rename = "build/ended")]
    BuildEnded {
        /// How.
        status: BuildStatus,
        /// Every job, in the order of declaration.
        jobs: Vec<JobSummary>,
    },
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildStatus {
    /// Every job succeeded.
    Success,
    /// A job failed.
    Failure,
    /// The script is broken: it could not be loaded, or declared no valid graph.
    BadScript,
    /// The host, an engine or a store failed.
    Error,
    /// Somebody stopped it.
    Cancelled,
}

/// How one job ended, for the summary of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The job's id.
    pub job: String,
    /// How it ended.
    pub ending: Ending,
    /// From start to end, in milliseconds; none for a job that never started.
    pub duration_ms: Option<u64>,
}

/// The code that a build builds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it came from; none for a directory that is not a git repository.
    pub git_url: Option<String>,
    /// The full ref name, `refs/heads/main` say.
    pub git_ref: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The commit's id.
    pub commit: Option<String>,
    /// The commit's message.
    pub message: Option<String>,
    /// The commit's author, `Name <mail>`.
    pub author: Option<String>,
    /// The repository's main branch.
    pub main_branch: Option<String>,
}
