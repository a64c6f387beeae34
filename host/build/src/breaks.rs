//! Where jobs stop for a person to look into them, and the moment at which one stands there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Command, Ending, JobSpec, ShellLine, Words};

/// Where the jobs of a build stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaks {
    /// Where a command fails, or a line of a shell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_failure: bool,
    /// Before these lines of jobs' shells, by job and from 1. The one after the last line is the end of all lines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<String, BTreeSet<u32>>,
}

/// Where one job stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobBreaks {
    /// Where its command fails, or a line of its shell.
    #[serde(default)]
    pub on_failure: bool,
    /// Before these lines of its shell, from 1.
    #[serde(default)]
    pub before: BTreeSet<u32>,
}

impl Breaks {
    /// Whether no job stops anywhere.
    pub fn is_empty(&self) -> bool {
        !self.on_failure && self.before.is_empty()
    }

    /// What is to be said of places at which none of the declared jobs comes by.
    pub fn in_vain(&self, jobs: &[JobSpec]) -> Vec<String> {
        let lines = |job: &JobSpec| match job.container().map(|container| &container.command) {
            Some(Command::Shell(shell)) => Some(shell.lines.len()),
            _ => None,
        };
        let said = self.before.iter().filter_map(|(id, before)| {
            let last = before.last()?;
            let Some(job) = jobs.iter().find(|job| job.id == *id) else {
                return Some(format!("a job {id:?}, which was to be held at a line, is not declared"));
            };
            match lines(job) {
                None => Some(format!("the job {id:?}, which was to be held at a line, runs no shell lines")),
                // A late job is completed with others.
                Some(lines) if !job.late && *last as usize > lines + 1 => {
                    Some(format!("the job {id:?} has {lines} shell lines: it is not held at a later one"))
                }
                Some(_) => None,
            }
        });
        said.collect()
    }

    /// Where this job stops.
    pub fn of(&self, job: &str) -> JobBreaks {
        JobBreaks { on_failure: self.on_failure, before: self.before.get(job).cloned().unwrap_or_default() }
    }
}

/// Where a job stands that is held: its containers stay as they are at that moment, and what of it still runs goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "at", rename_all = "kebab-case")]
pub enum Held {
    /// Its command has failed; it will end so.
    #[error("{ending}")]
    Failure {
        /// How.
        ending: Ending,
    },
    /// A line comes next.
    #[error("before line {}: {}", line.number, line.text)]
    Before {
        /// The line.
        line: ShellLine,
    },
    /// All lines have succeeded.
    #[error("after line {}, the last one: {}", line.number, line.text)]
    After {
        /// The last of them.
        line: ShellLine,
    },
}

impl Held {
    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words).
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        match self {
            Self::Failure { ending } => ending.words(see),
            Self::Before { line } | Self::After { line } => see(Words::Text(&mut line.text)),
        }
    }
}
