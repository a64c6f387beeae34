//! What an instance is told, call by call: recorded as it is answered, and told again to an instance that takes another one's place.
//!
//! All whose answer could differ from one time to the next is a call here: what the build API says, what comes of a wait, the time, where
//! random numbers begin, which timer is over. The rest of an instance follows from that. So an instance that is told the same comes to
//! the same point, and has had the same effects: those are not repeated. `define` has a tape that ends; whoever makes one more call does
//! something else than the first time. The tape of an action goes on where it ends.
//!
//! An answer that is large, or that the value of a secret stands in, is not on the tape. Its digest is: the same is asked again, and has to
//! be answered the same.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use monkeyci_build::ToldCall;

pub(crate) use crate::call::{Answer, Call, Records, Reply, WHOLE_ANSWER, WHOLE_REQUEST};
use crate::error::{ScriptError, beginning};
use crate::keeper::{Digests, Keeper, NotKept, Recording};
use crate::limits::Reached;
use crate::memory::Share;
use crate::replaying::{Halt, Replaying};

/// What an instance is told. Clones are the same tape.
#[derive(Clone)]
pub(crate) struct Tape(Arc<Inner>);

struct Inner {
    reel: Mutex<Reel>,
    /// How many calls are kept, and how many of them are on disk.
    kept: tokio::sync::Mutex<[usize; 2]>,
    keeper: Option<Arc<dyn Keeper>>,
    /// The limit that keeping it has reached.
    used_up: OnceLock<String>,
    /// What comes where the recorded calls end.
    after: After,
    limit: usize,
    /// In a replay: what becomes of it.
    replaying: Option<Replaying>,
}

struct Reel {
    calls: Arc<Vec<Call>>,
    /// The next to be told again, and where they end.
    next: usize,
    /// What the calls before this one did to files of this machine is not done here: another process did it.
    elsewhere: usize,
    bytes: usize,
    /// Their part of the build's memory; none where another one counts them.
    memory: Option<Share>,
}

/// What comes behind the recorded calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Other calls, which are made for the first time.
    Live,
    /// No more calls.
    Nothing,
    /// Calls that nobody has recorded.
    Unknown,
}

/// What a tape has for a call.
pub(crate) enum Told {
    /// This answer.
    Whole(Answer),
    /// The answer to the same question, if it is the same.
    Again(Same),
    /// Nothing: it is made for the first time.
    Live,
}

/// What an answer has to be.
#[derive(Debug)]
pub(crate) struct Same {
    number: usize,
    request: String,
    pub(crate) bytes: u64,
    digest: String,
}

/// The script did something else than the first time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {call} was {recorded} the first time, and is {now} now")]
pub struct Divergence {
    /// The number of the call, from 1.
    pub call: u64,
    /// The call that was recorded.
    pub recorded: String,
    /// What was done in its place.
    pub now: String,
}

impl Divergence {
    fn new(call: usize, recorded: Option<&str>, now: Option<&str>) -> Self {
        let words = |request: Option<&str>, none: &str| request.map_or(none.to_owned(), |text| beginning(text, 500));
        Self { call: call as u64, recorded: words(recorded, "not made"), now: words(now, "not made") }
    }
}

impl Tape {
    fn new(calls: Arc<Vec<Call>>, after: After, keeper: Option<Arc<dyn Keeper>>, limit: usize) -> Self {
        Self::with(calls, after, (keeper, None), limit)
    }

    fn with(
        calls: Arc<Vec<Call>>,
        after: After,
        (keeper, replaying): (Option<Arc<dyn Keeper>>, Option<Replaying>),
        limit: usize,
    ) -> Self {
        let (kept, bytes) = ([calls.len(); 2], calls.iter().map(Call::size).sum());
        let reel = Reel { next: 0, elsewhere: calls.len(), bytes, memory: None, calls };
        let (reel, kept, used_up) = (Mutex::new(reel), kept.into(), OnceLock::new());
        Self(Arc::new(Inner { reel, kept, keeper, used_up, after, limit, replaying }))
    }

    /// For `define`, when it runs first.
    pub(crate) fn blank() -> Self {
        Self::new(Arc::default(), After::Live, None, usize::MAX)
    }

    /// For `define`, when it runs again.
    pub(crate) fn of_define(calls: &Arc<Vec<Call>>) -> Self {
        Self::new(calls.clone(), After::Nothing, None, usize::MAX)
    }

    /// For an action.
    ///
    /// # Errors
    /// When there is no memory for its recording, or that is not of the right form.
    pub(crate) fn of_action(recording: &Recording, mut memory: Share) -> Result<Self, ScriptError> {
        let calls = Call::read_all(&recording.told).map_err(ScriptError::Unreadable)?;
        // What nobody keeps is bounded by the build's memory alone.
        let limit = if recording.keeper.is_some() { monkeyci_build::MOST_TOLD } else { usize::MAX };
        memory.take(calls.iter().map(Call::size).sum()).map_err(|short| ScriptError::UsedUp(short.to_string()))?;
        let tape = Self::new(Arc::new(calls), After::Live, recording.keeper.clone(), limit);
        tape.reel().memory = Some(memory);
        Ok(tape)
    }

    /// For a replay: nothing is done, and nobody is asked but who replays.
    pub(crate) fn of_replay(calls: Arc<Vec<Call>>, after: After, replaying: Replaying) -> Self {
        Self::with(calls, after, (None, Some(replaying)), usize::MAX)
    }

    /// What becomes of the replay that it is for.
    pub(crate) fn replaying(&self) -> Option<&Replaying> {
        self.0.replaying.as_ref()
    }

    /// How many of the recorded calls have been made.
    pub(crate) fn made(&self) -> usize {
        self.reel().next
    }

    /// Who digests for it, if somebody does.
    fn digests(&self) -> Option<&dyn Digests> {
        let keeper = self.0.keeper.as_deref().map(|keeper| keeper as &dyn Digests);
        keeper.or_else(|| self.replaying().map(Replaying::digests))
    }

    fn reel(&self) -> MutexGuard<'_, Reel> {
        // Nothing panics while it holds the lock.
        self.0.reel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody keeps it, so that an instance can be made anew.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.keeper.is_some()
    }

    /// The calls on it.
    pub(crate) fn calls(&self) -> Arc<Vec<Call>> {
        self.reel().calls.clone()
    }

    /// Another instance takes the place of the one that was told this, in the same process.
    pub(crate) fn rewind(&self) {
        let mut reel = self.reel();
        (reel.next, reel.elsewhere) = (0, 0);
    }

    /// Whether what the last call did to files of this machine has to be done here once more.
    pub(crate) fn was_elsewhere(&self) -> bool {
        let reel = self.reel();
        self.0.replaying.is_none() && reel.next <= reel.elsewhere
    }

    /// Whether a recorded call is still to come that this says yes to, by its request and whether it was refused.
    pub(crate) fn comes(&self, is_it: impl Fn(&str, bool) -> bool) -> bool {
        let reel = self.reel();
        let refused = |call: &Call| matches!(call.reply, Reply::Whole(Err(_)));
        reel.calls[reel.next..].iter().any(|call| is_it(&call.request, refused(call)))
    }

    /// A request as it stands on the tape: of a long one, and of one with a secret in it, the digest.
    pub(crate) fn named(&self, request: String) -> String {
        let Some(keeper) = self.digests() else { return request };
        if keeper.has_secret(request.as_bytes()) {
            let function = request.split('(').next().unwrap_or_default();
            return format!("{function}(with a secret: {})", keeper.digest(request.as_bytes()));
        }
        if request.len() <= WHOLE_REQUEST {
            return request;
        }
        let (bytes, digest) = (request.len(), keeper.digest(request.as_bytes()));
        format!("{} ({bytes} bytes: {digest})", beginning(&request, WHOLE_REQUEST / 2))
    }

    /// Bytes as they stand in a request.
    pub(crate) fn digest(&self, bytes: &[u8]) -> String {
        format!("{} bytes: {}", bytes.len(), self.keyed(bytes))
    }

    /// The recorded answer to `request`, if one is left.
    ///
    /// # Errors
    /// When another call was made at this place the first time.
    pub(crate) fn next(&self, request: &str) -> Result<Told, Divergence> {
        let mut reel = self.reel();
        let (place, recorded) = (reel.next, reel.calls.get(reel.next).cloned());
        match recorded {
            None if self.0.after == After::Live => Ok(Told::Live),
            Some(call) if self.is_same(place, &call.request, request) => {
                reel.next += 1;
                Ok(match call.reply {
                    Reply::Whole(answer) => Told::Whole(answer),
                    Reply::Again { bytes, digest, secret: _ } => {
                        Told::Again(Same { number: place + 1, request: call.request, bytes, digest })
                    }
                })
            }
            other => {
                let recorded = other.as_ref().map(|call| call.request.as_str());
                let divergence = Divergence::new(place + 1, recorded, Some(request));
                Err(match (recorded, self.0.after) {
                    (None, After::Unknown) => self.halts(Halt::End, divergence),
                    _ => self.diverges(divergence),
                })
            }
        }
    }

    /// Whether a call is the one that was recorded at this place.
    fn is_same(&self, place: usize, recorded: &str, now: &str) -> bool {
        recorded == now || self.replaying().is_some_and(|replaying| replaying.is_same(place + 1, recorded, now))
    }

    /// Takes note of why a replay goes no further.
    fn halts(&self, halt: Halt, divergence: Divergence) -> Divergence {
        if let Some(replaying) = self.replaying() {
            replaying.halts(halt);
        }
        divergence
    }

    fn diverges(&self, divergence: Divergence) -> Divergence {
        self.halts(Halt::Diverged(divergence.clone()), divergence)
    }

    /// In a replay: the answer that is not on the tape, from whoever replays. None where the same is to be asked again.
    ///
    /// # Errors
    /// When whoever replays does not have it.
    pub(crate) fn replayed(&self, same: &Same) -> Result<Option<Answer>, Divergence> {
        let Some(replaying) = self.replaying() else { return Ok(None) };
        if let Some(bytes) = replaying.answer(&same.request, same.bytes, &same.digest) {
            return Ok(Some(Ok(bytes)));
        }
        // The call was made, and its answer is what is missing.
        self.reel().next = same.number - 1;
        let lacks = Halt::Lacks { call: same.number as u64, request: same.request.clone(), bytes: same.bytes };
        Err(self.halts(lacks, Divergence::new(same.number, Some(&same.request), Some(&same.request))))
    }

    /// Whether an answer is the one that it was the first time.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn same(&self, same: Same, answer: &Answer) -> Result<(), Divergence> {
        let Same { number, request, bytes, digest } = same;
        let is_it = |now: &[u8]| {
            let is_keyless = self.replaying().is_some_and(Replaying::is_keyless);
            now.len() as u64 == bytes && (is_keyless || self.keyed(now) == digest)
        };
        let now = match answer {
            Ok(now) if is_it(now) => return Ok(()),
            Err((_, now)) if is_it(now.as_bytes()) => return Ok(()),
            Ok(now) => format!("answered with other {} bytes", now.len()),
            Err((_, message)) => format!("refused: {message}"),
        };
        let recorded = format!("{request}, answered with {bytes} bytes");
        Err(self.diverges(Divergence { call: number as u64, recorded, now }))
    }

    fn keyed(&self, bytes: &[u8]) -> String {
        self.digests().map_or_else(String::new, |digests| digests.digest(bytes))
    }

    /// The call that was told last has done something else here.
    pub(crate) fn differs(&self, recorded: String, now: String) -> Divergence {
        let call = self.made() as u64;
        self.diverges(Divergence { call, recorded, now })
    }

    /// What is on the tape of an answer.
    pub(crate) fn reply(&self, answer: &Answer, records: Records) -> Reply {
        let Some(keeper) = &self.0.keeper else { return Reply::Whole(answer.clone()) };
        let (bytes, is_large) = match answer {
            Ok(bytes) => (bytes.as_slice(), bytes.len() > WHOLE_ANSWER),
            Err((_, message)) => (message.as_bytes(), false),
        };
        let secret = || keeper.has_secret(bytes);
        let digest = |secret| Reply::Again { bytes: bytes.len() as u64, digest: keeper.digest(bytes), secret };
        match (records, answer) {
            (Records::Digest, Ok(_)) => digest(true),
            (Records::Digest | Records::Small, _) if is_large => digest(secret()),
            (Records::Digest | Records::Small, _) if secret() => digest(true),
            // What the script has asked for may stand in it.
            (Records::Whole, Err((status, message))) => Reply::Whole(Err((*status, keeper.masked(message)))),
            _ => Reply::Whole(answer.clone()),
        }
    }

    /// Adds a call.
    ///
    /// # Errors
    /// When there may be no more.
    pub(crate) fn add(&self, call: Call) -> Result<(), Reached> {
        if let Some(limit) = self.used_up() {
            return Err(Reached::UsedUp(limit.to_owned()));
        }
        let mut reel = self.reel();
        let bytes = call.size();
        if reel.bytes.saturating_add(bytes) > self.0.limit {
            return Err(Reached::UsedUp(monkeyci_build::CommandError::ToldUsedUp.to_string()));
        }
        if let Some(memory) = &mut reel.memory {
            memory.take(bytes).map_err(Reached::Memory)?;
        }
        reel.bytes += bytes;
        Arc::make_mut(&mut reel.calls).push(call);
        reel.next = reel.calls.len();
        Ok(())
    }

    /// Has the calls so far kept: what follows from them leaves the instance.
    ///
    /// # Errors
    /// When they are not.
    pub(crate) async fn keep(&self, durably: bool) -> Result<(), NotKept> {
        if self.0.keeper.is_none() || self.is_all_kept(durably) {
            return Ok(());
        }
        let tape = self.clone();
        // In a task of its own: whoever is stopped meanwhile must not leave open whether they are kept.
        let keeping = tokio::spawn(async move {
            let mut kept = tape.0.kept.lock().await;
            let [are_kept, are_durable] = *kept;
            let (new, count) = {
                let reel = tape.reel();
                let new: Vec<ToldCall> = reel.calls[are_kept..].iter().map(Call::told).collect();
                (new, reel.calls.len())
            };
            let Some(keeper) = tape.0.keeper.as_ref() else { return Ok(()) };
            if are_kept < count || (durably && are_durable < count) {
                let told = keeper.keep(new, durably).await;
                if let Err(NotKept::UsedUp(limit)) = &told {
                    tape.0.used_up.get_or_init(|| limit.clone());
                }
                told?;
                *kept = [count, if durably { count } else { are_durable }];
            }
            Ok(())
        });
        keeping.await.unwrap_or(Err(NotKept::Over))
    }

    /// Whether nothing is to be kept, as far as that is known without waiting.
    fn is_all_kept(&self, durably: bool) -> bool {
        let Ok(kept) = self.0.kept.try_lock() else { return false };
        let [are_kept, are_durable] = *kept;
        self.reel().calls.len() == if durably { are_durable } else { are_kept }
    }

    /// The limit that keeping it has reached, if it has.
    pub(crate) fn used_up(&self) -> Option<&str> {
        self.0.used_up.get().map(String::as_str)
    }

    /// Checks that all recorded calls have been made.
    ///
    /// # Errors
    /// When one was not.
    pub(crate) fn made_all_calls(&self) -> Result<(), Divergence> {
        let reel = self.reel();
        match reel.calls.get(reel.next) {
            Some(call) => Err(self.diverges(Divergence::new(reel.next + 1, Some(&call.request), None))),
            None => Ok(()),
        }
    }
}
