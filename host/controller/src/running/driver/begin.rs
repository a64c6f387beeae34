//! How a driver begins: with a new build, with one whose host has died, or with one that was parked.

use monkeyci_build::{Effect, EventBody, Input, Rerun, Select};

use super::{Begin, Driver};
use crate::error::ControllerError;

impl Driver {
    /// Writes down what there is to be said first, and has carried out what is outstanding.
    pub(super) async fn begin(&mut self, begin: Begin) -> Result<(), ControllerError> {
        match begin {
            Begin::New(request) => {
                let trigger = self.trigger.clone();
                let rerun = match &request.select {
                    Some(Select::Again(rerun)) => Some(rerun.clone()),
                    _ => None,
                };
                let triggered = EventBody::BuildTriggered { build: self.live.id.clone(), trigger };
                let rerun = rerun.map(|Rerun { of, by, what, with_changes, .. }| EventBody::BuildRerun {
                    of,
                    by,
                    what,
                    with_changes,
                });
                // On disk together, and before anything is done: whoever goes on with the build needs to know what it was to be. Of one of
                // which only the first is there nobody could, and its key would be taken.
                let first = [triggered, EventBody::BuildRequested { request }].into_iter().chain(rerun);
                let effects = self.write_all(first.collect())?;
                self.carry_out(effects).await
            }
            Begin::Again { by, again, go_on, cancel, said, started_ms: _ } => {
                self.said = said;
                self.write(EventBody::BuildResumed { by: by.clone() })?;
                if cancel {
                    self.write(EventBody::CancelRequested { by })?;
                }
                let lost = self.live.state().lost_attempts(again, &go_on);
                for body in lost {
                    self.write(body)?;
                }
                // All that was to be done and that no event says is done, with what comes of these.
                let mut outstanding = self.live.state().outstanding();
                let runs = |effect: &mut Effect| matches!(effect, Effect::Start { job, .. } if go_on.contains(job));
                for effect in outstanding.extract_if(.., runs).collect::<Vec<_>>() {
                    if let Effect::Start { job, attempt } = effect {
                        self.spawn(job, attempt, |effects, job, attempt, stop| effects.go_on(job, attempt, stop));
                    }
                }
                self.carry_out(outstanding).await?;
                let due = self.live.state().step(Input::Tick { now_ms: self.time.now_ms() });
                self.carry_out(due).await
            }
            Begin::Parked { cancel, said, started_ms: _ } => self.begin_parked(cancel, said).await,
        }
    }
}
