//! How a job ended, judged by what its engine saw: where its sidecar said nothing.

use monkeyci_api::WAITED_IN_VAIN;
use monkeyci_build::Ending;
use monkeyci_engines::{EngineError, PartExit};

/// The launcher's exit code for what is its own or the sidecar's doing, the sidecar's death say.
const LAUNCHER_FAILED: i64 = 125;

type End = Result<PartExit, EngineError>;

/// How the job's and the sidecar's container ended, as far as they have.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) job: Option<End>,
    pub(super) sidecar: Option<End>,
}

impl Ends {
    /// Whether both have ended in a way that leaves no room for a report.
    pub(super) fn are_certain(&self) -> bool {
        let gone = |end: &Option<End>| matches!(end, Some(Err(EngineError::Gone(_))));
        gone(&self.job) && gone(&self.sidecar)
    }

    /// The ending of a job whose sidecar has not said how it ended. `last_words` is what the sidecar wrote.
    pub(super) fn verdict(self, memory_bytes: Option<u64>, last_words: &str) -> Ending {
        match (self.job, self.sidecar) {
            (Some(Err(EngineError::Gone(reason))), _) | (_, Some(Err(EngineError::Gone(reason)))) => {
                Ending::EngineGone { reason }
            }
            // When both died the job's death is the cause, unless it was the launcher that gave up: then it lost the sidecar.
            (Some(Ok(exit)), None) => killed(Ok(exit), memory_bytes),
            (Some(Ok(exit)), Some(_)) if exit.code > 128 || exit.out_of_memory => killed(Ok(exit), memory_bytes),
            (Some(Err(error)), _) => killed(Err(error), memory_bytes),
            (_, Some(Ok(exit))) if exit.code == i64::from(WAITED_IN_VAIN) => Ending::HostDied,
            (_, Some(end)) => sidecar_ended(end, last_words),
            (None, None) => sidecar_failed("running", "nothing was heard of it"),
        }
    }
}

/// The code that the job's container exits with when its job ended so; none where that says nothing: of a launcher that was told
/// not to run anything, or whose job was killed for its memory.
pub(super) fn exit_code(reported: &Ending) -> Option<i64> {
    match reported {
        // An artifact that is missing makes a failure of a command that did well.
        Ending::Succeeded | Ending::ArtifactMissing { .. } => Some(0),
        Ending::Exited { code, .. } | Ending::DiskFull { code: Some(code), .. } => Some(i64::from(*code)),
        Ending::Signalled { signal, .. } => Some(128 + i64::from(*signal)),
        Ending::CommandNotFound { .. } => Some(127),
        Ending::NotExecutable { .. } => Some(126),
        _ => None,
    }
}

/// The exit code of who was killed from outside: nobody in a container can do that to its first process.
const KILLED: i64 = 137;

/// The ending of a job that was reported to have ended in a way that goes with an exit code, when its container ended so.
pub(super) fn agreed(reported: Ending, expected: i64, end: End) -> Ending {
    match end {
        // A launcher that is killed when its job was done changes nothing.
        Ok(PartExit { code, .. }) if code != expected && code != KILLED => {
            Ending::Disputed { reported: Box::new(reported), code }
        }
        _ => reported,
    }
}

/// What became of the job's container, when it did not end by itself.
pub(super) fn killed(end: End, memory_bytes: Option<u64>) -> Ending {
    match end {
        Ok(PartExit { out_of_memory: true, .. }) => Ending::OutOfMemory { limit_bytes: memory_bytes },
        Ok(PartExit { code: LAUNCHER_FAILED, .. }) => sidecar_failed("running", "the launcher gave up on it"),
        Ok(PartExit { code, .. }) => Ending::Killed { code },
        Err(EngineError::NoSuchPart(_)) => Ending::Killed { code: 137 },
        Err(EngineError::Gone(reason)) => Ending::EngineGone { reason },
        Err(error) => Ending::EngineFailed { reason: error.to_string() },
    }
}

fn sidecar_ended(end: End, last_words: &str) -> Ending {
    let reason = match end {
        Ok(exit) if exit.out_of_memory => "it ran out of memory".to_owned(),
        Ok(PartExit { code: 137, .. }) => "it was killed from outside".to_owned(),
        Ok(PartExit { code, .. }) => format!("it exited with code {code}"),
        Err(EngineError::NoSuchPart(_)) => "its container was removed from outside".to_owned(),
        Err(error) => error.to_string(),
    };
    let words = if last_words.is_empty() { String::new() } else { format!("; its last words: {last_words}") };
    sidecar_failed("running", &format!("{reason}{words}"))
}

/// The ending of a job whose pod could not be started.
pub(super) fn start_failed(error: EngineError) -> Ending {
    match error {
        EngineError::ImageNotFound { image, reason } => Ending::ImageNotFound { image, reason },
        EngineError::PullDenied { image, reason } => Ending::PullDenied { image, reason },
        EngineError::NoSuchArchitecture { image, architecture, reason } => {
            Ending::NoSuchArchitecture { image, architecture, reason }
        }
        EngineError::StartFailed { image, reason } => Ending::StartFailed { image, reason },
        EngineError::ServiceNotReady { service, reason, last_lines } => {
            Ending::ServiceNotReady { service, reason, last_lines: last_lines.trim_end().to_owned() }
        }
        EngineError::SidecarFailed(reason) => sidecar_failed("starting", &reason),
        EngineError::Gone(reason) => Ending::EngineGone { reason },
        EngineError::DiskFull { what, reason } => Ending::DiskFull {
            place: "the container engine's disk".to_owned(),
            step: "starting the job".to_owned(),
            reason: format!("asked to {what}, it said: {reason}"),
            code: None,
        },
        error => Ending::EngineFailed { reason: error.to_string() },
    }
}

pub(super) fn sidecar_failed(step: &str, reason: &str) -> Ending {
    Ending::SidecarFailed { step: step.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i64) -> Option<End> {
        Some(Ok(PartExit { code, out_of_memory: false }))
    }

    fn cause(job: Option<End>, sidecar: Option<End>) -> String {
        match (Ends { job, sidecar }).verdict(None, "") {
            Ending::Killed { code } => format!("killed {code}"),
            Ending::SidecarFailed { .. } => "sidecar".to_owned(),
            Ending::EngineGone { .. } => "engine".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_one_that_died_first_is_named_in_whatever_order_their_ends_are_seen() {
        assert_eq!(cause(exit(137), exit(1)), "killed 137");
        assert_eq!(cause(exit(137), None), "killed 137");
        assert_eq!(cause(exit(125), exit(137)), "sidecar", "the launcher gave up, since it lost the sidecar");
        assert_eq!(cause(exit(125), None), "sidecar");
        assert_eq!(cause(exit(0), exit(137)), "sidecar", "the job was done, and not saved");
        assert_eq!(cause(None, exit(1)), "sidecar");
        assert_eq!(cause(exit(125), exit(75)), "HostDied", "nobody came in time");
    }

    #[test]
    fn a_report_and_an_exit_code_that_do_not_go_together_are_an_error() {
        let judged = |reported: &Ending, code| {
            let expected = exit_code(reported).expect("it goes with an exit code");
            agreed(reported.clone(), expected, Ok(PartExit { code, out_of_memory: false }))
        };
        let exited = Ending::Exited { code: 3, line: None };
        let killed = Ending::Signalled { signal: 6, line: None };
        for (reported, code) in [(&Ending::Succeeded, 0), (&exited, 3), (&killed, 134), (&Ending::Succeeded, 137)] {
            assert_eq!(&judged(reported, code), reported);
        }
        for (reported, code) in [(&Ending::Succeeded, 1), (&Ending::Succeeded, 125), (&exited, 0), (&killed, 0)] {
            let ending = judged(reported, code);
            assert_eq!(ending, Ending::Disputed { reported: Box::new(reported.clone()), code });
            assert_eq!(ending.status(), monkeyci_build::Status::Error);
        }
        let gone = || Err(EngineError::Gone("refused".to_owned()));
        assert_eq!(agreed(Ending::Succeeded, 0, gone()), Ending::Succeeded, "nobody says otherwise");
    }

    #[test]
    fn an_engine_that_went_away_is_the_cause_of_everything() {
        let gone = || Some(Err(EngineError::Gone("refused".to_owned())));
        assert_eq!(cause(gone(), gone()), "engine");
        assert_eq!(cause(exit(137), gone()), "engine");
        assert_eq!(cause(gone(), exit(137)), "engine");
    }
}
