//! Faults: what can be wrong with a graph, each in words that its author can act on.

mod texts;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Words;

/// One thing that is wrong with a graph, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What of it is wrong, by the name it has in the script API: `needs`, `env(HOME)`, `service(db).image`.
    pub field: String,
    /// What is wrong with it.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What a fault is of. In the journal it is the key that the name stands under: `"job": "build"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A job, by its id as declared, shortened if it is very long; `#3` for the third job if its id is empty.
    Job(String),
    /// A parameter, by its name as declared, with the same exceptions.
    Parameter(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(id) => write!(f, "job {id:?}"),
            Self::Parameter(name) => write!(f, "parameter {name:?}"),
        }
    }
}

impl Fault {
    /// The job that the fault is of, if it is of one.
    pub fn job(&self) -> Option<&str> {
        match &self.place {
            Place::Job(id) => Some(id),
            Place::Parameter(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.place, self.field, self.kind)
    }
}

/// Why a job needs another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeedCause {
    /// It says so.
    Needs,
    /// It restores an artifact of it.
    RestoresArtifact,
    /// It reads an output of it.
    ReadsOutput,
}

impl NeedCause {
    fn words(self) -> &'static str {
        match self {
            Self::Needs => "needs",
            Self::RestoresArtifact => "restores an artifact of",
            Self::ReadsOutput => "reads an output of",
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// Shows every text that is words for people: all of them, for nothing is made of a graph with faults.
    pub(super) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let Self { place, field, kind } = self;
        let (Place::Job(name) | Place::Parameter(name)) = place;
        see(Words::Text(name));
        see(Words::Text(field));
        kind.words(see);
    }
}

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
    #[error("the needs go in a circle: {}; take one of these needs away", circle(path, causes))]
    Cycle {
        /// The circle: each job needs the next one, and the last one the first. It begins with the job declared first.
        path: Vec<String>,
        /// Why each of them needs the next one; because it says so, where there are fewer causes than jobs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        causes: Vec<NeedCause>,
    },
    /// A job requires a job that is removed.
    #[error("the job {need:?} is removed, and required here; use needs where the job can do without it")]
    RequiresRemoved {
        /// The removed job.
        need: String,
    },
    /// So many jobs are removed, that need so many others, that nobody could run what is left.
    #[error("the jobs that it needs in place of removed ones are too many; let fewer jobs need them")]
    TooManyNeeds,
    /// A container job or a service has no image.
    #[error("there is no image; name one, \"debian:12\" say")]
    MissingImage,
    /// The name of an image can't be one.
    #[error(
        "{image:?} is not the name of an image: {problem}; write it as \"debian:12\" or \"registry.example.org/team/app:1\""
    )]
    InvalidImage {
        /// The name.
        image: String,
        /// What is wrong with it.
        problem: String,
    },
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
    /// An argument or a variable is longer than any system hands to a program.
    #[error(
        "has {bytes} bytes, and a program can be given at most {} in one piece; hand it over as a file",
        super::container::MAX_ARGUMENT
    )]
    TooLongArgument {
        /// Its bytes; a variable's name counts too.
        bytes: usize,
    },
    /// A path is empty.
    #[error("the path is empty; use \".\" for the directory itself")]
    EmptyPath,
    /// A path is absolute.
    #[error("the path {path:?} is absolute; paths are relative to the workspace")]
    AbsolutePath {
        /// The path.
        path: String,
    },
    /// A path begins with `~`, which means nothing outside of a shell.
    #[error(
        "the path {path:?} begins with \"~\", which stands for no directory here; paths are relative to the workspace: let the \
         program keep its files there, by a variable such as CARGO_HOME or GRADLE_USER_HOME"
    )]
    HomePath {
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
    #[error("no job saves an artifact {artifact:?}; {}", hint(nearest, "save it in another job"))]
    UnknownArtifact {
        /// The id that was given.
        artifact: String,
        /// The id that was probably meant.
        nearest: Option<String>,
    },
    /// Only a removed job saves an artifact that is to be restored.
    #[error(
        "the artifact {artifact:?} is saved by the job {saver:?}, which is removed; use restore-artifact-if-there, or \
         remove this job too"
    )]
    ArtifactOfRemoved {
        /// The artifact's id.
        artifact: String,
        /// The removed job.
        saver: String,
    },
    /// A job reads an output of a job that is removed.
    #[error(
        "is an output of the job {producer:?}, which is removed; remove this job too, or set the variable otherwise"
    )]
    OutputOfRemoved {
        /// The removed job.
        producer: String,
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
    /// A word is none of those that mean something here.
    #[error("{value:?} means nothing here; use {allowed}")]
    UnknownWord {
        /// The word.
        value: String,
        /// Those that mean something.
        allowed: String,
    },
    /// A text says nothing.
    #[error("is empty; say something, or leave it out")]
    Empty,
    /// A text has a control character in it.
    #[error("contains a control character; take it out")]
    ControlCharacter,
    /// A job is to run again too often, or never.
    #[error("is {count}; a job runs again 1 to {} times", super::fields::MAX_RETRIES)]
    RetryCount {
        /// How often it is to run again.
        count: u32,
    },
    /// Something is said of running a job again, which does not run again.
    #[error("says how the job runs again, but it does not; call retry too, or take this away")]
    WithoutRetry,
    /// Something is said of the shell, and there are no lines for it.
    #[error("says how the lines of shell run, but there are none; call shell too, or take this away")]
    WithoutShell,
    /// A container job has a property that only action jobs have.
    #[error("container jobs have no such property; take it away, or declare an action job")]
    NotForContainer,
    /// One environment variable is set in two ways.
    #[error("the variable is set by env too; set it once")]
    EnvTwice,
    /// The name of an output can't be one.
    #[error("the output {name:?} can't be one; use 1 to 128 of a-z A-Z 0-9 . _ -")]
    InvalidOutputName {
        /// The name.
        name: String,
    },
    /// Something is said of an artifact that the job does not save.
    #[error("the job saves no artifact {artifact:?}; save it, or take this away")]
    NotSaved {
        /// The artifact's id.
        artifact: String,
    },
    /// Something is said of a cache that the job does not have.
    #[error("the job has no cache {cache:?}; declare it, or take this away")]
    NotCached {
        /// The cache's id.
        cache: String,
    },
    /// A cache key is too long.
    #[error("the key has {bytes} bytes, and may have {}; use a digest of it", super::fields::MAX_CACHE_KEY)]
    CacheKeyTooLong {
        /// How many it has.
        bytes: usize,
    },
    /// A text is no destination in a network.
    #[error("{destination:?} is {}", crate::NoDestination)]
    InvalidDestination {
        /// The text.
        destination: String,
    },
    /// There are too many destinations.
    #[error("the job has more than {} destinations; use ranges", super::container::MAX_DESTINATIONS)]
    TooManyDestinations,
    /// The name of a parameter can't be one.
    #[error(
        "{name:?} can't be the name of a parameter; use 1 to 128 characters, none of them '=' or a control character"
    )]
    InvalidParamName {
        /// The name.
        name: String,
    },
    /// A choice has nothing to choose from.
    #[error("there is nothing to choose from; give the choices")]
    MissingChoices,
    /// Choices are given for what is no choice.
    #[error("only a parameter of the kind choice has choices; take them away, or make it one")]
    ChoicesWithoutChoice,
    /// A value of a parameter does not fit its declaration.
    #[error("{problem}")]
    UnfitValue {
        /// What does not fit, and what would.
        problem: String,
    },
    /// A parameter has to be given, and was not.
    #[error("nobody gave a value, and there has to be one; give it when you start the build")]
    MissingValue,
    /// A parameter is declared once more, otherwise.
    #[error("was declared otherwise before; declare the parameter once, or alike each time")]
    DeclaredOtherwise,
    /// Something that is decided in `define` only is said of a job later.
    #[error("can only be said in define; take it away")]
    OnlyInDefine,
    /// An action job that an action submits calls no handler, so nobody would know its function.
    #[error("the job has no function: an action that is submitted needs a handler; use calls")]
    MissingCall,
    /// A completed job is not the one that was declared.
    #[error("is not what define said, and the build counts on that; say it in define")]
    Changed,
    /// A job would be given a secret that nobody gave to the build.
    #[error("there is no secret {secret:?}; give it when you start the build")]
    MissingSecret {
        /// The secret's name.
        secret: String,
    },
    /// The value of a secret stands in a job. What a job is stands in the journal and is never masked, since it runs so.
    #[error(
        "has the value of the secret {secret:?} in it; hand it over with secret-env or secret-file, so that nobody sees it"
    )]
    SecretValue {
        /// The secret's name.
        secret: String,
    },
}

fn hint(nearest: &Option<String>, otherwise: &str) -> String {
    nearest.as_ref().map_or_else(|| otherwise.to_owned(), |nearest| format!("did you mean {nearest:?}?"))
}

fn circle(path: &[String], causes: &[NeedCause]) -> String {
    // A circle of thousands of jobs would bury the rest of the report; the whole path stands in the fault itself.
    const SHOWN_AT_EACH_END: usize = 20;
    let cause = |at: usize| causes.get(at).copied().unwrap_or(NeedCause::Needs).words();
    let step = |at: usize| format!("{:?} {} ", path[at], cause(at));
    let first = path.first().map(|first| format!("{first:?}")).unwrap_or_default();
    if path.len() < 2 * SHOWN_AT_EACH_END {
        return (0..path.len()).map(step).collect::<String>() + &first;
    }
    let begin: String = (0..SHOWN_AT_EACH_END).map(step).collect();
    let end: String = (path.len() + 1 - SHOWN_AT_EACH_END..path.len()).map(step).collect();
    format!("{begin}… ({} more) … {end}{first}", path.len() + 1 - 2 * SHOWN_AT_EACH_END)
}
