//! What scripts have done in a process that has died, and that no transcript has an answer to: when they do it again, it was done.
//!
//! What an action was told is in the journal before what it does then, and the answer to that comes behind it. So of an action in flight
//! there is one such thing at most. Of `define`, which has no transcript until it has ended, there are all.

use monkeyci_api::ArtifactInfo;
use monkeyci_build::{Asker, BuildCommand, EventBody};

use super::BuildHandle;
use crate::lock::lock;

impl BuildHandle {
    /// Whether the script has done this before, in another process.
    pub(super) fn was_done(&self, command: &BuildCommand) -> bool {
        let (job, attempt) = match command {
            BuildCommand::Publish { by: Asker { job, attempt }, .. }
            | BuildCommand::Report { by: Asker { job, attempt }, .. } => (job.clone(), *attempt),
            BuildCommand::Submit { job, attempt, .. } => (Some(job.clone()), *attempt),
            BuildCommand::Say { job, attempt, results } if results.tests.is_some() => (Some(job.clone()), *attempt),
            _ => return false,
        };
        let is_it = |before: EventBody| match (command, before) {
            (BuildCommand::Publish { name, payload, .. }, before) => {
                let (name, payload) = (name.clone(), payload.clone());
                before == self.masking.event(EventBody::ScriptEvent { job: job.clone(), attempt, name, payload })
            }
            (BuildCommand::Report { message, .. }, before) => {
                let message = message.clone();
                before == self.masking.event(EventBody::ScriptReport { job: job.clone(), attempt, message })
            }
            (BuildCommand::Submit { job, jobs, .. }, EventBody::JobsSubmitted { by, attempt: in_attempt, .. }) => {
                by == *job && in_attempt == attempt && self.state().are_submitted(job, attempt, jobs)
            }
            (BuildCommand::Say { job, results, .. }, before) => {
                let (job, results) = (job.clone(), results.clone());
                before == self.masking.event(EventBody::JobResults { job, attempt, results })
            }
            _ => false,
        };
        self.take_done(job.as_deref(), is_it).is_some()
    }

    /// The artifact, if the action has saved it before in another process.
    pub(crate) fn was_saved(&self, id: &str, job: &str, attempt: u32) -> Option<ArtifactInfo> {
        let is_it = |before: EventBody| matches!(before, EventBody::ArtifactSaved { id: saved, attempt: by, .. } if saved == id && by == attempt);
        let saved = self.take_done(Some(job), is_it)?;
        let EventBody::ArtifactSaved { job, id, size, digest, .. } = saved else { return None };
        Some(ArtifactInfo { id, job, size, digest })
    }

    /// Takes what was done next, if this is it.
    fn take_done(&self, job: Option<&str>, is_it: impl Fn(EventBody) -> bool) -> Option<EventBody> {
        let job = job.map(str::to_owned);
        let next = lock(&self.done).get_mut(&job)?.pop_front()?;
        if is_it(next.clone()) {
            return Some(next);
        }
        // It goes another way now, and what it does is new.
        lock(&self.done).remove(&job);
        None
    }
}
