//! What hangs on the result of a job: what becomes of those that need it when it succeeds, and when it fails.

use std::fmt;

use serde::Serialize;

use crate::{BuildState, JobSpec, RunWhen};

/// What hangs on the result of one job that another needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// The job that is needed.
    pub need: String,
    /// What becomes of the one that needs it when it succeeds.
    pub success: Then,
    /// What becomes of it when the needed one fails.
    pub failure: Then,
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It runs.
    Runs,
    /// It is skipped: a job that it needs has not succeeded.
    Skipped,
    /// It runs on a failure, and there is none.
    NotNeeded,
    /// Its fail-fast group is stopped.
    Stopped,
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runs => "runs",
            Self::Skipped => "skipped",
            Self::NotNeeded => "not needed",
            Self::Stopped => "stopped",
        })
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} success → {}, failure → {}", self.need, self.success, self.failure)
    }
}

/// What of a job hangs on which of its needs that run, where all else is as it is in the state; nothing of one that is `decided`.
pub(super) fn of(state: &BuildState, spec: &JobSpec, runs: impl Fn(&str) -> bool, decided: bool) -> Vec<Branch> {
    if decided {
        return Vec::new();
    }
    let branch = |need: &String| {
        let needed = state.graph().get(need).filter(|_| runs(need))?;
        let (success, failure) = (then(state, spec, needed, false), then(state, spec, needed, true));
        (success != failure).then(|| Branch { need: need.clone(), success, failure })
    };
    spec.needs.iter().filter_map(branch).collect()
}

fn then(state: &BuildState, spec: &JobSpec, needed: &JobSpec, fails: bool) -> Then {
    let fails = fails && !needed.allow_failure;
    if fails && spec.fail_fast.is_some() && spec.fail_fast == needed.fail_fast {
        return Then::Stopped;
    }
    let mut others = spec.needs.iter().filter(|need| **need != needed.id);
    match (spec.run_when, fails) {
        (RunWhen::Always, _) | (RunWhen::Failure, true) => Then::Runs,
        (RunWhen::Success, true) => Then::Skipped,
        (RunWhen::Success, false) if others.any(|need| state.lacks(&spec.id, need)) => Then::Skipped,
        (RunWhen::Success, false) => Then::Runs,
        (RunWhen::Failure, false) if others.any(|need| state.counts_as_failed(need)) => Then::Runs,
        (RunWhen::Failure, false) => Then::NotNeeded,
    }
}
