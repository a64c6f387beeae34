//! A tape in a replay: what is compared with what was recorded, and why a replay goes no further.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::keeper::Digests;
use crate::tape::Divergence;

/// What whoever replays has beside what was recorded.
pub trait Answers: Digests {
    /// Whether digests are those that were recorded. Without the key of the home that recorded them they can't be made, and only what stands
    /// beside them is compared.
    fn has_key(&self) -> bool;

    /// The answer to a call of which the recording has nothing but length and digest: of a large one, or one with a secret in it.
    fn answer(&self, request: &str, bytes: u64, digest: &str) -> Option<Vec<u8>>;
}

/// Why a replay went no further.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// What was recorded ends there.
    End,
    /// The answer to a call is not recorded, and whoever replays does not have it.
    Lacks {
        /// The number of the call, from 1.
        call: u64,
        /// The call.
        request: String,
        /// How many bytes its answer had.
        bytes: u64,
    },
    /// Another call was made than the recorded one.
    Diverged(Divergence),
}

/// What becomes of a replay.
pub(crate) struct Replaying {
    answers: Arc<dyn Answers>,
    halt: OnceLock<Halt>,
    /// The function of the script in which it went no further, if that is known.
    place: OnceLock<Option<String>>,
    cosmetic: Mutex<Vec<Divergence>>,
    /// How many calls were compared without their digests.
    unkeyed: AtomicU64,
}

/// What calls of these functions say is for people: the build goes the same way whatever it is.
const COSMETIC: [&str; 1] = ["events.report("];

impl Replaying {
    pub(crate) fn new(answers: Arc<dyn Answers>) -> Self {
        let (halt, place, cosmetic, unkeyed) = Default::default();
        Self { answers, halt, place, cosmetic, unkeyed }
    }

    pub(crate) fn digests(&self) -> &dyn Digests {
        &*self.answers
    }

    pub(crate) fn is_keyless(&self) -> bool {
        !self.answers.has_key()
    }

    pub(crate) fn answer(&self, request: &str, bytes: u64, digest: &str) -> Option<Vec<u8>> {
        self.answers.answer(request, bytes, digest)
    }

    /// The first reason counts: a guest goes no further than that.
    pub(crate) fn halts(&self, halt: Halt) {
        let _ = self.halt.set(halt);
    }

    pub(crate) fn halt(&self) -> Option<Halt> {
        self.halt.get().cloned()
    }

    /// The function of the script in which it went no further.
    pub(crate) fn stands_in(&self, place: Option<String>) {
        let _ = self.place.set(place);
    }

    pub(crate) fn place(&self) -> Option<String> {
        self.place.get().cloned().flatten()
    }

    pub(crate) fn cosmetic(&self) -> Vec<Divergence> {
        self.differing().clone()
    }

    pub(crate) fn unkeyed(&self) -> u64 {
        self.unkeyed.load(Ordering::Relaxed)
    }

    /// Whether a call that is not word for word the recorded one is as good as that.
    pub(crate) fn is_same(&self, call: usize, recorded: &str, now: &str) -> bool {
        if self.is_keyless() && is_same_shape(recorded, now) {
            self.unkeyed.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let is_cosmetic = COSMETIC.iter().any(|function| recorded.starts_with(function) && now.starts_with(function));
        if is_cosmetic {
            let (recorded, now) = (recorded.to_owned(), now.to_owned());
            self.differing().push(Divergence { call: call as u64, recorded, now });
        }
        is_cosmetic
    }

    fn differing(&self) -> std::sync::MutexGuard<'_, Vec<Divergence>> {
        // Nothing panics while it holds the lock.
        self.cosmetic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two requests are the same but for the digests in the recorded one.
fn is_same_shape(recorded: &str, now: &str) -> bool {
    /// SHA-256, in hexadecimal.
    const DIGEST: usize = 64;
    let (mut recorded, mut now) = (recorded, now);
    loop {
        let same = recorded.bytes().zip(now.bytes()).take_while(|(recorded, now)| recorded == now).count();
        // What differs first may be in the middle of a character: then it is no digest.
        let (Some(left), Some(rest)) = (recorded.get(same..), now.get(same..)) else { return false };
        if left.is_empty() && rest.is_empty() {
            return true;
        }
        let digest = left.get(..DIGEST).filter(|digest| digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        match digest {
            Some(digest) => (recorded, now) = (&left[digest.len()..], rest),
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_key_all_of_a_request_is_compared_but_its_digests() {
        let digest = "0123456789abcdef".repeat(4);
        let recorded = format!("workspace.write-file(\"out\", 12 bytes: {digest})");
        assert!(is_same_shape(&recorded, "workspace.write-file(\"out\", 12 bytes: )"));
        assert!(is_same_shape(&format!("f(with a secret: {digest})"), "f(with a secret: )"));
        for other in ["workspace.write-file(\"out\", 13 bytes: )", "workspace.write-file(\"öut\", 12 bytes: )", ""] {
            assert!(!is_same_shape(&recorded, other), "{other}");
        }
        assert!(!is_same_shape("params.get(\"a\")", "params.get(\"b\")"));
    }
}
