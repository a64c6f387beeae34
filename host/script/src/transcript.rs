//! The transcript of `define`: what the script was told, so that a later instance can be told the same.

use monkeyci_api::BuildInfo;
use monkeyci_build::JobDraft;

/// What happened in the first `define` of a build. Instances that run actions are answered from it, so that every instance
/// of a build sees the same graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub(crate) info: BuildInfo,
    /// The time of day that `define` saw, in milliseconds since the Unix epoch.
    pub(crate) time_ms: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) jobs: Vec<JobDraft>,
}

/// One call whose answer could differ from one time to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The function and its arguments, as text.
    pub(crate) request: String,
    pub(crate) answer: Answer,
}

/// The answer to a call: its value as bytes, or the HTTP status and message of an error.
pub(crate) type Answer = Result<Vec<u8>, (u16, String)>;

/// How an instance answers calls.
#[derive(Debug)]
pub(crate) enum Mode {
    /// `define`, for the first time: answers come from the build API and are kept.
    Record(Vec<Call>),
    /// `define`, once more: answers come from the transcript.
    Replay { transcript: std::sync::Arc<Transcript>, next: usize },
    /// `act`: answers come from the build API.
    Live,
}

impl Mode {
    /// The recorded answer to `request`; none when the build API has to be asked.
    ///
    /// # Errors
    /// When another call was made at this place the first time.
    pub(crate) fn replay(&mut self, request: &str) -> Result<Option<Answer>, Divergence> {
        let Self::Replay { transcript, next } = self else { return Ok(None) };
        let recorded = transcript.calls.get(*next);
        *next += 1;
        match recorded {
            Some(call) if call.request == request => Ok(Some(call.answer.clone())),
            other => Err(Divergence(format!(
                "call {next} was {} the first time, and is {request} now",
                other.map_or("not made", |call| &call.request),
            ))),
        }
    }

    /// Keeps an answer, if this is the first `define`.
    pub(crate) fn record(&mut self, request: String, answer: Answer) {
        if let Self::Record(calls) = self {
            calls.push(Call { request, answer });
        }
    }
}

/// The script did something else than the first time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Divergence(pub(crate) String);
