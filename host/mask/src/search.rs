//! Finds all places that any pattern covers.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::automaton::{Automaton, State};
use crate::filter::Filter;

/// An automaton behind a filter.
///
/// The automaton makes the time linear whatever secrets and output are: a secret of many equal letters costs no more
/// than another. The filter makes it fast on output without secrets.
pub(crate) struct Searcher {
    automaton: Automaton,
    filter: Filter,
}

impl Searcher {
    pub(crate) fn new(patterns: &BTreeSet<Vec<u8>>) -> Self {
        Self { automaton: Automaton::new(patterns), filter: Filter::new(patterns) }
    }

    /// How many bytes at the end of the text may belong to a pattern that goes on.
    pub(crate) fn begun(&self, state: State) -> usize {
        self.automaton.begun(state)
    }

    /// Searches on in a text of which `before` bytes are behind already, and gives the state after it. Adds to `spans`
    /// what patterns that end here cover: in order, apart from each other.
    pub(crate) fn scan(&self, mut state: State, chunk: &[u8], before: usize, spans: &mut Vec<Range<usize>>) -> State {
        let mut at = 0;
        while at < chunk.len() {
            if state == State::START {
                at = self.filter.find(chunk, at);
            }
            while let Some(&byte) = chunk.get(at) {
                state = self.automaton.next(state, byte);
                at += 1;
                if let Some(length) = self.automaton.ended(state) {
                    cover(spans, before + at - length..before + at);
                }
                // Where too little has begun, the filter sees further than the automaton.
                if let Some(begun) = self.automaton.little_begun(state)
                    && let Some(begun_at) = at.checked_sub(begun)
                    && !self.filter.may_begin(&chunk[begun_at..])
                {
                    state = State::START;
                    at = begun_at + 1;
                    break;
                }
            }
        }
        state
    }
}

/// Joins a span that ends after all others with those it overlaps or touches.
fn cover(spans: &mut Vec<Range<usize>>, mut span: Range<usize>) {
    while let Some(last) = spans.pop_if(|last| last.end >= span.start) {
        span = last.start.min(span.start)..last.end.max(span.end);
    }
    spans.push(span);
}
