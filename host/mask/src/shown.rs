//! What is seen of a stream: its bytes without those that only steer a terminal, or show nothing.
//!
//! `grep --color` writes a secret in pieces, with escape sequences between them; whoever shows a log takes those out, and has
//! the whole secret. So what is searched is also what will be seen.

use std::ops::Range;

use crate::automaton::State;
use crate::search::Searcher;

/// So many bytes that show nothing are held back at most between the letters of a secret. Without a limit, an escape sequence that
/// never ends would be held back for ever.
pub(crate) const MAX_HELD: usize = 64 << 10;

/// Where in an escape sequence (ECMA-48) the text has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Within {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a sequence that a byte from `@` to `~` ends.
    Control,
    /// In a string that BEL or ESC `\\` ends.
    String,
    /// After ESC in such a string.
    StringEscape,
}

impl Within {
    /// After a byte of a sequence.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Escape, b'[') => Self::Control,
            (Self::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Self::String,
            (Self::Control, b'@'..=b'~') | (Self::String, 0x07) | (Self::StringEscape, b'\\') => Self::Text,
            (Self::Control, _) => Self::Control,
            (Self::String | Self::StringEscape, 0x1b) => Self::StringEscape,
            (Self::String | Self::StringEscape, _) => Self::String,
            (Self::Text | Self::Escape, _) => Self::Text,
        }
    }
}

/// Whether all of these bytes are seen. May say no where they are.
pub(crate) fn all_seen(bytes: &[u8]) -> bool {
    // In blocks without a way out of the midst, so that many bytes are looked at at once.
    bytes.chunks(64).all(|block| {
        !block.iter().fold(false, |unseen, &byte| {
            let control = byte < 0x20 && byte != b'\n' && byte != b'\t';
            unseen | control | (byte == 0x7f) | (byte == 0xc2) | (byte == 0xe2) | (byte == 0xef)
        })
    })
}

/// How many bytes the character has that the text begins with, and that shows nothing: 0 for one that is seen. `None` when there
/// is too little to tell.
fn unseen(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [b'\t' | b'\n', ..] => Some(0),
        [..0x20 | 0x7f, ..] => Some(1),
        [0xc2] | [0xe2 | 0xef] | [0xe2, 0x80 | 0x81] | [0xef, 0xbb] => None,
        // C1 controls, and the soft hyphen.
        [0xc2, 0x80..=0x9f | 0xad, ..] => Some(2),
        // What has no width or turns the direction: U+200B to U+200F, U+202A to U+202E, U+2060 to U+2069, the byte order mark.
        [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..] | [0xe2, 0x81, 0xa0..=0xa9, ..] | [0xef, 0xbb, 0xbf, ..] => Some(3),
        _ => Some(0),
    }
}

/// The search in what is seen of the bytes that a stream holds.
#[derive(Default)]
pub(crate) struct Shown {
    within: Within,
    /// So many of the bytes held have been looked at.
    cleaned: usize,
    /// Where the bytes that are seen stand among those held.
    places: Vec<usize>,
    /// Of the search, after all of them.
    state: State,
    /// What is covered of them.
    spans: Vec<Range<usize>>,
    /// Whether the first of these has begun before the bytes held.
    open: bool,
    /// Whether too much was held back: what has begun is given up.
    given_up: bool,
}

impl Shown {
    /// Whether what comes next is not in the midst of something.
    pub(crate) fn is_between(&self) -> bool {
        self.within == Within::Text
    }

    /// Looks at what was added to the bytes held. Gives how many of these are decided.
    pub(crate) fn scan(&mut self, searcher: &Searcher, held: &[u8]) -> usize {
        let known = self.places.len();
        let mut seen = Vec::with_capacity(held.len() - self.cleaned);
        while let Some(&byte) = held.get(self.cleaned) {
            let mut length = 1;
            match self.within {
                Within::Text if byte == 0x1b => self.within = Within::Escape,
                Within::Text => match unseen(&held[self.cleaned..]) {
                    Some(0) => {
                        seen.push(byte);
                        self.places.push(self.cleaned);
                    }
                    Some(bytes) => length = bytes,
                    None => break,
                },
                _ => self.within = self.within.after(byte),
            }
            self.cleaned += length;
        }
        self.state = searcher.scan(self.state, &seen, known, &mut self.spans);
        let begun = searcher.begun(self.state);
        let decided = self.places.get(self.places.len() - begun).copied().unwrap_or(self.cleaned);
        self.given_up = held.len() - decided - begun > MAX_HELD;
        if self.given_up { held.len() } else { decided }
    }

    /// What is covered, among the bytes held, added to what is covered of these themselves.
    pub(crate) fn cover(&self, spans: &[Range<usize>]) -> Vec<Range<usize>> {
        let own = self.spans.iter().map(|span| {
            let begin = if span.start == 0 && self.open { 0 } else { self.places[span.start] };
            begin..self.places[span.end - 1] + 1
        });
        let mut all: Vec<_> = spans.iter().cloned().chain(own).collect();
        all.sort_by_key(|span| span.start);
        all.dedup_by(|next, last| {
            let joins = next.start <= last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        all
    }

    /// The first of the bytes held are out, and so many are left.
    pub(crate) fn forget(&mut self, bytes: usize, left: usize) {
        if self.given_up {
            *self = Self { within: self.within, cleaned: left, ..Self::default() };
            return;
        }
        let seen = self.places.partition_point(|&place| place < bytes);
        self.places.drain(..seen);
        self.places.iter_mut().for_each(|place| *place -= bytes);
        self.cleaned = self.cleaned.saturating_sub(bytes);
        self.spans.retain(|span| span.end > seen);
        self.open = self.spans.first().is_some_and(|span| span.start < seen || span.start == 0 && self.open);
        for span in &mut self.spans {
            *span = span.start.saturating_sub(seen)..span.end - seen;
        }
    }

    /// Begins anew with the bytes held. Of these nobody knows whether they are in the midst of an escape sequence.
    pub(crate) fn restart(&mut self, nothing_held: bool) {
        let within = if nothing_held { self.within } else { Within::Text };
        *self = Self { within, ..Self::default() };
    }
}

/// A text as it is seen, with the place of each of its bytes, and how much of the text was looked at.
pub(crate) fn seen(text: &[u8]) -> (Vec<u8>, Vec<usize>, usize) {
    let (mut at, mut within, mut places) = (0, Within::Text, Vec::new());
    while at < text.len() {
        match within {
            Within::Text if text[at] == 0x1b => (within, at) = (Within::Escape, at + 1),
            Within::Text => match unseen(&text[at..]) {
                Some(0) => {
                    places.push(at);
                    at += 1;
                }
                Some(bytes) => at += bytes,
                None => break,
            },
            _ => (within, at) = (within.after(text[at]), at + 1),
        }
    }
    (places.iter().map(|&place| text[place]).collect(), places, at)
}
