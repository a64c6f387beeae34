//! Two plans, told apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::{Fate, Permissions, Plan, PlannedJob};
use crate::ParamSpec;

/// What tells one plan from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// Jobs that only the new one has, in their order.
    pub added: Vec<String>,
    /// Jobs that only the old one has, in their order.
    pub removed: Vec<GoneJob>,
    /// Jobs of both that are not the same, in the order of the new one.
    pub changed: Vec<ChangedJob>,
    /// What is not the same of the parameters.
    pub params: Vec<FieldDiff>,
    /// How many jobs are the same.
    pub same: usize,
    /// What is asked for by one and not by the other.
    pub permissions: PermissionsDiff,
}

/// A job that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoneJob {
    /// The job.
    pub job: String,
    /// Why a condition of the script removes it; `None` if the script declares no such job.
    pub reason: Option<String>,
}

/// A job that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedJob {
    /// The job.
    pub job: String,
    /// What of it.
    pub fields: Vec<FieldDiff>,
}

/// A field that is not the same: of two plans, or of what was recorded and what is so now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDiff {
    /// Its name in the script API, or `plan` for whether the job would run; in a replay its path, `kind.container.image` say.
    pub field: String,
    /// What it was; `None` if it was not there.
    pub old: Option<String>,
    /// What it is; `None` if it is not there.
    pub new: Option<String>,
}

/// What is asked for by one script and not by the other: kinds and names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PermissionsDiff {
    /// By the new one.
    pub added: Vec<(String, String)>,
    /// By the old one.
    pub removed: Vec<(String, String)>,
}

impl PlanDiff {
    /// What tells `new` from `old`. In which waves jobs run is no difference of its own: what they need is.
    pub fn of(old: &Plan, new: &Plan) -> Self {
        let index = |plan: &'_ Plan| -> HashMap<String, usize> {
            plan.jobs.iter().enumerate().map(|(at, job)| (job.spec.id.clone(), at)).collect()
        };
        let (before, now) = (index(old), index(new));
        let mut diff = Self { permissions: PermissionsDiff::of(&old.permissions, &new.permissions), ..Self::default() };
        for job in &new.jobs {
            let Some(was) = before.get(&job.spec.id).map(|at| &old.jobs[*at]) else {
                diff.added.push(job.spec.id.clone());
                continue;
            };
            let fields = if is_same(was, job) { Vec::new() } else { differences(&facts(was), &facts(job)) };
            match fields.is_empty() {
                true => diff.same += 1,
                false => diff.changed.push(ChangedJob { job: job.spec.id.clone(), fields }),
            }
        }
        let reasons: HashMap<&str, &str> =
            new.removed.iter().map(|(job, reason)| (job.as_str(), reason.as_str())).collect();
        for job in old.jobs.iter().map(|job| &job.spec.id).filter(|job| !now.contains_key(*job)) {
            let reason = reasons.get(job.as_str()).map(|reason| (*reason).to_owned());
            diff.removed.push(GoneJob { job: job.clone(), reason });
        }
        diff.params = differences(&params(&old.params), &params(&new.params));
        diff
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        let Self { added, removed, changed, params, same: _, permissions } = self;
        added.is_empty() && removed.is_empty() && changed.is_empty() && params.is_empty() && permissions.is_empty()
    }
}

impl PermissionsDiff {
    /// What tells `new` from `old`.
    pub fn of(old: &Permissions, new: &Permissions) -> Self {
        let less = |all: &Permissions, others: &Permissions| -> Vec<(String, String)> {
            let mut found = Vec::new();
            for ((kind, all), (_, others)) in all.kinds().into_iter().zip(others.kinds()) {
                found.extend(all.difference(others).map(|name| (kind.to_owned(), name.clone())));
            }
            found
        };
        Self { added: less(new, old), removed: less(old, new) }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Whether nothing of a job that is told differs, as most of most are.
fn is_same(was: &PlannedJob, job: &PlannedJob) -> bool {
    let fates = matches!((&was.fate, &job.fate), (Fate::Runs { .. }, Fate::Runs { .. })) || was.fate == job.fate;
    fates && was.spec == job.spec && was.open == job.open && was.submitted_by == job.submitted_by
}

/// What is compared of a job.
fn facts(job: &PlannedJob) -> Vec<(String, String)> {
    let mut facts = job.facts();
    let fate = match (&job.fate, &job.open) {
        (_, Some(open)) => format!("open: {open}"),
        (Fate::Runs { .. }, None) => "runs".to_owned(),
        (Fate::Never { reason, .. }, None) => format!("does not run: {reason}"),
    };
    facts.push(("plan".to_owned(), fate));
    facts.extend(job.submitted_by.iter().map(|by| ("submitted-by".to_owned(), by.clone())));
    facts
}

fn params(params: &[ParamSpec]) -> Vec<(String, String)> {
    params.iter().map(|param| (format!("param({})", param.name), param.to_string())).collect()
}

/// The names whose values are not the same, in the order of the new ones, then of the old ones. A name may come more than once.
fn differences(old: &[(String, String)], new: &[(String, String)]) -> Vec<FieldDiff> {
    let (mut before, mut names): (BTreeMap<&str, Vec<&str>>, Vec<&str>) = Default::default();
    for (name, value) in old {
        before.entry(name).or_default().push(value);
    }
    let mut now: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in new {
        now.entry(name).or_default().push(value);
    }
    let mut seen = BTreeSet::new();
    names.extend(new.iter().chain(old).map(|(name, _)| name.as_str()).filter(|name| seen.insert(*name)));
    let joined = |values: Option<&Vec<&str>>| values.map(|values| values.join("; "));
    let differing = names.into_iter().filter(|name| before.get(name) != now.get(name));
    let diff =
        |name: &str| FieldDiff { field: name.to_owned(), old: joined(before.get(name)), new: joined(now.get(name)) };
    differing.map(diff).collect()
}
