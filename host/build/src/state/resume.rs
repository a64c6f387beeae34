//! Going on with a build whose host has died.

use super::BuildState;
use crate::{Ending, EventBody, SidecarReport, Status};

impl BuildState {
    /// What to record first, in this order, for whoever goes on with a build whose host has died: the ends of the attempts that ran
    /// then. An attempt whose sidecar had said how it ended has ended so. Of the others nobody knows; they count as failed by the
    /// host's doing, and what the script says of retries holds. With `again` they run once more in any case.
    ///
    /// Whoever records them takes them in and ignores the effects that come out; all that is to be done then is
    /// [`outstanding`](Self::outstanding). Nothing of those attempts may run any more.
    pub fn lost_attempts(&self, again: bool) -> Vec<EventBody> {
        let lost = self.jobs().filter(|(_, state)| state.status == Status::Running);
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
