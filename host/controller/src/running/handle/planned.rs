//! A build that is planned: what its script may look at and does not know.

use std::collections::HashMap;
use std::sync::Mutex;

use monkeyci_api::NotKnown;
use monkeyci_build::{EventBody, JobSpec, Known};

use super::BuildHandle;
use crate::lock::lock;

/// What is not known of the results of a build that does not run.
#[derive(Debug, Default)]
pub(crate) struct Planned(Mutex<HashMap<String, Known>>);

impl Planned {
    /// Says how much is known of the result of a job; of all others, all is.
    pub(crate) fn set(&self, job: &str, known: Known) {
        let mut jobs = lock(&self.0);
        match known {
            Known::All => drop(jobs.remove(job)),
            known => drop(jobs.insert(job.to_owned(), known)),
        }
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
    /// The place in the journal of the last event.
    pub(crate) fn seen(&self) -> u64 {
        self.last_seq.get()
    }

    /// Whether what a script has done since this place has changed jobs, their results, or who waits for whom: what it says to others
    /// does not.
    pub(crate) fn is_changed(&self, since: u64) -> bool {
        let words = |body: &EventBody| {
            matches!(
                body,
                EventBody::ScriptEvent { .. } | EventBody::ScriptReport { .. } | EventBody::ParamAsked { .. }
            )
        };
        self.any_since(since, |body| !words(body))
    }

    /// Returns when an action waits that did not at this place.
    pub(crate) async fn waits(&self, job: &str, mut since: u64) {
        let mut recorded = self.last_seq();
        let waits = recorded.until(|last| {
            let is_it = |body: &EventBody| matches!(body, EventBody::JobWaiting { job: waits, .. } if waits == job);
            let waits = self.any_since(since, is_it);
            since = *last;
            waits
        });
        if waits.await.is_err() {
            // Nothing is recorded any more.
            std::future::pending().await
        }
    }

    /// The jobs that an action has submitted since this place.
    pub(crate) fn submitted(&self, job: &str, since: u64) -> Vec<JobSpec> {
        let mut submitted = Vec::new();
        for event in lock(&self.events).iter().skip(place(since)) {
            if let EventBody::JobsSubmitted { by, jobs, .. } = &event.body
                && by == job
            {
                submitted.extend(jobs.iter().cloned());
            }
        }
        submitted
    }

    fn any_since(&self, since: u64, is_it: impl Fn(&EventBody) -> bool) -> bool {
        lock(&self.events).iter().skip(place(since)).any(|event| is_it(&event.body))
    }
}

/// Events are numbered from 1 without gaps.
fn place(since: u64) -> usize {
    usize::try_from(since).unwrap_or(usize::MAX)
}
