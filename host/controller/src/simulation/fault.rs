//! What goes wrong in a simulation, and what is otherwise about its build than it was asked to be. Each has a text by which it is asked for
//! again.

use std::fmt;
use std::str::FromStr;

/// Something that goes wrong, that somebody does, or that is otherwise about the build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// Attempts of container jobs go wrong: `test/1:exit=2`.
    Job {
        /// Which attempts.
        which: Attempts,
        /// How.
        what: JobFault,
    },
    /// The host is killed when this record of the journal is on disk: `kill=12`. It is started again, and goes on with the build.
    Kill {
        /// The record's number.
        record: u64,
    },
    /// The host is killed when this record is to be written, so it is lost, and those before it are not: `lose=12`.
    Lose {
        /// The record's number.
        record: u64,
    },
    /// When this record is to be written, the disk is full for so many seconds: `full=12:30`.
    DiskFull {
        /// The record's number.
        record: u64,
        /// For how long.
        seconds: u64,
    },
    /// Somebody cancels the build, so many milliseconds after it began: `cancel=4500`.
    Cancel {
        /// When.
        at_ms: u64,
    },
    /// Somebody rejects the job, which waits for approval: `reject=deploy`.
    Reject {
        /// The job.
        job: String,
    },
    /// The branch has this name: `branch=fix/a`.
    Branch(String),
    /// It is a tag that is built: `tag=v1.0`.
    Tag(String),
    /// The file changed, among others that are said to have: `changed=src/a.rs`.
    Changed(String),
    /// A parameter has this value: `param=NAME=VALUE`.
    Param {
        /// Its name.
        name: String,
        /// The value; it may be empty.
        value: String,
    },
    /// A pull request from a fork is built: no secret is there for it. `fork`
    Fork,
    /// From this moment on nothing goes wrong any more, so many milliseconds after the build began, whatever else is said: `heal=900000`.
    Heal {
        /// When.
        at_ms: u64,
    },
    /// The run is compared with one in which the script's clock is so many seconds ahead: `clock=3600`.
    Clock {
        /// How much.
        seconds: u64,
    },
    /// The run is compared with one in which the script's random numbers, and the order in its hash maps, are others: `random=1`.
    Random {
        /// Which others.
        number: u64,
    },
}

/// Attempts of container jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempts {
    /// Each attempt of each job: `*`.
    All,
    /// Each attempt of a job: `test`.
    Job(String),
    /// One attempt of a job, from 1: `test/1`.
    One(String, u32),
}

/// How an attempt goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum JobFault {
    /// Its command exits with this code: `exit=2`.
    Exit(i32),
    /// The kernel kills it for its memory: `oom`.
    OutOfMemory,
    /// Its container is killed from outside: `killed`.
    Killed,
    /// Its containers are gone, and nobody says how: `lost`.
    Lost,
    /// Its sidecar dies, so nobody reports how it ended: `sidecar-dies`.
    SidecarDies,
    /// Its command never ends by itself, and does not hear TERM: `hangs`.
    Hangs,
    /// Its container does not start: `not-started`.
    NotStarted,
    /// Its image is not there: `no-image`.
    NoImage,
    /// The engine is away for so many seconds, from the moment on when its command begins: `engine-away=40`.
    EngineAway(u64),
    /// How it ended is reported twice: `twice`.
    Twice,
    /// How it ended is reported so many seconds after its container has ended: `late=20`.
    Late(u64),
    /// Its command succeeds, and has not made the artifacts that it was to make: `not-saved`.
    NotSaved,
}

impl JobFault {
    /// Whether it makes something take longer than it would.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::Hangs | Self::EngineAway(_) | Self::Late(_))
    }
}

impl Fault {
    /// Whether it makes something take longer than it would.
    pub(super) fn is_slow(&self) -> bool {
        match self {
            Self::Job { what, .. } => what.is_slow(),
            Self::Kill { .. } | Self::Lose { .. } | Self::DiskFull { .. } => true,
            _ => false,
        }
    }

    /// Whether it is about the build as such, and known before it begins.
    pub(super) fn is_about_the_build(&self) -> bool {
        match self {
            Self::Branch(_) | Self::Tag(_) | Self::Changed(_) | Self::Param { .. } | Self::Fork => true,
            Self::Heal { .. } | Self::Clock { .. } | Self::Random { .. } => true,
            Self::Job { .. } | Self::Kill { .. } | Self::Lose { .. } | Self::DiskFull { .. } => false,
            Self::Cancel { .. } | Self::Reject { .. } => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job { which, what } => {
                match which {
                    Attempts::All => f.write_str("*")?,
                    Attempts::Job(job) => f.write_str(job)?,
                    Attempts::One(job, attempt) => write!(f, "{job}/{attempt}")?,
                }
                write!(f, ":{what}")
            }
            Self::Kill { record } => write!(f, "kill={record}"),
            Self::Lose { record } => write!(f, "lose={record}"),
            Self::DiskFull { record, seconds } => write!(f, "full={record}:{seconds}"),
            Self::Cancel { at_ms } => write!(f, "cancel={at_ms}"),
            Self::Reject { job } => write!(f, "reject={job}"),
            Self::Branch(name) => write!(f, "branch={name}"),
            Self::Tag(name) => write!(f, "tag={name}"),
            Self::Changed(path) => write!(f, "changed={path}"),
            Self::Param { name, value } => write!(f, "param={name}={value}"),
            Self::Fork => f.write_str("fork"),
            Self::Heal { at_ms } => write!(f, "heal={at_ms}"),
            Self::Clock { seconds } => write!(f, "clock={seconds}"),
            Self::Random { number } => write!(f, "random={number}"),
        }
    }
}

impl fmt::Display for JobFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit={code}"),
            Self::OutOfMemory => f.write_str("oom"),
            Self::Killed => f.write_str("killed"),
            Self::Lost => f.write_str("lost"),
            Self::SidecarDies => f.write_str("sidecar-dies"),
            Self::Hangs => f.write_str("hangs"),
            Self::NotStarted => f.write_str("not-started"),
            Self::NoImage => f.write_str("no-image"),
            Self::EngineAway(seconds) => write!(f, "engine-away={seconds}"),
            Self::Twice => f.write_str("twice"),
            Self::Late(seconds) => write!(f, "late={seconds}"),
            Self::NotSaved => f.write_str("not-saved"),
        }
    }
}

/// A text that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no fault; faults are JOB/ATTEMPT:FAULT, JOB:FAULT or *:FAULT, with exit=CODE, oom, killed, lost, sidecar-dies, hangs, \
     not-started, no-image, engine-away=SECONDS, twice, late=SECONDS or not-saved; and kill=RECORD, lose=RECORD, \
     full=RECORD:SECONDS, cancel=MILLISECONDS, reject=JOB; and of the build, branch=NAME, tag=NAME, changed=PATH, param=NAME=VALUE, fork, \
     heal=MILLISECONDS, clock=SECONDS, random=NUMBER"
)]
pub struct NoFault(String);

impl FromStr for Fault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        let none = || NoFault(text.to_owned());
        let number = |text: &str| text.parse::<u64>().map_err(|_| none());
        if text == "fork" {
            return Ok(Self::Fork);
        }
        if let Some((whole, rest)) = text.split_once('=')
            && !whole.contains(':')
        {
            return Ok(match whole {
                "kill" => Self::Kill { record: number(rest)? },
                "lose" => Self::Lose { record: number(rest)? },
                "full" => {
                    let (record, seconds) = rest.split_once(':').ok_or_else(none)?;
                    Self::DiskFull { record: number(record)?, seconds: number(seconds)? }
                }
                "cancel" => Self::Cancel { at_ms: number(rest)? },
                "reject" => Self::Reject { job: rest.to_owned() },
                "branch" => Self::Branch(rest.to_owned()),
                "tag" => Self::Tag(rest.to_owned()),
                "changed" => Self::Changed(rest.to_owned()),
                "param" => {
                    let (name, value) = rest.split_once('=').ok_or_else(none)?;
                    Self::Param { name: name.to_owned(), value: value.to_owned() }
                }
                "heal" => Self::Heal { at_ms: number(rest)? },
                "clock" => Self::Clock { seconds: number(rest)? },
                "random" => Self::Random { number: number(rest)? },
                _ => return Err(none()),
            });
        }
        let (which, what) = text.rsplit_once(':').ok_or_else(none)?;
        let which = match (which, which.rsplit_once('/')) {
            ("*", _) => Attempts::All,
            (_, Some((job, attempt))) if attempt.parse::<u32>().is_ok_and(|attempt| attempt > 0) => {
                Attempts::One(job.to_owned(), attempt.parse().map_err(|_| none())?)
            }
            ("", _) => return Err(none()),
            (job, _) => Attempts::Job(job.to_owned()),
        };
        let (name, value) = what.split_once('=').map_or((what, None), |(name, value)| (name, Some(value)));
        let what = match (name, value) {
            ("exit", Some(code)) => JobFault::Exit(code.parse().map_err(|_| none())?),
            ("oom", None) => JobFault::OutOfMemory,
            ("killed", None) => JobFault::Killed,
            ("lost", None) => JobFault::Lost,
            ("sidecar-dies", None) => JobFault::SidecarDies,
            ("hangs", None) => JobFault::Hangs,
            ("not-started", None) => JobFault::NotStarted,
            ("no-image", None) => JobFault::NoImage,
            ("engine-away", Some(seconds)) => JobFault::EngineAway(number(seconds)?),
            ("twice", None) => JobFault::Twice,
            ("late", Some(seconds)) => JobFault::Late(number(seconds)?),
            ("not-saved", None) => JobFault::NotSaved,
            _ => return Err(none()),
        };
        Ok(Self::Job { which, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_back_from_its_text() {
        let whole =
            ["kill=12", "lose=3", "full=7:30", "cancel=4500", "reject=deploy", "branch=fix/ü", "tag=v1.0", "fork"];
        let build = ["changed=src/a b.rs", "param=targets=", "param=a=b=c", "clock=3600", "random=2", "heal=900000"];
        let whole = whole.into_iter().chain(build).map(str::to_owned);
        let ways = ["exit=2", "oom", "killed", "lost", "sidecar-dies", "hangs", "not-started", "no-image"];
        let more = ["engine-away=40", "twice", "late=20", "not-saved"];
        let of_jobs =
            ways.iter().chain(&more).flat_map(|way| ["*", "a:b", "unit/1", "a/b/12"].map(|job| format!("{job}:{way}")));
        for text in whole.chain(of_jobs) {
            assert_eq!(text.parse::<Fault>().map(|fault| fault.to_string()), Ok(text.clone()));
        }
    }

    #[test]
    fn what_is_no_fault_is_refused_with_what_there_is() {
        for text in [
            "",
            "kill",
            "kill=x",
            "test",
            "test/1",
            "test/1:exit",
            "test/1:oom=3",
            ":oom",
            "full=3",
            "jump=3",
            "param=a",
        ] {
            let refused = text.parse::<Fault>().expect_err(text);
            assert!(refused.to_string().contains("sidecar-dies"), "{refused}");
        }
    }
}
