//! The transcript of `define`: what the script was told, so that a later instance can be told the same.

use std::sync::Arc;

use monkeyci_api::BuildInfo;
use monkeyci_build::{JobDraft, Told};

use crate::memory::Kept;
use crate::tape::{Call, Tape};

/// What happened in the first `define` of a build. Instances that run actions are answered from it, so that every instance
/// of a build sees the same graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub(crate) info: BuildInfo,
    /// The time of day that `define` saw, in milliseconds since the Unix epoch.
    pub(crate) time_ms: u64,
    pub(crate) calls: Arc<Vec<Call>>,
    pub(crate) jobs: Vec<JobDraft>,
    /// Its part of the build's memory.
    pub(crate) memory: Kept,
}

impl Transcript {
    /// What stands in the journal of it: with the same build, and the same script, it is enough to make it again.
    pub fn told(&self) -> Told {
        Told { time_ms: self.time_ms, calls: self.calls.iter().map(Call::told).collect(), ..Told::default() }
    }

    /// The transcript that a journal has, without the jobs, which the script declares again.
    ///
    /// # Errors
    /// Says what in it is not of the right form.
    pub(crate) fn of(info: BuildInfo, told: &Told) -> Result<Self, String> {
        let calls = Arc::new(Call::read_all(&told.calls)?);
        Ok(Self { info, time_ms: told.time_ms, calls, jobs: Vec::new(), memory: Kept::default() })
    }

    /// What an instance is told in which `define` runs once more.
    pub(crate) fn tape(&self) -> Tape {
        Tape::of_define(&self.calls)
    }
}

#[cfg(test)]
mod tests {
    use monkeyci_build::{ToldAnswer, ToldCall};

    use super::*;
    use crate::tape::Reply;

    #[test]
    fn what_a_journal_has_of_a_transcript_makes_the_same_calls_again() {
        let answers = [Ok(b"\"text\"".to_vec()), Ok(vec![0xff, 0, 1]), Ok(Vec::new()), Err((404, "none".to_owned()))];
        let mut replies: Vec<Reply> = answers.into_iter().map(Reply::Whole).collect();
        replies.push(Reply::Again { bytes: 70_000, digest: "of a large one".to_owned(), secret: true });
        let calls: Vec<_> = replies.into_iter().map(|reply| Call { request: "ask".to_owned(), reply }).collect();
        let info = BuildInfo { id: "o/r/1".to_owned(), trigger: "test".to_owned(), source: Default::default() };
        let memory = Kept::default();
        let transcript =
            Transcript { info: info.clone(), time_ms: 7, calls: Arc::new(calls), jobs: Vec::new(), memory };
        let text = serde_json::to_string(&transcript.told()).expect("JSON");
        let told: Told = serde_json::from_str(&text).expect("what was written");
        assert_eq!(Transcript::of(info.clone(), &told), Ok(transcript));
        let broken = ToldCall { request: "ask".to_owned(), answer: ToldAnswer::Base64("?".to_owned()) };
        let broken = Told { calls: vec![broken], ..Told::default() };
        assert!(Transcript::of(info, &broken).expect_err("no base64").starts_with("the answer to call 1: "));
    }
}
