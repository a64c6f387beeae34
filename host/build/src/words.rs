//! Which texts of an event are words for people.

use crate::{EventBody, JobSummary, ParamSpec};

/// A text of an event that is words for people, or for programs inside its strings.
#[derive(Debug)]
pub enum Words<'a> {
    /// A text as it is.
    Text(&'a mut String),
    /// JSON: its strings are words, and the rest has to stay as it is.
    Json(&'a mut String),
}

impl EventBody {
    /// Shows every text that is words for people to `see`, which may change it: secrets are masked there. The others are data:
    /// ids, names and jobs, which the build is made of, and which stay as they are. Each field says here which it is.
    pub fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let mut text = |text: &mut String| see(Words::Text(text));
        match self {
            Self::BuildTriggered { build: _, trigger } => text(trigger),
            // Values in which a secret stands are no part of either.
            Self::BuildRequested { request: _ }
            | Self::ScriptTold { told: _ }
            | Self::JobTold { job: _, attempt: _, calls: _ } => {}
            Self::BuildResumed { by } | Self::BuildRerun { of: _, by, what: _, with_changes: _ } => text(by),
            Self::JobsSelected { selection } => selection.words(see),
            Self::BuildRefused { message } => text(message),
            Self::BuildCheckedOut { source } => source.words(see),
            Self::ScriptLoaded { digest: _, size: _, cached: _ } => {}
            Self::ScriptDefined { jobs: _, removed, params } => {
                removed.iter_mut().for_each(|(_, reason)| text(reason));
                for ParamSpec { name: _, kind: _, default: _, required: _, description } in params {
                    description.iter_mut().for_each(&mut text);
                }
            }
            Self::JobsSubmitted { by: _, attempt: _, jobs: _ } | Self::JobRefined { job: _, attempt: _ } => {}
            Self::JobBlocked { job: _, attempt: _, message, runs } => [message].into_iter().chain(runs).for_each(text),
            Self::JobApproved { job: _, attempt: _, by, comment } => {
                [by].into_iter().chain(comment).for_each(text);
            }
            Self::JobWaiting { job: _, attempt: _, jobs: _, rest: _ }
            | Self::JobStarted { job: _, attempt: _ }
            | Self::JobRunning { job: _, attempt: _ } => {}
            Self::JobResults { job: _, attempt: _, results } => results.words(see),
            Self::JobHeld { job: _, attempt: _, number: _, held, limit_ms: _ } => held.words(see),
            Self::JobContinued { job: _, attempt: _, by } => text(by),
            Self::JobReported { job: _, attempt: _, report } => report.words(see),
            Self::JobRetried { job: _, attempt: _, ending, delay_ms: _ }
            | Self::JobEnded { job: _, attempt: _, ending } => ending.words(see),
            Self::OutsideEvent { by, name: _, payload } => {
                text(by);
                see(Words::Json(payload));
            }
            Self::BuildFailed { script: _, message, faults } => {
                text(message);
                faults.words(see);
            }
            Self::BuildWarned { message } => text(message),
            Self::CancelRequested { by } => text(by),
            Self::BuildTimedOut { after_ms: _ } => {}
            Self::ScriptEvent { job: _, attempt: _, name: _, payload } => see(Words::Json(payload)),
            Self::ScriptReport { job: _, attempt: _, message } => text(message),
            Self::ParamAsked { job: _, attempt: _, param: _ } => {}
            Self::ArtifactSaved { job: _, attempt: _, id: _, size: _, digest: _ } => {}
            Self::BuildEnded { status: _, jobs } => {
                for JobSummary { job: _, ending, duration_ms: _, results } in jobs {
                    ending.words(see);
                    results.iter_mut().for_each(|results| results.words(see));
                }
            }
        }
    }
}
