//! What the ending of a job makes of its build.

use crate::{Ending, Status};

/// What the endings of jobs make of the build, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Success,
    /// A job was skipped or cancelled though no job failed and nobody cancelled the build.
    Stopped,
    Failure,
    Error,
}

/// What a job's ending makes of the build; `excused` is one that the build does without.
pub(super) fn verdict(ending: &Ending, excused: bool) -> Verdict {
    match ending.status() {
        Status::Error => Verdict::Error,
        Status::Failure => Verdict::Failure,
        Status::Skipped if excused || ending.is_intended_skip() => Verdict::Success,
        Status::Skipped | Status::Cancelled => Verdict::Stopped,
        _ => Verdict::Success,
    }
}
