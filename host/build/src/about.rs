//! What an event is about, for those who look for some events and not for others.

use crate::EventBody;

impl EventBody {
    /// The kind of the event, as it stands in the journal: `build/triggered` and so on.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BuildTriggered { .. } => "build/triggered",
            Self::BuildRequested { .. } => "build/requested",
            Self::BuildRerun { .. } => "build/rerun",
            Self::BuildResumed { .. } => "build/resumed",
            Self::BuildCheckedOut { .. } => "build/checked-out",
            Self::ScriptLoaded { .. } => "script/loaded",
            Self::ScriptTold { .. } => "script/told",
            Self::JobsSelected { .. } => "jobs/selected",
            Self::BuildRefused { .. } => "build/refused",
            Self::JobTold { .. } => "job/told",
            Self::ScriptDefined { .. } => "script/defined",
            Self::JobsSubmitted { .. } => "jobs/submitted",
            Self::BuildFailed { .. } => "build/failed",
            Self::BuildWarned { .. } => "build/warned",
            Self::JobBlocked { .. } => "job/blocked",
            Self::JobApproved { .. } => "job/approved",
            Self::JobRefined { .. } => "job/refined",
            Self::JobStarted { .. } => "job/started",
            Self::JobRunning { .. } => "job/running",
            Self::JobWaiting { .. } => "job/waiting",
            Self::JobResults { .. } => "job/results",
            Self::JobReported { .. } => "job/reported",
            Self::JobRetried { .. } => "job/retried",
            Self::JobHeld { .. } => "job/held",
            Self::JobContinued { .. } => "job/continued",
            Self::JobEnded { .. } => "job/ended",
            Self::CancelRequested { .. } => "build/cancel-requested",
            Self::BuildTimedOut { .. } => "build/timed-out",
            Self::ScriptEvent { .. } => "script/event",
            Self::ScriptReport { .. } => "script/report",
            Self::ParamAsked { .. } => "script/asked",
            Self::OutsideEvent { .. } => "build/event",
            Self::ArtifactSaved { .. } => "artifact/saved",
            Self::BuildEnded { .. } => "build/ended",
        }
    }

    /// Whether the event is one for those who watch the build, and for its scripts. The others are for the host that goes on with it.
    pub fn is_shown(&self) -> bool {
        !matches!(self, Self::BuildRequested { .. } | Self::ScriptTold { .. } | Self::JobTold { .. })
    }

    /// The job that the event is about, or that caused it; none for events of the whole build.
    pub fn job(&self) -> Option<&str> {
        match self {
            Self::JobTold { job, .. }
            | Self::JobBlocked { job, .. }
            | Self::JobApproved { job, .. }
            | Self::JobStarted { job, .. }
            | Self::JobRunning { job, .. }
            | Self::JobHeld { job, .. }
            | Self::JobContinued { job, .. }
            | Self::JobWaiting { job, .. }
            | Self::JobResults { job, .. }
            | Self::JobReported { job, .. }
            | Self::JobRetried { job, .. }
            | Self::JobEnded { job, .. }
            | Self::ArtifactSaved { job, .. }
            | Self::JobsSubmitted { by: job, .. } => Some(job),
            Self::JobRefined { job, .. } => Some(&job.id),
            Self::ScriptEvent { job, .. } | Self::ScriptReport { job, .. } | Self::ParamAsked { job, .. } => {
                job.as_deref()
            }
            _ => None,
        }
    }

    /// The job's attempt that the event names; 0 if it names none.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::JobBlocked { attempt, .. }
            | Self::JobApproved { attempt, .. }
            | Self::JobRefined { attempt, .. }
            | Self::JobStarted { attempt, .. }
            | Self::JobRunning { attempt, .. }
            | Self::JobHeld { attempt, .. }
            | Self::JobContinued { attempt, .. }
            | Self::JobWaiting { attempt, .. }
            | Self::JobResults { attempt, .. }
            | Self::JobReported { attempt, .. }
            | Self::JobRetried { attempt, .. }
            | Self::JobEnded { attempt, .. }
            | Self::ArtifactSaved { attempt, .. }
            | Self::JobsSubmitted { attempt, .. }
            | Self::ScriptEvent { attempt, .. }
            | Self::ScriptReport { attempt, .. }
            | Self::ParamAsked { attempt, .. } => *attempt,
            _ => 0,
        }
    }

    /// The name and the JSON text of an event that a script or somebody outside published.
    pub fn published(&self) -> Option<(&str, &str)> {
        match self {
            Self::ScriptEvent { name, payload, .. } | Self::OutsideEvent { name, payload, .. } => Some((name, payload)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Again, Ending};

    #[test]
    fn the_kind_is_what_stands_in_the_journal() {
        let bodies = [
            EventBody::JobBlocked { job: "a".to_owned(), attempt: 1, message: "go?".to_owned(), runs: None },
            EventBody::JobWaiting { job: "a".to_owned(), attempt: 1, jobs: Vec::new(), rest: false },
            EventBody::JobEnded { job: "a".to_owned(), attempt: 1, ending: Ending::Succeeded },
            EventBody::OutsideEvent { by: "b".to_owned(), name: "n".to_owned(), payload: "1".to_owned() },
            EventBody::JobsSubmitted { by: "a".to_owned(), attempt: 1, jobs: Vec::new() },
            EventBody::BuildRerun { of: "o/r/1".to_owned(), by: "b".to_owned(), what: Again::All, with_changes: true },
            EventBody::JobsSelected { selection: Box::default() },
            EventBody::BuildRefused { message: "why".to_owned() },
            EventBody::CancelRequested { by: "b".to_owned() },
            EventBody::BuildTimedOut { after_ms: 1 },
        ];
        for body in bodies {
            let written = serde_json::to_value(&body).expect("JSON");
            assert_eq!(written["type"], body.kind());
        }
    }
}
