//! What an earlier build has: jobs, how they ended, and what is left of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::ReusedArtifact;
use crate::{BuildState, Ending, Event, EventBody, JobSpec, Results};

/// What an earlier build has.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    pub(super) build: String,
    /// Declared jobs, then those that were submitted: each after the one that did.
    pub(super) jobs: Vec<EarlierJob>,
    index: HashMap<String, usize>,
    /// The jobs that were not asked for there, with the reasons.
    pub(super) left_out: BTreeMap<String, String>,
    removed: Vec<(String, String)>,
}

/// A job of an earlier build.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierJob {
    /// The job as it was declared or submitted, before the script completed it.
    pub spec: JobSpec,
    /// Whose action submitted it.
    pub submitted_by: Option<String>,
    /// How it ended; none if it did not.
    pub ending: Option<Ending>,
    /// Whether it ran, there or in a build before.
    pub ran: bool,
    /// Whether it did not run and was not to: it is manual, or can't do without one that had nothing to do.
    pub excused: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What it said of its result.
    pub results: Option<Box<Results>>,
    /// What it saved, each with the attempt by which the store names it.
    pub artifacts: Vec<(ReusedArtifact, u32)>,
    /// The attempt that counts, by which the store names its test reports.
    pub attempt: u32,
}

impl Earlier {
    /// What the events of a build tell.
    pub fn of(build: &str, events: &[Event]) -> Self {
        let mut earlier = Self { build: build.to_owned(), ..Self::default() };
        let mut declared: Vec<(JobSpec, Option<String>)> = Vec::new();
        for event in events {
            match &event.body {
                EventBody::JobsSelected { selection } => {
                    earlier.left_out = selection.left_out.iter().cloned().collect();
                    let submitted = selection.reused.iter().filter_map(|reused| reused.submitted.as_deref());
                    let submitted = submitted.map(|submitted| (submitted.spec.clone(), Some(submitted.by.clone())));
                    declared.splice(.., submitted);
                }
                EventBody::ScriptDefined { jobs, removed, .. } => {
                    declared.splice(0..0, jobs.iter().map(|job| (job.clone(), None)));
                    earlier.removed.clone_from(removed);
                }
                EventBody::JobsSubmitted { by, jobs, .. } => {
                    declared.extend(jobs.iter().map(|job| (job.clone(), Some(by.clone()))));
                }
                _ => {}
            }
        }
        let state = BuildState::of(events);
        let excused = excused(&state);
        for (spec, submitted_by) in declared {
            // One that was on offer, and that nobody submitted again, was no job of that build.
            let Some(known) = state.job(&spec.id).filter(|_| !earlier.index.contains_key(&spec.id)) else { continue };
            let (ran, duration_ms) = match &known.ending {
                Some(Ending::Reused { duration_ms, .. }) => (true, *duration_ms),
                _ => {
                    let took = known.ended_ms.zip(known.started_ms);
                    (known.started_ms.is_some(), took.map(|(ended, started)| ended.saturating_sub(started)))
                }
            };
            let artifacts = state.artifacts().filter(|(_, saved)| saved.job == spec.id).map(|(id, saved)| {
                let (size, digest) = (saved.size, saved.digest.clone());
                (ReusedArtifact { id: id.to_owned(), size, digest }, saved.attempt)
            });
            let excused = match &known.ending {
                Some(Ending::Skipped { because }) => excused.contains(because.as_str()),
                ending => ending.as_ref().is_some_and(Ending::is_intended_skip),
            };
            let job = EarlierJob {
                excused,
                ending: known.ending.clone(),
                ran,
                duration_ms,
                results: known.results.clone(),
                artifacts: artifacts.collect(),
                attempt: known.attempt.max(1),
                spec,
                submitted_by,
            };
            earlier.index.insert(job.spec.id.clone(), earlier.jobs.len());
            earlier.jobs.push(job);
        }
        earlier
    }

    /// The build's id.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// Its jobs: those that were declared, and then those that were submitted.
    pub fn jobs(&self) -> &[EarlierJob] {
        &self.jobs
    }

    /// The job of this id.
    pub fn job(&self, id: &str) -> Option<&EarlierJob> {
        self.index.get(id).map(|job| &self.jobs[*job])
    }

    /// The jobs that its script declared.
    pub fn declared(&self) -> Vec<JobSpec> {
        self.jobs.iter().filter(|job| job.submitted_by.is_none()).map(|job| job.spec.clone()).collect()
    }

    /// The jobs that a condition of its script removed, with the reasons.
    pub fn removed(&self) -> &[(String, String)] {
        &self.removed
    }
}

/// The jobs that were not to run, with those that were skipped for the want of one of them.
fn excused(state: &BuildState) -> HashSet<String> {
    let skipped: HashMap<&str, &str> = state
        .jobs()
        .filter_map(|(spec, job)| match &job.ending {
            Some(Ending::Skipped { because }) => Some((spec.id.as_str(), because.as_str())),
            _ => None,
        })
        .collect();
    let intended = |id: &str| state.job(id).and_then(|job| job.ending.as_ref()).is_some_and(Ending::is_intended_skip);
    let mut excused: HashSet<String> =
        state.jobs().map(|(spec, _)| spec.id.clone()).filter(|id| intended(id)).collect();
    // From what is skipped to what it was skipped for the want of, until that is known.
    for job in skipped.keys() {
        let (mut chain, mut at) = (vec![*job], *job);
        while let Some(because) = skipped.get(at).filter(|_| chain.len() <= skipped.len()) {
            at = because;
            chain.push(at);
        }
        if excused.contains(at) {
            excused.extend(chain.into_iter().map(str::to_owned));
        }
    }
    excused
}
