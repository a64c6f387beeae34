//! Replaying a script: real instances are told what others were told, nothing is done, and each call is compared with the recorded one.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_api::{BuildInfo, Client};
use monkeyci_build::ToldCall;

use crate::error::ScriptError;
use crate::instance::{Acted, Action, Definition, Refined, What, refined};
use crate::load::Script;
use crate::replaying::{Answers, Halt, Replaying};
use crate::tape::{After, Call, Divergence, Tape};
use crate::transcript::Transcript;

/// What was recorded of `define`, or of one instance behind its `define`.
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    /// Its calls.
    pub calls: &'a [ToldCall],
    /// Whether these are all: one that was stopped, or whose host died, may have made others.
    pub is_all: bool,
    /// Who knows what is not recorded.
    pub answers: &'a Arc<dyn Answers>,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed<T> {
    /// How many of the recorded calls were made as they were recorded.
    pub made: usize,
    /// Why it went no further; `None` if it came to its end.
    pub halt: Option<Halt>,
    /// The function of the script in which it went no further, if its names are in it.
    pub place: Option<String>,
    /// The calls that say something else than they did, where only people read that.
    pub cosmetic: Vec<Divergence>,
    /// How many of the calls were compared without their digests, for want of the key.
    pub unkeyed: u64,
    /// What the script did; an error where it went no further.
    pub ended: T,
}

impl<T> Replayed<T> {
    fn of(tape: &Tape, ended: T) -> Self {
        let made = tape.made();
        let (halt, place, cosmetic, unkeyed) = tape.replaying().map_or_else(Default::default, |replaying| {
            (replaying.halt(), replaying.place(), replaying.cosmetic(), replaying.unkeyed())
        });
        Self { made, halt, place, cosmetic, unkeyed, ended }
    }
}

impl Recorded<'_> {
    fn tape(&self) -> Result<Tape, ScriptError> {
        let calls = Call::read_all(self.calls).map_err(ScriptError::Unreadable)?;
        let after = if self.is_all { After::Nothing } else { After::Unknown };
        Ok(Tape::of_replay(Arc::new(calls), after, Replaying::new(self.answers.clone())))
    }
}

fn nobody(build: &str) -> Result<Client, ScriptError> {
    Client::to_nobody(build).map_err(|error| ScriptError::Failed(error.to_string()))
}

impl Script {
    /// Calls `define`, which sees this time of day, and tells it what it was told.
    ///
    /// # Errors
    /// When what it was told is not of the right form. What the script does is in the answer.
    pub async fn replay_define(
        &self,
        info: BuildInfo,
        time_ms: u64,
        recorded: Recorded<'_>,
    ) -> Result<Replayed<Result<Definition, ScriptError>>, ScriptError> {
        let (tape, client) = (recorded.tape()?, nobody(&info.id)?);
        let ended = self.defined(&client, info, time_ms, tape.clone(), true).await;
        Ok(Replayed::of(&tape, ended))
    }

    /// Runs an action and tells it what it was told, `define` first, which a replay of this script has told `transcript`.
    ///
    /// # Errors
    /// As [`replay_define`](Self::replay_define).
    pub async fn replay_act(
        &self,
        transcript: &Arc<Transcript>,
        action: Action<'_>,
        limit: Duration,
        recorded: Recorded<'_>,
    ) -> Result<Replayed<Acted>, ScriptError> {
        let (tape, what) = (recorded.tape()?, What::Act(action));
        let client = nobody(&transcript.info.id)?;
        let (ended, left) = self.told(&client, transcript, (action.job, what), limit, tape.clone()).await;
        Ok(Replayed::of(&tape, Acted { ended, said: left.said }))
    }

    /// Lets the script complete a late job, and tells it what it was told.
    ///
    /// # Errors
    /// As [`replay_define`](Self::replay_define).
    pub async fn replay_refine(
        &self,
        transcript: &Arc<Transcript>,
        job: &str,
        recorded: Recorded<'_>,
    ) -> Result<Replayed<Result<Refined, ScriptError>>, ScriptError> {
        let (tape, client) = (recorded.tape()?, nobody(&transcript.info.id)?);
        let limit = self.runtime.limits.define_time;
        let left = self.told(&client, transcript, (job, What::Refine), limit, tape.clone()).await;
        Ok(Replayed::of(&tape, refined(job, left)))
    }
}
