//! What a script has said of its jobs, before anything is checked.

use serde::{Deserialize, Serialize};

use crate::{Call, LateValue, RestoreArtifact, SaveArtifact};

/// A job as the script declared it. Every field is what the script said, right or wrong; [`crate::check`] turns drafts
/// into a [`crate::Graph`] or names all that is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct JobDraft {
    /// The id, as given.
    pub id: String,
    /// Whether it was declared as a container job; an action job otherwise.
    pub container: bool,
    /// Ids of the jobs it needs, in the order given.
    pub needs: Vec<String>,
    /// Ids of those of its needs that may not be removed.
    pub requires: Vec<String>,
    /// Why it is removed, if it is.
    pub removed: Option<String>,
    /// The time limit in milliseconds, if one was given.
    pub timeout_ms: Option<u64>,
    /// When it runs: `success`, `always` or `failure`.
    pub run_when: Option<String>,
    /// Whether its failure is no failure of the build.
    pub allow_failure: bool,
    /// How often it runs again after a failure.
    pub retry: Option<u32>,
    /// After which failures it runs again.
    pub retry_on: Vec<String>,
    /// How long it waits before it runs again, in milliseconds.
    pub retry_delay_ms: Option<u64>,
    /// Its priority.
    pub priority: i32,
    /// Its fail-fast group.
    pub fail_fast: Option<String>,
    /// What a person has to approve.
    pub approval: Option<String>,
    /// Whether it starts only when a person has it started.
    pub manual: bool,
    /// Whether it is completed late.
    pub late: bool,
    /// Labels in the order given; the last one of a name counts.
    pub labels: Vec<(String, String)>,
    /// The handler and argument of an action.
    pub calls: Option<Call>,
    /// Artifacts that the action creates.
    pub creates_artifacts: Vec<String>,
    /// The image.
    pub image: Option<String>,
    /// The argument vector.
    pub argv: Option<Vec<String>>,
    /// The shell lines.
    pub shell: Option<Vec<String>>,
    /// Environment variables in the order given; the last one of a name counts.
    pub env: Vec<(String, String)>,
    /// The shell's program and arguments.
    pub shell_program: Option<Vec<String>>,
    /// Whether each shell line runs in a shell of its own.
    pub shell_each: bool,
    /// The user.
    pub user: Option<String>,
    /// The architecture.
    pub architecture: Option<String>,
    /// What its network reaches: `internet` or `none`.
    pub network: Option<String>,
    /// What its network reaches beside that.
    pub network_allow: Vec<String>,
    /// Environment variables whose values come later, in the order given; the last one of a name counts.
    pub late_env: Vec<(String, LateValue)>,
    /// Globs of test reports.
    pub test_reports: Vec<String>,
    /// The working directory, relative to the workspace.
    pub work_dir: Option<String>,
    /// The memory limit in bytes.
    pub memory_bytes: Option<u64>,
    /// The processor limit in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// The size of `/dev/shm` in bytes.
    pub shm_bytes: Option<u64>,
    /// When images are pulled: `missing`, `always` or `never`.
    pub pull: Option<String>,
    /// Whether the image's entrypoint runs the command.
    pub entrypoint_of_image: bool,
    /// Whether the job is given `.git`.
    pub with_git: bool,
    /// Artifacts to save.
    pub save_artifacts: Vec<SaveArtifact>,
    /// Ids that were given to say more of an artifact to save (`artifact-files`, `artifact-always` and so on), and what.
    pub artifact_options: Vec<(String, ArtifactOption)>,
    /// Artifacts to restore.
    pub restore_artifacts: Vec<RestoreArtifact>,
    /// Caches: ids and paths.
    pub caches: Vec<(String, String)>,
    /// Ids that were given to say more of a cache, and what.
    pub cache_options: Vec<(String, CacheOption)>,
    /// Services.
    pub services: Vec<ServiceDraft>,
}

impl JobDraft {
    /// An action job of this id.
    pub fn action(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// A container job of this id.
    pub fn container(id: impl Into<String>) -> Self {
        Self { id: id.into(), container: true, ..Self::default() }
    }
}

/// More of an artifact to save.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArtifactOption {
    /// Only files that match one of these globs.
    Files(Vec<String>),
    /// Also when the commands fail.
    Always,
    /// Only when the commands fail.
    OnFailure,
    /// If it is there.
    IfThere,
}

impl ArtifactOption {
    /// What the contract calls it.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Files(_) => "artifact-files",
            Self::Always => "artifact-always",
            Self::OnFailure => "artifact-on-failure",
            Self::IfThere => "artifact-if-there",
        }
    }
}

/// More of a cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CacheOption {
    /// Its key.
    Key(String),
    /// A beginning of keys to fall back on.
    Fallback(String),
    /// When it is saved: `success`, `always`, `miss` or `never`.
    Save(String),
    /// One more path that it keeps.
    Path(String),
}

impl CacheOption {
    /// What the contract calls it.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Key(_) => "cache-key",
            Self::Fallback(_) => "cache-fallback",
            Self::Save(_) => "cache-save",
            Self::Path(_) => "cache-path",
        }
    }
}

/// A parameter as the script declared it, with the value that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ParamDraft {
    /// The name.
    pub name: String,
    /// What its values look like: `text`, `integer`, `number`, `boolean` or `choice`; `text` when none.
    pub kind: Option<String>,
    /// The values of a choice.
    pub choices: Vec<String>,
    /// The value where nobody gave one.
    pub default: Option<String>,
    /// Whether a value has to be given.
    pub required: bool,
    /// What it is for.
    pub description: Option<String>,
    /// The value that was given.
    pub given: Option<String>,
}

/// A service as the script declared it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceDraft {
    /// The host name the job reaches it by.
    pub name: String,
    /// The image.
    pub image: String,
    /// The argument vector, if it was given.
    pub argv: Option<Vec<String>>,
    /// Environment variables in the order given; the last one of a name counts.
    pub env: Vec<(String, String)>,
    /// Environment variables that are secrets, by the secrets' names.
    pub secret_env: Vec<(String, String)>,
    /// The port that has to accept a connection.
    pub ready_port: Option<u16>,
    /// The command that has to succeed inside the service's container.
    pub ready_command: Option<Vec<String>>,
    /// How long it may take to become ready, in milliseconds.
    pub ready_timeout_ms: Option<u64>,
}
