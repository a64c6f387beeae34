//! A job as it will run: checked, complete, with every default filled in.

mod texts;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Destination;

/// The time limit of a job that gives none: one hour, in milliseconds.
pub const DEFAULT_JOB_TIMEOUT_MS: u64 = 60 * 60 * 1000;

/// A node of the build's graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The id, unique in the build.
    pub id: String,
    /// Ids of the jobs that have to be over first, without repetition: those that it says it needs, those whose artifacts it
    /// restores, and those whose outputs it reads.
    pub needs: Vec<String>,
    /// Ids of the removed jobs among the needs that were declared; what those needed stands among the needs instead, unless
    /// the job runs on a failure.
    #[serde(default, skip_serializing_if = "is_default")]
    pub removed_needs: Vec<String>,
    /// The time limit in milliseconds.
    pub timeout_ms: u64,
    /// When it runs, seen from what it needs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_when: RunWhen,
    /// Whether its failure is no failure of the build.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_failure: bool,
    /// Whether, and when, it runs again after a failure.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: Option<Retry>,
    /// Jobs of a higher priority start first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// The group whose jobs stop when one of them fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fail_fast: Option<String>,
    /// What a person has to approve before it starts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub approval: Option<String>,
    /// Whether it starts only when a person has it started, in one more run of the build.
    #[serde(default, skip_serializing_if = "is_default")]
    pub manual: bool,
    /// Whether the script completes it when its turn comes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late: bool,
    /// Labels for people and tools.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Action jobs: the function to call instead of the one with the job's id.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calls: Option<Call>,
    /// Action jobs: ids of the artifacts that the action creates.
    #[serde(default, skip_serializing_if = "is_default")]
    pub creates_artifacts: Vec<String>,
    /// What the job does.
    pub kind: JobKind,
}

impl JobSpec {
    /// What the job runs in its container; none for an action job.
    pub fn container(&self) -> Option<&ContainerSpec> {
        match &self.kind {
            JobKind::Action => None,
            JobKind::Container(container) => Some(container),
        }
    }

    /// What the job runs, in a few lines for a person who is to approve it: image and command of a container job.
    pub fn runs(&self) -> Option<String> {
        let container = self.container()?;
        let command = match &container.command {
            Command::Argv(argv) => argv.join(" "),
            Command::Shell(shell) => shell.lines.join("\n"),
        };
        let shown: String = command.chars().take(SHOWN).collect();
        let rest = if shown.len() < command.len() { " …" } else { "" };
        Some(format!("in {}: {shown}{rest}", container.image))
    }
}

/// The most characters of a command that a person is shown who is to approve it.
const SHOWN: usize = 4000;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// When a job runs, seen from the jobs that it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunWhen {
    /// When all have succeeded.
    #[default]
    Success,
    /// When all are over, however they ended.
    Always,
    /// When all are over and one of them failed.
    Failure,
}

/// Whether a job runs again after a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it runs again, at most.
    pub count: u32,
    /// After which failures; after each when empty.
    pub on: Vec<RetryOn>,
    /// How long to wait before it runs again the first time, in milliseconds; then twice as long each time.
    pub delay_ms: u64,
}

/// A failure after which a job runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// Every failure of the job's own doing.
    Failure,
    /// Every failure of the host's doing.
    Error,
    /// The time limit was reached.
    Timeout,
    /// The memory limit was reached.
    OutOfMemory,
    /// The command exited with this code.
    ExitCode(i32),
}

impl fmt::Display for RetryOn {
    /// As scripts write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure => f.write_str("failure"),
            Self::Error => f.write_str("error"),
            Self::Timeout => f.write_str("timeout"),
            Self::OutOfMemory => f.write_str("out-of-memory"),
            Self::ExitCode(code) => write!(f, "exit-code={code}"),
        }
    }
}

/// A function of the script, and what it is called with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// What `act` is called with instead of the job's id.
    pub handler: String,
    /// What the action can ask for.
    pub argument: String,
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
    /// Environment variables whose values are not known before the job starts, or are nobody's business.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late_env: BTreeMap<String, LateValue>,
    /// The working directory relative to the workspace; empty for the workspace itself.
    pub work_dir: String,
    /// The user that the commands run as, `name`, `uid` or `uid:gid`; the image's own when none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// The processor architecture of the image; the engine's own when none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub architecture: Option<String>,
    /// The memory limit in bytes.
    pub memory_bytes: Option<u64>,
    /// The processor limit in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// The size of `/dev/shm` in bytes; the engine's own, mostly 64 MiB, when none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shm_bytes: Option<u64>,
    /// When the images of job and services are pulled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull: PullPolicy,
    /// Whether the image's entrypoint runs the command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub entrypoint_of_image: bool,
    /// Whether the job is given `.git`: the history and the tags of the code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub with_git: bool,
    /// Artifacts saved when the command has succeeded.
    pub save_artifacts: Vec<SaveArtifact>,
    /// Artifacts restored before the command runs.
    pub restore_artifacts: Vec<RestoreArtifact>,
    /// Paths kept from one build to the next.
    pub caches: Vec<CacheSpec>,
    /// Globs of the JUnit XML files that are the job's test report, relative to the working directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub test_reports: Vec<String>,
    /// What the job and its services reach beside each other.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: NetworkMode,
    /// What they reach beside that.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network_allow: Vec<Destination>,
    /// Containers beside the job.
    pub services: Vec<ServiceSpec>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// When the engine does not have it.
    #[default]
    Missing,
    /// Before each job: what its name means may have changed.
    Always,
    /// Never: the engine has to have it.
    Never,
}

/// What a container job and its services reach beside each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The internet: neither private networks nor the machine that they run on.
    #[default]
    Internet,
    /// Nothing.
    None,
}

/// The command of a container job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// A program and its arguments; no shell is involved, so the image needs none.
    Argv(Vec<String>),
    /// Lines for a shell; the first that fails ends the job.
    Shell(ShellCommand),
}

/// Lines for a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenShell")]
pub struct ShellCommand {
    /// The lines.
    pub lines: Vec<String>,
    /// The shell and its arguments; `/bin/sh` when empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub program: Vec<String>,
    /// Whether each line runs in a shell of its own; all run in one otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub each: bool,
}

/// A shell command as journals have it. Those that were written when all shells were alike have nothing but the lines.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenShell {
    Lines(Vec<String>),
    Command {
        lines: Vec<String>,
        #[serde(default)]
        program: Vec<String>,
        #[serde(default)]
        each: bool,
    },
}

impl From<WrittenShell> for ShellCommand {
    fn from(written: WrittenShell) -> Self {
        match written {
            WrittenShell::Lines(lines) => Self { lines, ..Self::default() },
            WrittenShell::Command { lines, program, each } => Self { lines, program, each },
        }
    }
}

/// Where the value of an environment variable comes from when the job starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateValue {
    /// The secret of this name.
    Secret(String),
    /// The path of a file with the secret of this name.
    SecretFile(String),
    /// The path of a file with the parameter of this name.
    ParamFile(String),
    /// An output of an earlier job.
    Output {
        /// The job.
        job: String,
        /// The output's name.
        output: String,
    },
}

/// An artifact to save.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SaveArtifact {
    /// The artifact's id.
    pub id: String,
    /// The file or directory, relative to the job's working directory.
    pub path: String,
    /// Of a directory, only the files that match one of these globs, which are relative to it; all when empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub files: Vec<String>,
    /// Whether it is saved also when the commands fail or are stopped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub always: bool,
    /// Whether it is saved only when the commands fail or are stopped. With `always`, that counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: bool,
    /// Whether it is nothing to speak of when there is nothing to save.
    #[serde(default, skip_serializing_if = "is_default")]
    pub if_there: bool,
}

/// An artifact to restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RestoreArtifact {
    /// The artifact's id.
    pub id: String,
    /// Where it comes, relative to the job's working directory.
    pub path: String,
    /// Whether the file or directory that was saved stands at `path` itself; below `path`, at the path it was saved from, otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_path: bool,
    /// Whether the job runs without it when it is not there; the job then does not need the one that saves it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub if_there: bool,
}

/// A path that is kept from one build to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CacheSpec {
    /// The cache's id.
    pub id: String,
    /// The file or directory it keeps, relative to the job's working directory.
    pub path: String,
    /// More of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub more_paths: Vec<String>,
    /// The key of its content.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: String,
    /// Beginnings of keys to take where nothing is under the key, in this order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fallbacks: Vec<String>,
    /// When it is saved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub save: SavePolicy,
}

/// When a cache is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SavePolicy {
    /// When the commands have succeeded.
    #[default]
    Success,
    /// When the commands are over.
    Always,
    /// When the commands have succeeded, and nothing was there under the key.
    Miss,
    /// Never: it is only read.
    Never,
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
    /// Environment variables whose values are secrets, by the secrets' names.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secret_env: BTreeMap<String, String>,
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
