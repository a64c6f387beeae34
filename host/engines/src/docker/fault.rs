//! What an engine's refusals mean.

use std::error::Error as _;

use bollard::errors::Error;

use crate::EngineError;

/// What the engine said, in its own words.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, status_code } if message.trim().is_empty() => {
            format!("status {status_code}, without a word")
        }
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => error.trim().to_owned(),
        other => {
            // hyper's errors keep the cause that matters ("permission denied") at the far end of the chain.
            let mut text = other.to_string();
            let mut source = other.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// The object that was named is not there. Podman also says so with status 500, when it goes while it is looked at.
pub(super) fn is_missing(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => true,
        Error::DockerResponseServerError { status_code: 500, message } => {
            ["no such container", "network not found", "no such volume"].iter().any(|words| message.contains(words))
        }
        _ => false,
    }
}

/// An object of that name is there already. Docker answers 409, Podman 500 and a sentence.
pub(super) fn is_taken(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 409, .. } => true,
        Error::DockerResponseServerError { status_code: 500, message } => {
            ["already in use", "already used", "already exists"].iter().any(|words| message.contains(words))
        }
        _ => false,
    }
}

/// The addresses of a network are another's: of the engine's, or, as Podman sees, of the machine's.
pub(super) fn is_overlapping(error: &Error) -> bool {
    let words = ["overlaps with other", "already used on the host", "is already used by", "already being used by"];
    matches!(error, Error::DockerResponseServerError { message, .. } if words.iter().any(|words| message.contains(words)))
}

/// The engine did not answer (to the end): nothing is known about the object.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::RequestTimeoutError
            | Error::SocketNotFoundError(_)
    )
}

/// The engine's disk is full, by what it said: the text of ENOSPC or EDQUOT stands in all that an engine wraps it in.
pub(super) fn is_disk_full(said: &str) -> bool {
    ["no space left on device", "disk quota exceeded"].iter().any(|words| said.contains(words))
}

/// The error of a request to `what` ("create network x") that has no type of its own.
pub(super) fn refused(what: impl Into<String>, error: &Error) -> EngineError {
    let what = what.into();
    let reason = said(error);
    if is_gone(error) {
        EngineError::Gone(format!("asked to {what}: {reason}"))
    } else if is_disk_full(&reason) {
        EngineError::DiskFull { what, reason }
    } else {
        EngineError::Refused { what, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn a_taken_name_is_recognised_in_the_words_of_both_engines() {
        assert!(is_taken(&answered(409, "Conflict. The container name \"/x\" is already in use")));
        assert!(is_taken(&answered(500, "the container name \"x\" is already in use by 5f8a")));
        assert!(is_taken(&answered(500, "network name x already used: network already exists")));
        assert!(!is_taken(&answered(500, "no space left on device")));
    }

    #[test]
    fn addresses_of_another_are_recognised_in_the_words_of_both_engines() {
        assert!(is_overlapping(&answered(403, "Pool overlaps with other one on this address space")));
        let podmans = "subnet 198.18.0.0/26 is already used on the host or by another config";
        assert!(is_overlapping(&answered(500, podmans)));
        assert!(!is_overlapping(&answered(500, "network name x already used: network already exists")));
    }

    #[test]
    fn a_broken_connection_is_gone_and_anything_else_is_refused() {
        let broken = Error::IOError { err: std::io::Error::other("broken pipe") };
        assert_eq!(
            refused("list containers", &broken).to_string(),
            "the container engine does not answer: asked to list containers: broken pipe"
        );
        assert_eq!(
            refused("create network x", &answered(500, "no pool left")).to_string(),
            "the container engine refused to create network x: no pool left"
        );
        let full = refused("create volume x", &answered(500, "mkdir /x: no space left on device"));
        assert!(matches!(full, EngineError::DiskFull { .. }), "{full}");
    }
}
