//! Faults: what can be wrong with a graph, each in words that its author can act on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a graph, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The job's id as declared, shortened if it is very long; `#3` for the third job if its id is empty.
    pub job: String,
    /// What of the job is wrong, by the name it has in the script API: `needs`, `env(HOME)`, `service(db).image`.
    pub field: String,
    /// What is wrong with it.
    #[serde(flatten)]
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {:?}, {}: {}", self.job, self.field, self.kind)
    }
}

impl std::error::Error for Fault {}

/// What is wrong, and what to do about it. Texts that the script gave are quoted, and shortened if they are very long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum FaultKind {
    /// The script declared more jobs than a build may have. Nothing else of such a graph is checked.
    #[error(
        "is one too many: the script declares {count} jobs, and a build has at most {}; declare fewer",
        super::MAX_JOBS
    )]
    TooManyJobs {
        /// How many there are.
        count: usize,
    },
    /// The id of a job, an artifact or a cache has not the form of one.
    #[error("the id {id:?} is not valid; use 1 to 64 of a-z A-Z 0-9 . _ - and begin with a letter or a digit")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// A job that was declared earlier has this id.
    #[error("a job that was declared earlier has the same id; give each job an id of its own")]
    DuplicateId,
    /// A job that was declared earlier has this id in other capitals. Host names and some file systems can't tell them
    /// apart.
    #[error("differs only in capitals from the id of the job {other:?}; give one of the two another id")]
    SimilarId {
        /// The earlier job.
        other: String,
    },
    /// A needed job does not exist.
    #[error("there is no job {need:?}; {}", hint(nearest, "declare it, or take this need away"))]
    UnknownNeed {
        /// The id that was given.
        need: String,
        /// The id that was probably meant.
        nearest: Option<String>,
    },
    /// A job needs itself.
    #[error("the job needs itself; take this need away")]
    NeedsItself,
    /// Jobs need each other in a circle.
    #[error("the needs go in a circle: {}; take one of these needs away", circle(path))]
    Cycle {
        /// The circle: each job needs the next one, and the last one the first. It begins with the job declared first.
        path: Vec<String>,
    },
    /// A container job or a service has no image.
    #[error("there is no image; name one, \"debian:12\" say")]
    MissingImage,
    /// A container job has neither `argv` nor `shell`.
    #[error("the job is empty: it has no command; give it argv or shell")]
    MissingCommand,
    /// A command is there, but says nothing.
    #[error("the command is empty; give it a program or a line to run")]
    EmptyCommand,
    /// A container job has both `argv` and `shell`.
    #[error("the job has a command in argv and another in shell; keep one of them")]
    TwoCommands,
    /// An action job has a property that only container jobs have.
    #[error("action jobs have no such property; take it away, or declare a container job")]
    NotForAction,
    /// The name of an environment variable can't be one.
    #[error("{name:?} can't be the name of an environment variable; it must not be empty, nor contain '=' or NUL")]
    InvalidEnvName {
        /// The name.
        name: String,
    },
    /// A text that is handed to the operating system contains a NUL character.
    #[error("contains a NUL character, which no program can be given; take it out")]
    ContainsNul,
    /// A path is empty.
    #[error("the path is empty; use \".\" for the directory itself")]
    EmptyPath,
    /// A path is absolute.
    #[error("the path {path:?} is absolute; paths are relative to the workspace")]
    AbsolutePath {
        /// The path.
        path: String,
    },
    /// A path has a `..` in it.
    #[error("the path {path:?} contains \"..\"; paths stay inside the workspace")]
    ParentPath {
        /// The path.
        path: String,
    },
    /// A number that has to be above 0 is 0.
    #[error("is 0; give at least 1, or leave it out")]
    Zero,
    /// The memory limit is below what an engine can start a container with.
    #[error(
        "{bytes} bytes are too little to start a container; give at least {} (6 MiB)",
        super::fields::MIN_MEMORY_BYTES
    )]
    MemoryTooSmall {
        /// The limit that was given.
        bytes: u64,
    },
    /// The memory limit is above what an engine can count.
    #[error("{bytes} bytes are more than any machine has; give the limit in bytes, or leave it out")]
    MemoryTooLarge {
        /// The limit that was given.
        bytes: u64,
    },
    /// An artifact is saved more than once.
    #[error("the artifact {artifact:?} is saved by the job {saver:?} already; give each artifact an id of its own")]
    DuplicateArtifact {
        /// The artifact's id.
        artifact: String,
        /// The job that saves it first; the same job, if one job saves it twice.
        saver: String,
    },
    /// No job saves an artifact that is to be restored.
    #[error("no job saves an artifact {artifact:?}; {}", hint(nearest, "save it in a job that this one needs"))]
    UnknownArtifact {
        /// The id that was given.
        artifact: String,
        /// The id that was probably meant.
        nearest: Option<String>,
    },
    /// The job that saves an artifact need not have run when it is to be restored.
    #[error(
        "the artifact {artifact:?} is saved by the job {saver:?}, which this job does not need; add it to the needs"
    )]
    ArtifactNotUpstream {
        /// The artifact's id.
        artifact: String,
        /// The job that saves it.
        saver: String,
    },
    /// A job restores what it saves itself.
    #[error("the artifact {artifact:?} is saved by this very job, so it can't be restored here; did you mean a cache?")]
    OwnArtifact {
        /// The artifact's id.
        artifact: String,
    },
    /// One job has two caches of one id.
    #[error("the job has two caches {cache:?}; give each an id of its own")]
    DuplicateCache {
        /// The cache's id.
        cache: String,
    },
    /// A service's name can't be a host name.
    #[error("{name:?} can't be a host name; use 1 to 63 of a-z 0-9 - and begin with a letter, and don't end with '-'")]
    InvalidServiceName {
        /// The name.
        name: String,
    },
    /// A service's name is a host name that means something else in a job's network.
    #[error("the host name {name:?} is taken by the host; give the service another name")]
    ReservedServiceName {
        /// The name.
        name: String,
    },
    /// One job has two services of one name.
    #[error("the job has two services {name:?}; give each a name of its own")]
    DuplicateService {
        /// The name.
        name: String,
    },
}

/// All that is wrong with a graph, in the order in which the jobs were declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GraphFaults(pub Vec<Fault>);

impl GraphFaults {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for GraphFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the graph has 1 fault:")?,
            count => write!(f, "the graph has {count} faults:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n{fault}"))
    }
}

impl std::error::Error for GraphFaults {}

fn hint(nearest: &Option<String>, otherwise: &str) -> String {
    nearest.as_ref().map_or_else(|| otherwise.to_owned(), |nearest| format!("did you mean {nearest:?}?"))
}

fn circle(path: &[String]) -> String {
    let mut jobs: Vec<String> = path.iter().chain(path.first()).map(|job| format!("{job:?}")).collect();
    // A circle of thousands of jobs would bury the rest of the report; the whole path stands in the fault itself.
    if jobs.len() > 40 {
        let left_out = jobs.len() - 40;
        jobs.splice(20..jobs.len() - 20, [format!("… ({left_out} more) …")]);
    }
    jobs.join(" needs ")
}
