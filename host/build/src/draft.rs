//! What a script has said of its jobs, before anything is checked.

use crate::{ArtifactPath, CachePath};

/// A job as the script declared it. Every field is what the script said, right or wrong; [`crate::check`] turns drafts
/// into a [`crate::Graph`] or names all that is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobDraft {
    /// The id, as given.
    pub id: String,
    /// Whether it was declared as a container job; an action job otherwise.
    pub container: bool,
    /// Ids of the jobs it needs, in the order given.
    pub needs: Vec<String>,
    /// The time limit in milliseconds, if one was given.
    pub timeout_ms: Option<u64>,
    /// The image.
    pub image: Option<String>,
    /// The argument vector.
    pub argv: Option<Vec<String>>,
    /// The shell lines.
    pub shell: Option<Vec<String>>,
    /// Environment variables in the order given; the last one of a name counts.
    pub env: Vec<(String, String)>,
    /// The working directory, relative to the workspace.
    pub work_dir: Option<String>,
    /// The memory limit in bytes.
    pub memory_bytes: Option<u64>,
    /// The processor limit in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Artifacts to save.
    pub save_artifacts: Vec<ArtifactPath>,
    /// Artifacts to restore.
    pub restore_artifacts: Vec<ArtifactPath>,
    /// Caches.
    pub caches: Vec<CachePath>,
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

/// A service as the script declared it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceDraft {
    /// The host name the job reaches it by.
    pub name: String,
    /// The image.
    pub image: String,
    /// The argument vector, if it was given.
    pub argv: Option<Vec<String>>,
    /// Environment variables in the order given; the last one of a name counts.
    pub env: Vec<(String, String)>,
    /// The port that has to accept a connection.
    pub ready_port: Option<u16>,
    /// The command that has to succeed inside the service's container.
    pub ready_command: Option<Vec<String>>,
    /// How long it may take to become ready, in milliseconds.
    pub ready_timeout_ms: Option<u64>,
}
