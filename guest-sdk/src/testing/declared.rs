//! Jobs, as a host sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A job, as a host sees it. `to_string` shows it for a snapshot: all that was said of it and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeclaredJob {
    /// Its id.
    pub id: String,
    /// Whether it is a container job; an action job otherwise.
    pub container: bool,
    /// The jobs that it needs, as declared; [`Graph::needs`](super::Graph::needs) has all.
    pub needs: Vec<String>,
    /// The jobs that it needs and that may not be removed.
    pub requires: Vec<String>,
    /// Why it is removed, if it is.
    pub removed: Option<String>,
    /// When it runs: `always` or `failure`; when all that it needs have succeeded otherwise.
    pub run_when: Option<String>,
    /// Whether its failure is no failure of the build.
    pub allow_failure: bool,
    /// How often it runs again when it fails.
    pub retry: u32,
    /// On which failures it runs again, as `timeout` or `exit-code=3`; on each when empty.
    pub retry_on: Vec<String>,
    /// How long it waits before it runs again.
    pub retry_delay: Option<Duration>,
    /// Its priority.
    pub priority: i32,
    /// Its fail-fast group.
    pub fail_fast: Option<String>,
    /// What a person has to approve.
    pub approval: Option<String>,
    /// Whether it starts only when a person has it started.
    pub manual: bool,
    /// Whether a closure completes it when its turn comes.
    pub late: bool,
    /// Why that closure has skipped it, if it has.
    pub skipped: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The handler that an action job calls, and the argument.
    pub calls: Option<(String, String)>,
    /// The artifacts that an action job creates.
    pub creates_artifacts: Vec<String>,
    /// Its time limit.
    pub timeout: Option<Duration>,
    /// The image.
    pub image: Option<String>,
    /// The program and its arguments.
    pub argv: Option<Vec<String>>,
    /// The shell lines.
    pub shell: Option<Vec<String>>,
    /// The shell and its arguments.
    pub shell_program: Option<Vec<String>>,
    /// Whether each line runs in a shell of its own.
    pub shell_each: bool,
    /// The user.
    pub user: Option<String>,
    /// The processor architecture.
    pub architecture: Option<String>,
    /// What its network reaches: `internet` or `none`.
    pub network: Option<String>,
    /// What its network reaches beside that.
    pub network_allow: Vec<String>,
    /// The environment variables.
    pub env: BTreeMap<String, Value>,
    /// The globs of its test reports.
    pub test_reports: Vec<String>,
    /// The working directory.
    pub work_dir: Option<String>,
    /// The memory limit in bytes.
    pub memory: Option<u64>,
    /// The processor limit in thousandths of a core.
    pub cpu: Option<u32>,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// When images are pulled: `missing`, `always` or `never`.
    pub pull: Option<String>,
    /// Whether the image's entrypoint is run.
    pub entrypoint_of_image: bool,
    /// Whether it is given `.git`.
    pub with_git: bool,
    /// The artifacts that it saves.
    pub saves: Vec<Saved>,
    /// The artifacts that it restores.
    pub restores: Vec<Restored>,
    /// The caches that it keeps.
    pub caches: Vec<DeclaredCache>,
    /// The services beside it.
    pub services: Vec<DeclaredService>,
}

/// The value of an environment variable. A text compares with `==` to a string; `to_string` shows every value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// This text.
    Text(String),
    /// The secret of this name.
    Secret(String),
    /// The path of a file with the secret of this name.
    SecretFile(String),
    /// The path of a file with the parameter of this name.
    ParamFile(String),
    /// The output of an earlier job.
    Output {
        /// The job.
        job: String,
        /// The output's name.
        output: String,
    },
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        matches!(self, Self::Text(text) if text == other)
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Secret(name) => write!(f, "secret {name}"),
            Self::SecretFile(name) => write!(f, "file with secret {name}"),
            Self::ParamFile(name) => write!(f, "file with parameter {name}"),
            Self::Output { job, output } => write!(f, "output {output} of {job}"),
        }
    }
}

/// An artifact that a container job saves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Its id.
    pub id: String,
    /// The file or directory.
    pub path: String,
    /// The globs of the files in it; all when empty.
    pub files: Vec<String>,
    /// Whether it is saved also when the commands fail.
    pub always: bool,
    /// Whether it is saved only when the commands fail.
    pub on_failure: bool,
    /// Whether the job is fine without it.
    pub if_there: bool,
}

/// An artifact that a container job restores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Its id.
    pub id: String,
    /// The directory below which it comes, or the path that it gets.
    pub path: String,
    /// Whether it gets `path` itself, and does not come below it.
    pub at_path: bool,
    /// Whether the job runs without it when it is not there.
    pub if_there: bool,
}

/// A path that a container job keeps from one build to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredCache {
    /// Its id.
    pub id: String,
    /// The file or directory.
    pub path: String,
    /// The key.
    pub key: Option<String>,
    /// The beginnings of keys to fall back on.
    pub fallbacks: Vec<String>,
    /// When it is saved: `success`, `always`, `miss` or `never`.
    pub save: Option<String>,
    /// More files or directories that it keeps.
    pub more_paths: Vec<String>,
}

/// A service beside a container job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeclaredService {
    /// The host name.
    pub name: String,
    /// The image.
    pub image: String,
    /// The program and its arguments.
    pub argv: Option<Vec<String>>,
    /// The environment variables.
    pub env: BTreeMap<String, Value>,
    /// The port that has to accept a connection.
    pub ready_port: Option<u16>,
    /// The command that has to succeed.
    pub ready_command: Option<Vec<String>>,
    /// How long it may take to become ready.
    pub ready_timeout: Option<Duration>,
}
