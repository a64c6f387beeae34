//! What a build would do that has not run: which jobs would run, in what order, why the others not, and what hangs on results.
//!
//! A [`Planner`] folds the events of a build that nobody runs through [`BuildState`](crate::BuildState), so it decides nothing by rules of
//! its own: each job ends as it is [`Assumed`] to end, a person approves what is to be approved, and there are slots for all. What only the
//! script can say, it asks its caller for. [`PlanDiff`] tells two plans apart.

mod assumed;
mod branches;
mod diff;
mod facts;
mod permissions;
mod planner;

use serde::Serialize;

use crate::{Ending, JobSpec, ParamSpec};

pub use assumed::{Assumed, AssumedJob, Known};
pub use branches::{Branch, Then};
pub use diff::{ChangedJob, FieldDiff, GoneJob, PermissionsDiff, PlanDiff};
pub use permissions::Permissions;
pub use planner::{Answer, Planner, Turn};

/// What a build would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The jobs, in the order of declaration; then those that actions would submit.
    pub jobs: Vec<PlannedJob>,
    /// The jobs that a condition of the script removes, with the reasons.
    pub removed: Vec<(String, String)>,
    /// The parameters that the script declares.
    pub params: Vec<ParamSpec>,
    /// What the script and its jobs ask for beyond their own files.
    pub permissions: Permissions,
}

/// A job of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedJob {
    /// The job, completed by the script where that is known.
    pub spec: JobSpec,
    /// Whether it would run.
    pub fate: Fate,
    /// What of that hangs on the results of jobs that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<Branch>,
    /// What is decided only later, in words: a late job is completed, or skipped, when what it asks about has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// The job whose action submits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
}

/// Whether a job would run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub enum Fate {
    /// It would.
    Runs {
        /// In which wave, from 1: all jobs of a wave can run at once, when those of the waves before are over.
        wave: u32,
    },
    /// It would not.
    Never {
        /// How it would end.
        ending: Ending,
        /// Why, in words.
        reason: String,
    },
}

impl Plan {
    /// The job of this id.
    pub fn job(&self, id: &str) -> Option<&PlannedJob> {
        self.jobs.iter().find(|job| job.spec.id == id)
    }

    /// The jobs that would run: by their waves, then in their own order.
    pub fn in_order(&self) -> Vec<(u32, &PlannedJob)> {
        let mut order: Vec<_> = self.jobs.iter().filter_map(|job| Some((job.wave()?, job))).collect();
        order.sort_by_key(|(wave, _)| *wave);
        order
    }
}

impl PlannedJob {
    /// In which wave it would run, if it would.
    pub fn wave(&self) -> Option<u32> {
        match self.fate {
            Fate::Runs { wave } => Some(wave),
            Fate::Never { .. } => None,
        }
    }

    /// What the job does and what it is given, as names and values: fields of its own by the names that they have in the script API.
    pub fn facts(&self) -> Vec<(String, String)> {
        facts::of(&self.spec)
    }
}
