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

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use monkeyci_build::{ToldAnswer, ToldCall};

use crate::error::{ScriptError, beginning};
use crate::limits::Reached;
use crate::memory::Share;

/// Answers of more bytes than this are asked for again: 16 KiB.
pub(crate) const WHOLE_ANSWER: usize = 16 << 10;
/// So many bytes of a request are on the tape; of a longer one its digest too.
pub(crate) const WHOLE_REQUEST: usize = 240;

/// One call whose answer could differ from one time to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The function and its arguments, as text.
    pub(crate) request: String,
    pub(crate) reply: Reply,
}

/// The answer to a call: its value as bytes, or the HTTP status and message of an error.
pub(crate) type Answer = Result<Vec<u8>, (u16, String)>;

/// How much of an answer is on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// All of it: it can't be had again, and what it is made of has no secrets.
    Whole,
    /// All of it, unless it is large, or has a secret in it.
    Small,
    /// Its digest: it is a secret.
    Digest,
}

/// What a tape has of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// All of it.
    Whole(Answer),
    /// That it can be had again, and what it is then.
    Again { bytes: u64, digest: String },
}

impl Call {
    /// As it stands in the journal.
    pub(crate) fn told(&self) -> ToldCall {
        let answer = match &self.reply {
            Reply::Whole(Ok(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => ToldAnswer::Text(text.to_owned()),
                Err(_) => ToldAnswer::Base64(BASE64_STANDARD.encode(bytes)),
            },
            Reply::Whole(Err((status, message))) => ToldAnswer::Refused { status: *status, message: message.clone() },
            Reply::Again { bytes, digest } => ToldAnswer::Again { bytes: *bytes, digest: digest.clone() },
        };
        ToldCall { request: self.request.clone(), answer }
    }

    /// Those of a journal.
    ///
    /// # Errors
    /// Says what in them is not of the right form.
    pub(crate) fn read_all(told: &[ToldCall]) -> Result<Vec<Self>, String> {
        let call = |(number, ToldCall { request, answer }): (usize, &ToldCall)| {
            let reply = match answer {
                ToldAnswer::Text(text) => Reply::Whole(Ok(text.as_bytes().to_vec())),
                ToldAnswer::Base64(text) => match BASE64_STANDARD.decode(text) {
                    Ok(bytes) => Reply::Whole(Ok(bytes)),
                    Err(error) => return Err(format!("the answer to call {}: {error}", number + 1)),
                },
                ToldAnswer::Refused { status, message } => Reply::Whole(Err((*status, message.clone()))),
                ToldAnswer::Again { bytes, digest } => Reply::Again { bytes: *bytes, digest: digest.clone() },
            };
            Ok(Self { request: request.clone(), reply })
        };
        told.iter().enumerate().map(call).collect()
    }

    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let reply = match &self.reply {
            Reply::Whole(Ok(bytes)) => bytes.len(),
            Reply::Whole(Err((_, message))) => message.len(),
            Reply::Again { digest, .. } => digest.len(),
        };
        size_of::<Self>() + self.request.len() + reply
    }
}

/// Keeps what an action is told, for an instance that takes its place in another process.
pub trait Keeper: Send + Sync + 'static {
    /// Keeps these calls, which come after those that were kept before; with `durably`, returns when all are on disk.
    fn keep(&self, calls: Vec<ToldCall>, durably: bool) -> BoxFuture<'_, Result<(), NotKept>>;

    /// A digest that tells nobody what it is made of who does not know it, not even by trying.
    fn digest(&self, bytes: &[u8]) -> String;

    /// Whether the value of a secret stands in it.
    fn has_secret(&self, bytes: &[u8]) -> bool;

    /// A text without the values of secrets.
    fn masked(&self, text: &str) -> String;
}

/// Why calls are not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The build may have no more of them.
    #[error("{0}")]
    UsedUp(String),
    /// Nobody goes on with the action: it is over, or its build is.
    #[error("the action is over")]
    Over,
}

/// What an action was told so far, and who keeps what it is told from now on. The default is kept by nobody.
#[derive(Clone, Default)]
pub struct Recording {
    /// Who keeps it.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// What it was told in another process, which has died.
    pub told: Vec<ToldCall>,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("told", &self.told.len()).finish_non_exhaustive()
    }
}

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
    /// Whether it goes on where the recorded calls end.
    open: bool,
    limit: usize,
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
pub(crate) struct Divergence {
    pub(crate) call: u64,
    pub(crate) recorded: String,
    pub(crate) now: String,
}

impl Divergence {
    fn new(call: usize, recorded: Option<&str>, now: Option<&str>) -> Self {
        let words = |request: Option<&str>, none: &str| request.map_or(none.to_owned(), |text| beginning(text, 500));
        Self { call: call as u64, recorded: words(recorded, "not made"), now: words(now, "not made") }
    }
}

impl Tape {
    fn new(calls: Arc<Vec<Call>>, open: bool, keeper: Option<Arc<dyn Keeper>>, limit: usize) -> Self {
        let (kept, bytes) = ([calls.len(); 2], calls.iter().map(Call::size).sum());
        let reel = Reel { next: 0, elsewhere: calls.len(), bytes, memory: None, calls };
        Self(Arc::new(Inner {
            reel: Mutex::new(reel),
            kept: kept.into(),
            keeper,
            used_up: OnceLock::new(),
            open,
            limit,
        }))
    }

    /// For `define`, when it runs first.
    pub(crate) fn blank() -> Self {
        Self::new(Arc::default(), true, None, usize::MAX)
    }

    /// For `define`, when it runs again.
    pub(crate) fn of_define(calls: &Arc<Vec<Call>>) -> Self {
        Self::new(calls.clone(), false, None, usize::MAX)
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
        let tape = Self::new(Arc::new(calls), true, recording.keeper.clone(), limit);
        tape.reel().memory = Some(memory);
        Ok(tape)
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
        reel.next <= reel.elsewhere
    }

    /// Whether a recorded call is still to come that this says yes to, by its request and whether it was refused.
    pub(crate) fn comes(&self, is_it: impl Fn(&str, bool) -> bool) -> bool {
        let reel = self.reel();
        let refused = |call: &Call| matches!(call.reply, Reply::Whole(Err(_)));
        reel.calls[reel.next..].iter().any(|call| is_it(&call.request, refused(call)))
    }

    /// A request as it stands on the tape: of a long one, and of one with a secret in it, the digest.
    pub(crate) fn named(&self, request: String) -> String {
        let Some(keeper) = &self.0.keeper else { return request };
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
        let digest = self.0.keeper.as_ref().map_or_else(String::new, |keeper| keeper.digest(bytes));
        format!("{} bytes: {digest}", bytes.len())
    }

    /// The recorded answer to `request`, if one is left.
    ///
    /// # Errors
    /// When another call was made at this place the first time.
    pub(crate) fn next(&self, request: &str) -> Result<Told, Divergence> {
        let mut reel = self.reel();
        let (place, recorded) = (reel.next, reel.calls.get(reel.next).cloned());
        match recorded {
            None if self.0.open => Ok(Told::Live),
            Some(call) if call.request == request => {
                reel.next += 1;
                Ok(match call.reply {
                    Reply::Whole(answer) => Told::Whole(answer),
                    Reply::Again { bytes, digest } => {
                        Told::Again(Same { number: place + 1, request: call.request, bytes, digest })
                    }
                })
            }
            other => {
                let recorded = other.as_ref().map(|call| call.request.as_str());
                Err(Divergence::new(place + 1, recorded, Some(request)))
            }
        }
    }

    /// Whether an answer is the one that it was the first time.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn same(&self, same: Same, answer: &Answer) -> Result<(), Divergence> {
        let Same { number, request, bytes, digest } = same;
        let now = match answer {
            Ok(now) if now.len() as u64 == bytes && self.keyed(now) == digest => return Ok(()),
            Err((_, now)) if now.len() as u64 == bytes && self.keyed(now.as_bytes()) == digest => return Ok(()),
            Ok(now) => format!("answered with other {} bytes", now.len()),
            Err((_, message)) => format!("refused: {message}"),
        };
        let recorded = format!("{request}, answered with {bytes} bytes");
        Err(Divergence { call: number as u64, recorded, now })
    }

    fn keyed(&self, bytes: &[u8]) -> String {
        self.0.keeper.as_ref().map_or_else(String::new, |keeper| keeper.digest(bytes))
    }

    /// The call that was told last has done something else here.
    pub(crate) fn differs(&self, recorded: String, now: String) -> Divergence {
        Divergence { call: self.reel().next as u64, recorded, now }
    }

    /// What is on the tape of an answer.
    pub(crate) fn reply(&self, answer: &Answer, records: Records) -> Reply {
        let Some(keeper) = &self.0.keeper else { return Reply::Whole(answer.clone()) };
        let (bytes, is_large) = match answer {
            Ok(bytes) => (bytes.as_slice(), bytes.len() > WHOLE_ANSWER),
            Err((_, message)) => (message.as_bytes(), false),
        };
        let digest = || Reply::Again { bytes: bytes.len() as u64, digest: keeper.digest(bytes) };
        match (records, answer) {
            (Records::Digest, Ok(_)) => digest(),
            (Records::Digest | Records::Small, _) if is_large || keeper.has_secret(bytes) => digest(),
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
            Some(call) => Err(Divergence::new(reel.next + 1, Some(&call.request), None)),
            None => Ok(()),
        }
    }
}
