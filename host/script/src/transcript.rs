//! The transcript of `define`: what the script was told, so that a later instance can be told the same.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use monkeyci_api::BuildInfo;
use monkeyci_build::{JobDraft, Told, ToldAnswer, ToldCall};

use crate::memory::Kept;

/// What happened in the first `define` of a build. Instances that run actions are answered from it, so that every instance
/// of a build sees the same graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub(crate) info: BuildInfo,
    /// The time of day that `define` saw, in milliseconds since the Unix epoch.
    pub(crate) time_ms: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) jobs: Vec<JobDraft>,
    /// Its part of the build's memory.
    pub(crate) memory: Kept,
}

impl Transcript {
    /// What stands in the journal of it: with the same build, and the same script, it is enough to make it again.
    pub fn told(&self) -> Told {
        let call = |Call { request, answer }: &Call| ToldCall { request: request.clone(), answer: written(answer) };
        Told { time_ms: self.time_ms, calls: self.calls.iter().map(call).collect(), ..Told::default() }
    }

    /// The transcript that a journal has, without the jobs, which the script declares again.
    ///
    /// # Errors
    /// Says what in it is not of the right form.
    pub(crate) fn of(info: BuildInfo, told: &Told) -> Result<Self, String> {
        let call = |(number, ToldCall { request, answer }): (usize, &ToldCall)| {
            let answer = read(answer).map_err(|error| format!("the answer to call {}: {error}", number + 1))?;
            Ok(Call { request: request.clone(), answer })
        };
        let calls = told.calls.iter().enumerate().map(call).collect::<Result<_, String>>()?;
        Ok(Self { info, time_ms: told.time_ms, calls, jobs: Vec::new(), memory: Kept::default() })
    }
}

fn written(answer: &Answer) -> ToldAnswer {
    match answer {
        Ok(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => ToldAnswer::Text(text.to_owned()),
            Err(_) => ToldAnswer::Base64(BASE64_STANDARD.encode(bytes)),
        },
        Err((status, message)) => ToldAnswer::Refused { status: *status, message: message.clone() },
    }
}

fn read(answer: &ToldAnswer) -> Result<Answer, base64::DecodeError> {
    Ok(match answer {
        ToldAnswer::Text(text) => Ok(text.as_bytes().to_vec()),
        ToldAnswer::Base64(text) => Ok(BASE64_STANDARD.decode(text)?),
        ToldAnswer::Refused { status, message } => Err((*status, message.clone())),
    })
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
#[derive(Debug, Default)]
pub(crate) enum Mode {
    /// `define`, for the first time: answers come from the build API and are kept.
    Record(Vec<Call>),
    /// `define`, once more: answers come from the transcript.
    Replay { transcript: Arc<Transcript>, next: usize },
    /// `act`: answers come from the build API.
    #[default]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_journal_has_of_a_transcript_makes_the_same_calls_again() {
        let answers = [Ok(b"\"text\"".to_vec()), Ok(vec![0xff, 0, 1]), Ok(Vec::new()), Err((404, "none".to_owned()))];
        let calls = answers.map(|answer| Call { request: "ask".to_owned(), answer }).to_vec();
        let info = BuildInfo { id: "o/r/1".to_owned(), trigger: "test".to_owned(), source: Default::default() };
        let memory = Kept::default();
        let transcript = Transcript { info: info.clone(), time_ms: 7, calls, jobs: Vec::new(), memory };
        let text = serde_json::to_string(&transcript.told()).expect("JSON");
        let told: Told = serde_json::from_str(&text).expect("what was written");
        assert_eq!(Transcript::of(info.clone(), &told), Ok(transcript));
        let broken = ToldCall { request: "ask".to_owned(), answer: ToldAnswer::Base64("?".to_owned()) };
        let broken = Told { calls: vec![broken], ..Told::default() };
        assert!(Transcript::of(info, &broken).expect_err("no base64").starts_with("the answer to call 1: "));
    }
}
