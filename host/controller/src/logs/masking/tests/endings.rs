//! How jobs end.

use monkeyci_build::{Ending, ShellLine};

/// The endings after one of a kind. A new one can't be left out: the match would not compile.
fn next_ending(before: Option<&Ending>, text: &str) -> Option<Ending> {
    let s = || text.to_owned();
    let line = Some(ShellLine { number: 1, text: s() });
    let reason = s;
    Some(match before {
        None => Ending::Succeeded,
        Some(Ending::Succeeded) => Ending::Exited { code: 1, line },
        Some(Ending::Exited { .. }) => Ending::Signalled { signal: 9, line },
        Some(Ending::Signalled { .. }) => Ending::OutOfMemory { limit_bytes: None },
        Some(Ending::OutOfMemory { .. }) => Ending::DiskFull { place: s(), step: s(), reason: s(), code: None },
        Some(Ending::DiskFull { .. }) => Ending::CommandNotFound { command: s(), image: s() },
        Some(Ending::CommandNotFound { .. }) => Ending::NotExecutable { command: s(), image: s(), reason: s() },
        Some(Ending::NotExecutable { .. }) => Ending::ImageNotFound { image: s(), reason: s() },
        Some(Ending::ImageNotFound { .. }) => Ending::PullDenied { image: s(), reason: s() },
        Some(Ending::PullDenied { .. }) => Ending::NoSuchArchitecture { image: s(), architecture: s(), reason: s() },
        Some(Ending::NoSuchArchitecture { .. }) => Ending::StartFailed { image: s(), reason: s() },
        Some(Ending::StartFailed { .. }) => Ending::ValueMissing { name: s(), reason: s() },
        Some(Ending::ValueMissing { .. }) => {
            Ending::ServiceNotReady { service: "db".to_owned(), reason: s(), last_lines: s() }
        }
        Some(Ending::ServiceNotReady { .. }) => Ending::TimedOut { after_ms: 1, during: Some(s()) },
        Some(Ending::TimedOut { .. }) => Ending::Killed { code: 137 },
        Some(Ending::Killed { .. }) => Ending::ArtifactNotThere { id: "app".to_owned() },
        Some(Ending::ArtifactNotThere { .. }) => Ending::ArtifactMissing { id: "app".to_owned(), reason: s() },
        Some(Ending::ArtifactMissing { .. }) => Ending::ActionFailed { message: s() },
        Some(Ending::ActionFailed { .. }) => Ending::ActionTrapped { message: s() },
        Some(Ending::ActionTrapped { .. }) => Ending::LimitReached { limit: s() },
        Some(Ending::LimitReached { .. }) => Ending::SidecarFailed { step: s(), reason: s() },
        Some(Ending::SidecarFailed { .. }) => Ending::EngineGone { reason: s() },
        Some(Ending::EngineGone { .. }) => Ending::EngineFailed { reason: reason() },
        Some(Ending::EngineFailed { .. }) => Ending::HostDied,
        Some(Ending::HostDied) => Ending::Diverged { call: 1, recorded: s(), now: s() },
        Some(Ending::Diverged { .. }) => Ending::Skipped { because: "job".to_owned() },
        Some(Ending::Skipped { .. }) => Ending::Warned { message: s() },
        Some(Ending::Warned { .. }) => {
            Ending::Disputed { reported: Box::new(Ending::ActionFailed { message: s() }), code: 1 }
        }
        Some(Ending::Disputed { .. }) => Ending::Tolerated {
            ending: Box::new(Ending::Tolerated { ending: Box::new(Ending::ActionFailed { message: s() }) }),
        },
        Some(Ending::Tolerated { .. }) => Ending::NotNeeded { reason: s() },
        Some(Ending::NotNeeded { .. }) => Ending::Manual,
        Some(Ending::Manual) => Ending::Rejected { by: s(), comment: Some(s()) },
        Some(Ending::Rejected { .. }) => Ending::FailedFast { group: "g".to_owned(), because: "job".to_owned() },
        Some(Ending::FailedFast { .. }) => Ending::RefineFailed { message: s() },
        Some(Ending::RefineFailed { .. }) => Ending::Reused {
            build: "o/r/1".to_owned(),
            duration_ms: None,
            ending: Box::new(Ending::ActionFailed { message: s() }),
        },
        Some(Ending::Reused { .. }) => Ending::Cancelled,
        Some(Ending::Cancelled) => return None,
    })
}

/// An ending of each kind, with the text in every field that may hold any.
pub(super) fn endings(text: &str) -> Vec<Ending> {
    let mut endings: Vec<Ending> = Vec::new();
    while let Some(next) = next_ending(endings.last(), text) {
        endings.push(next);
    }
    endings
}
