//! Which jobs of a build run: all, some, or those that are to run again of an earlier build, whose other results are reused.
//!
//! What was asked is a [`Select`], which stands in the build's request. What it means for the jobs that the script declares is a
//! [`Selection`], which is written down before they are: so a build that is gone on with decides nothing anew.

mod again;
mod earlier;
mod only;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use again::select_again;
pub use earlier::{Earlier, EarlierJob};
pub use only::select_only;

use crate::words::Words;
use crate::{Ending, JobSpec, Results, nearest};

/// Which jobs of a build somebody wants to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// These, with all that they need.
    Jobs(BTreeSet<String>),
    /// All but those that come after these.
    Until(BTreeSet<String>),
    /// Those that are to run again of an earlier build.
    Again(Rerun),
}

/// A build that is one more run of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// The earlier build's id.
    pub of: String,
    /// Who asked for it.
    pub by: String,
    /// Which jobs run again.
    pub what: Again,
    /// Whether code and script are what they are now, and not what they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_changes: bool,
    /// Whether a parameter is another one than it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_params: bool,
}

/// Which jobs of an earlier build run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Again {
    /// Those that did not succeed, and all that needs them.
    Failed,
    /// These, and all that needs them.
    From(BTreeSet<String>),
    /// These alone.
    Jobs(BTreeSet<String>),
    /// All.
    All,
}

impl Rerun {
    /// Whether the script may declare other jobs than it did.
    pub fn may_differ(&self) -> bool {
        self.with_changes || self.other_params
    }
}

impl std::fmt::Display for Again {
    /// What runs again, as the end of a sentence.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed => f.write_str("what did not succeed"),
            Self::From(jobs) => write!(f, "{} and what needs it", listed(jobs)),
            Self::Jobs(jobs) => write!(f, "{} alone", listed(jobs)),
            Self::All => f.write_str("all jobs"),
        }
    }
}

/// What a selection means for the jobs of a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// The jobs that do not run because an earlier build has their results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reused: Vec<ReusedJob>,
    /// The jobs that do not run because they are not asked for, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<(String, String)>,
    /// Those of an earlier build that run again, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<(String, String)>,
    /// The manual jobs that are started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<String>,
}

/// A job whose results are reused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReusedJob {
    /// The job's id.
    pub job: String,
    /// How it ends here: [`Ending::Reused`], or as it ended there when it did not run there either.
    pub ending: Ending,
    /// What it said of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Box<Results>>,
    /// What it saved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ReusedArtifact>,
    /// Whose action submitted it, and the job itself, for one that was not declared. Where the action is reused too it is in the
    /// build as soon as that is; otherwise when the action submits the very same job again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted: Option<Box<Submitted>>,
}

/// A job that an action submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The job whose action did.
    pub by: String,
    /// The job.
    pub spec: JobSpec,
}

/// An artifact that is reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReusedArtifact {
    /// Its id.
    pub id: String,
    /// Its size in the store, in bytes.
    pub size: u64,
    /// The SHA-256 of the stored bytes, in hexadecimal.
    pub digest: String,
}

impl Selection {
    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words).
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let Self { reused, left_out, again, started: _ } = self;
        for ReusedJob { job: _, ending, results, artifacts: _, submitted: _ } in reused {
            ending.words(see);
            results.iter_mut().for_each(|results| results.words(see));
        }
        left_out.iter_mut().chain(again).for_each(|(_, reason)| see(Words::Text(reason)));
    }
}

/// Why what was asked for can't be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// There is no such job.
    #[error("there is no job {job:?}{}", near.as_ref().map_or_else(String::new, |near| format!("; did you mean {near:?}?")))]
    NoJob {
        /// What was asked for.
        job: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// A condition of the script removed the job.
    #[error("there is no job {job:?} in this build: a condition of the script removed it: {reason}")]
    Removed {
        /// What was asked for.
        job: String,
        /// Why there is no such job.
        reason: String,
    },
    /// No job is to run.
    #[error("no job of the build {build} failed, so there is none to run again; see --from, --job and --all")]
    NothingFailed {
        /// The earlier build.
        build: String,
    },
}

/// That all these jobs are there.
fn all_there<'a>(
    wanted: &BTreeSet<String>,
    removed: &[(String, String)],
    ids: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), SelectError> {
    let known: BTreeSet<&str> = ids.clone().collect();
    let Some(job) = wanted.iter().find(|job| !known.contains(job.as_str())).cloned() else { return Ok(()) };
    match removed.iter().find(|(id, _)| *id == job) {
        Some((_, reason)) => Err(SelectError::Removed { job, reason: reason.clone() }),
        None => Err(SelectError::NoJob { near: nearest(&job, ids), job }),
    }
}

/// Jobs in a sentence.
fn listed(jobs: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = jobs.iter().take(SHOWN).map(String::as_str).collect();
    let more = if jobs.len() > SHOWN { format!(" and {} more", jobs.len() - SHOWN) } else { String::new() };
    format!("{}{more}", names.join(", "))
}
