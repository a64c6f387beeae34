//! What an earlier build has: jobs, how they ended, and what is left of them.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;

use super::ReusedArtifact;
use crate::{BuildState, Ending, Event, EventBody, Input, JobSpec, Results};

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
        // How many run at a time is no matter for a fold.
        let mut state = BuildState::new(NonZeroUsize::MAX);
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
            drop(state.step(Input::Event(event)));
        }
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
            let job = EarlierJob {
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
