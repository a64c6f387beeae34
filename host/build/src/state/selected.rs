//! What was decided of a build's jobs before they were declared: which are reused of an earlier build, and which are left out.

use std::collections::{HashMap, HashSet};

use super::BuildState;
use super::schedule::Schedule;
use crate::{Ending, JobSpec, ReusedJob, SavedArtifact, Selection};

/// What was decided of some jobs.
#[derive(Clone, Debug, Default)]
pub(super) struct Selected {
    reused: HashMap<String, ReusedJob>,
    left_out: HashMap<String, String>,
    started: HashSet<String>,
    /// Those of the reused ones that were submitted, in their order.
    submitted: Vec<String>,
}

impl Selected {
    pub(super) fn of(selection: &Selection) -> Self {
        let submitted = selection.reused.iter().filter(|reused| reused.submitted.is_some());
        Self {
            submitted: submitted.map(|reused| reused.job.clone()).collect(),
            reused: selection.reused.iter().map(|reused| (reused.job.clone(), reused.clone())).collect(),
            left_out: selection.left_out.iter().cloned().collect(),
            started: selection.started.iter().cloned().collect(),
        }
    }

    /// How a job ends that does not run; none for one that does.
    fn ending(&self, spec: &JobSpec) -> Option<Ending> {
        // One that an action submits is the one that was on offer, or it runs.
        let is_it = |reused: &&ReusedJob| reused.submitted.as_ref().is_none_or(|submitted| submitted.spec == *spec);
        let reused = self.reused.get(&spec.id).filter(is_it).map(|reused| reused.ending.clone());
        let left_out = || self.left_out.get(&spec.id).map(|reason| Ending::NotNeeded { reason: reason.clone() });
        let manual = || (spec.manual && !self.started.contains(&spec.id)).then_some(Ending::Manual);
        reused.or_else(left_out).or_else(manual)
    }
}

impl Schedule {
    /// How a job ends that does not run, by what was decided before it was known; none for one that runs.
    pub(super) fn selected_ending(&self, job: usize) -> Option<Ending> {
        self.selected.ending(&self.graph.jobs()[job])
    }
}

impl BuildState {
    /// The declared jobs, and those that actions have submitted in an earlier build which do not run in this one.
    pub(super) fn with_reused(&mut self, declared: &[JobSpec]) -> Vec<JobSpec> {
        let mut jobs = declared.to_vec();
        let selected = &self.schedule.selected;
        let mut there: HashSet<&str> = declared.iter().map(|job| job.id.as_str()).collect();
        for id in &selected.submitted {
            let Some(submitted) = selected.reused.get(id).and_then(|reused| reused.submitted.as_deref()) else {
                continue;
            };
            let by = submitted.by.as_str();
            if there.contains(by) && selected.reused.contains_key(by) && there.insert(id) {
                jobs.push(submitted.spec.clone());
                self.submitted.entry(id.clone()).or_insert_with(|| (by.to_owned(), 1));
            }
        }
        jobs
    }

    /// A job is over that is reused: what it said and saved counts here.
    pub(super) fn take_results(&mut self, job: &str) {
        let attempt = self.turn(job);
        let Some(reused) = self.schedule.selected.reused.get(job) else { return };
        for artifact in &reused.artifacts {
            let saved =
                SavedArtifact { job: job.to_owned(), attempt, size: artifact.size, digest: artifact.digest.clone() };
            self.artifacts.entry(artifact.id.clone()).or_insert(saved);
        }
        let results = reused.results.clone();
        self.schedule.reuse(job, results);
    }
}
