//! Masks a stream, chunk by chunk.

use std::fmt;
use std::ops::Range;

use crate::automaton::State;
use crate::shown::{Shown, all_seen};
use crate::{MASK, Masks};

/// A stream that is masked. The masked bytes are the same wherever its chunks begin and end, but for what is unseen between two
/// masks.
///
/// Only those bytes at the end of a chunk are held back that may be the beginning of a secret, and no secret begins
/// with a blank: so a line is out with its newline, unless it ends with a part of a secret of several lines.
///
/// ```
/// # use monkeyci_mask::{MaskError, Masks};
/// # fn main() -> Result<(), MaskError> {
/// let mut stream = Masks::new([("key", "swordfish")])?.stream();
/// let mut out = Vec::new();
/// for chunk in ["Password? sw", "ord", "fish\nNot ", "swordplay\n"] {
///     stream.push(chunk.as_bytes(), &mut out);
/// }
/// stream.finish(&mut out);
/// assert_eq!(out, b"Password? ***\nNot swordplay\n");
/// # Ok(()) }
/// ```
pub struct MaskStream {
    masks: Masks,
    /// Of the search, after all that was pushed.
    state: State,
    /// The bytes that were pushed and are not out.
    held: Vec<u8>,
    /// What is covered of the held bytes.
    spans: Vec<Range<usize>>,
    /// Whether what went out last is a mask, which covers all up to the held bytes.
    after_mask: bool,
    /// The search in what is seen of the bytes, where that is not all of them. Then the bytes held are all that it may need.
    shown: Option<Shown>,
}

impl MaskStream {
    pub(crate) fn new(masks: Masks) -> Self {
        Self { masks, state: State::START, held: Vec::new(), spans: Vec::new(), after_mask: false, shown: None }
    }

    /// Takes the next bytes, and appends to `out` all those that are decided.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let mut stream = Masks::new([("key", "swordfish")])?.stream();
    /// let mut out = Vec::new();
    /// stream.push(b"a sword", &mut out);
    /// assert_eq!(out, b"a ");
    /// stream.push(b".", &mut out);
    /// assert_eq!(out, b"a sword.");
    /// # Ok(()) }
    /// ```
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let masks = self.masks.clone();
        let length = self.held.len() + chunk.len();
        let Some(searcher) = masks.searcher() else { return self.emit(chunk, length, out) };
        self.state = searcher.scan(self.state, chunk, self.held.len(), &mut self.spans);
        let decided = length - searcher.begun(self.state);
        if self.shown.is_none() && all_seen(chunk) {
            return self.emit(chunk, decided, out);
        }
        self.held.extend_from_slice(chunk);
        let seen = self.shown.get_or_insert_default().scan(searcher, &self.held);
        self.emit(&[], decided.min(seen), out);
    }

    /// Appends to `out` what was held back, and is ready for another stream. Without this the end may be missing.
    ///
    /// Also for a stream that pauses, so that a prompt appears as a whole; but then a secret that goes on after the
    /// pause is not recognised.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let mut stream = Masks::new([("key", "swordfish")])?.stream();
    /// let mut out = Vec::new();
    /// stream.push(b"a sword", &mut out);
    /// stream.finish(&mut out);
    /// assert_eq!(out, b"a sword");
    /// # Ok(()) }
    /// ```
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.emit(&[], self.held.len(), out);
        self.after_mask = false;
        self.state = State::START;
        self.shown = None;
    }

    /// How many bytes are held back.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let mut stream = Masks::new([("key", "swordfish")])?.stream();
    /// stream.push(b"a sword", &mut Vec::new());
    /// assert_eq!(stream.held_back(), 5);
    /// # Ok(()) }
    /// ```
    pub fn held_back(&self) -> usize {
        self.held.len()
    }

    /// Whether it is as a new one: nothing is held back, and what comes next is in the midst of nothing.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let mut stream = Masks::new([("key", "swordfish")])?.stream();
    /// stream.push(b"a sword", &mut Vec::new());
    /// assert!(!stream.is_at_rest());
    /// stream.push(b".", &mut Vec::new());
    /// assert!(stream.is_at_rest());
    /// # Ok(()) }
    /// ```
    pub fn is_at_rest(&self) -> bool {
        // Masks that follow each other are one.
        self.held.is_empty() && !self.after_mask && self.shown.is_none()
    }

    /// Masks with these from now on, what is held back included.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("key", "swordfish")])?;
    /// let mut stream = masks.stream();
    /// let mut out = Vec::new();
    /// stream.push(b"a sword", &mut out);
    /// stream.set_masks(&masks.with("other", "sword-lily")?);
    /// stream.push(b"-lily\n", &mut out);
    /// assert_eq!(out, b"a ***\n");
    /// # Ok(()) }
    /// ```
    pub fn set_masks(&mut self, masks: &Masks) {
        self.masks = masks.clone();
        // What a mask that is out covers stays covered.
        self.spans.retain(|span| self.after_mask && span.start == 0);
        self.state = State::START;
        let Some(searcher) = self.masks.searcher() else { return self.shown = None };
        self.state = searcher.scan(self.state, &self.held, 0, &mut self.spans);
        if let Some(shown) = &mut self.shown {
            shown.restart(self.held.is_empty());
            shown.scan(searcher, &self.held);
        }
    }

    /// Puts out the first `decided` of the bytes held and of `chunk`, and holds the others.
    fn emit(&mut self, chunk: &[u8], decided: usize, out: &mut Vec<u8>) {
        let mut done = 0;
        let shown = self.shown.as_ref().map(|shown| shown.cover(&self.spans));
        for span in shown.as_ref().unwrap_or(&self.spans).iter().take_while(|span| span.start < decided) {
            if done < span.start {
                copy(&self.held, chunk, done..span.start, out);
                self.after_mask = false;
            }
            if !self.after_mask {
                out.extend_from_slice(MASK.as_bytes());
                self.after_mask = true;
            }
            done = span.end;
        }
        if done < decided {
            copy(&self.held, chunk, done..decided, out);
            self.after_mask = false;
        }
        self.spans.retain(|span| span.end > decided);
        for span in &mut self.spans {
            *span = span.start.saturating_sub(decided)..span.end - decided;
        }
        let held = self.held.len();
        self.held.drain(..decided.min(held));
        self.held.extend_from_slice(&chunk[decided.saturating_sub(held)..]);
        if let Some(shown) = &mut self.shown {
            shown.forget(decided, self.held.len());
            if self.held.is_empty() && shown.is_between() {
                self.shown = None;
            }
        }
    }
}

/// Appends a range of the bytes held and of those after them.
fn copy(held: &[u8], chunk: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
    let border = held.len();
    out.extend_from_slice(&held[range.start.min(border)..range.end.min(border)]);
    out.extend_from_slice(&chunk[range.start.saturating_sub(border)..range.end.saturating_sub(border)]);
}

impl fmt::Debug for MaskStream {
    /// Shows nothing of the secrets, nor of the bytes, which may be part of one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskStream").field("masks", &self.masks).field("held", &self.held.len()).finish_non_exhaustive()
    }
}
