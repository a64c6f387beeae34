//! Going on with a build whose host has died.

use std::collections::BTreeSet;

use super::{BuildState, JobState};
use crate::{Ending, EventBody, JobSpec, SidecarReport, Status};

impl BuildState {
    /// The jobs that ran when the host died, and that are not being stopped.
    fn in_flight(&self) -> impl Iterator<Item = (&JobSpec, &JobState)> {
        self.jobs().filter(|(_, state)| state.status == Status::Running && state.stopping.is_none())
    }

    /// The container jobs that ran when the host died, and that are not being stopped: where the engine still has their pods, they go on.
    pub fn may_go_on(&self) -> impl Iterator<Item = (&JobSpec, &JobState)> {
        self.in_flight().filter(|(spec, _)| spec.container().is_some())
    }

    /// The actions that ran when the host died, and that are not being stopped: where the journal has what they were told, they go on.
    pub fn actions_in_flight(&self) -> impl Iterator<Item = &JobSpec> {
        self.in_flight().map(|(spec, _)| spec).filter(|spec| spec.container().is_none())
    }

    /// What to record first, in this order, for whoever goes on with a build whose host has died: the ends of the attempts that ran
    /// then. An attempt whose sidecar had said how it ended has ended so. Of the others nobody knows; they count as failed by the
    /// host's doing, and what the script says of retries holds. With `again` they run once more in any case.
    ///
    /// Whoever records them takes them in and ignores the effects that come out; all that is to be done then is
    /// [`outstanding`](Self::outstanding). Nothing of those attempts may run any more. Those of the jobs in `go_on` do, and are none
    /// of these.
    pub fn lost_attempts(&self, again: bool, go_on: &BTreeSet<String>) -> Vec<EventBody> {
        let lost = self.jobs().filter(|(spec, state)| state.status == Status::Running && !go_on.contains(&spec.id));
        let end = lost.map(|(spec, state)| {
            let (job, attempt) = (spec.id.clone(), state.attempt);
            let reported = match state.reported.as_deref() {
                Some(SidecarReport::Ended(ending)) => Some(ending.clone()),
                Some(SidecarReport::LauncherGone { .. }) | None => None,
            };
            match (reported, &state.stopping) {
                (Some(ending), _) => self.conclude(&job, state.with_warning(ending)),
                (None, Some(reason)) => EventBody::JobEnded { job, attempt, ending: reason.ending(spec) },
                (None, None) if again => EventBody::JobRetried { job, attempt, ending: Ending::HostDied, delay_ms: 0 },
                (None, None) => self.conclude(&job, Ending::HostDied),
            }
        });
        end.collect()
    }
}
