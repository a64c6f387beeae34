//! What scripts, and people, have written down in a build: of what form it has to be. How much of it says the build's state.

use super::BuildHandle;

/// The longest name of an event, in characters.
pub(super) const NAME_LIMIT: usize = 128;
/// The most bytes of an event's payload, and of a report's message.
pub(super) const TEXT_LIMIT: usize = 64 * 1024;

/// Why something can't be written down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WordsError {
    /// It does not have the right form.
    #[error("{0}")]
    Invalid(String),
    /// It is too long.
    #[error("{what} has at most {TEXT_LIMIT} bytes; this one has {length}")]
    TooLong { what: &'static str, length: usize },
}

/// Checks an event's name and payload.
pub(crate) fn check_event(build: &BuildHandle, name: &str, payload: &str) -> Result<(), WordsError> {
    let length = name.chars().count();
    if !(1..=NAME_LIMIT).contains(&length) || name.chars().any(char::is_control) {
        return Err(WordsError::Invalid(format!(
            "an event's name has 1 to {NAME_LIMIT} characters and no control characters; this one has {length}"
        )));
    }
    check_length("an event's payload", payload)?;
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(payload) {
        return Err(WordsError::Invalid(format!("the payload of event {name:?} is not JSON: {error}")));
    }
    // Whoever waits for the event would wait for another name, and read something else than was published.
    let found = build.masking.find(name).map(|secret| ("name", secret));
    let found = found.or_else(|| build.masking.json(payload).err().map(|secret| ("payload", secret)));
    if let Some((what, secret)) = found {
        return Err(WordsError::Invalid(format!(
            "the {what} of the event has the value of the secret {secret:?} in it, where it can't be masked; leave it out, \
             or put it into a string of the payload"
        )));
    }
    Ok(())
}

/// Checks a report's message.
pub(crate) fn check_report(message: &str) -> Result<(), WordsError> {
    check_length("a report's message", message)
}

fn check_length(what: &'static str, text: &str) -> Result<(), WordsError> {
    if text.len() <= TEXT_LIMIT { Ok(()) } else { Err(WordsError::TooLong { what, length: text.len() }) }
}
