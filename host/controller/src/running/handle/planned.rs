//! A build that is planned: what its script may look at and does not know.

use std::collections::BTreeMap;
use std::sync::Mutex;

use monkeyci_api::NotKnown;
use monkeyci_build::{Event, EventBody, JobSpec, Known};

use super::BuildHandle;
use crate::lock::lock;

/// What is not known of the results of a build that does not run.
#[derive(Debug, Default)]
pub(crate) struct Planned(Mutex<BTreeMap<String, Known>>);

impl Planned {
    /// Says of each job how much is known of its result.
    pub(crate) fn set(&self, known: BTreeMap<String, Known>) {
        *lock(&self.0) = known;
    }

    pub(super) fn not_known(&self, job: &str) -> Option<NotKnown> {
        let ending = match lock(&self.0).get(job)? {
            Known::All => return None,
            Known::Ending => false,
            Known::Nothing => true,
        };
        Some(NotKnown { job: job.to_owned(), ending })
    }
}

impl BuildHandle {
    /// What an action has submitted and whether it waits, of the events from a place on.
    pub(crate) fn done_by(&self, job: &str, after: u64) -> (Vec<JobSpec>, bool) {
        let of_job = |event: &Event| {
            event.body.job() == Some(job) || matches!(&event.body, EventBody::JobsSubmitted { by, .. } if by == job)
        };
        let (events, _) = self.events_after(after, (usize::MAX, usize::MAX), of_job);
        let (mut submitted, mut waits) = (Vec::new(), false);
        for event in events {
            match &event.body {
                EventBody::JobsSubmitted { jobs, .. } => submitted.extend(jobs.iter().cloned()),
                EventBody::JobWaiting { .. } => waits = true,
                _ => {}
            }
        }
        (submitted, waits)
    }
}
