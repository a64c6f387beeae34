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
    // What each other need decides as it is.
    let decides = |need: &&String| match spec.run_when {
        RunWhen::Success => state.lacks(&spec.id, need),
        RunWhen::Failure => state.counts_as_failed(need),
        RunWhen::Always => false,
    };
    let deciding: Vec<&String> = spec.needs.iter().filter(decides).collect();
    let branch = |need: &String| {
        let needed = state.graph().get(need).filter(|_| runs(need))?;
        let is_decided = deciding.iter().any(|other| *other != need);
        let (success, failure) = (then(spec, needed, false, is_decided), then(spec, needed, true, is_decided));
        (success != failure).then(|| Branch { need: need.clone(), success, failure })
    };
    spec.needs.iter().filter_map(branch).collect()
}

/// What becomes of a job when one that it needs fails, or does not; whether another one has decided it that does not succeed, or fails.
fn then(spec: &JobSpec, needed: &JobSpec, fails: bool, is_decided: bool) -> Then {
    let fails = fails && !needed.allow_failure;
    if fails && spec.fail_fast.is_some() && spec.fail_fast == needed.fail_fast {
        return Then::Stopped;
    }
    match (spec.run_when, fails) {
        (RunWhen::Always, _) | (RunWhen::Failure, true) => Then::Runs,
        (RunWhen::Success, true) => Then::Skipped,
        (RunWhen::Success, false) if is_decided => Then::Skipped,
        (RunWhen::Success, false) => Then::Runs,
        (RunWhen::Failure, false) if is_decided => Then::Runs,
        (RunWhen::Failure, false) => Then::NotNeeded,
    }
}
