//! Finds all places that any pattern covers, and knows how much of the end may be the beginning of one.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::{contiguous, noncontiguous};
use aho_corasick::{Anchored, BuildError, MatchKind};

use crate::filter::{Filter, GRAM};

/// An Aho-Corasick automaton behind a filter.
///
/// The automaton makes the time linear whatever secrets and output are: a secret of many equal letters costs no more
/// than another. The filter makes it fast on output without secrets.
pub(crate) struct Searcher {
    automaton: contiguous::NFA,
    start: StateID,
    /// By state.
    nodes: Vec<Node>,
    filter: Filter,
}

/// What it means to be in a state.
#[derive(Clone, Copy, Default)]
struct Node {
    /// The longest suffix of the text that is a proper prefix of a pattern.
    begun: u32,
    /// The longest pattern that ends here, or 0.
    ended: u32,
}

impl Searcher {
    pub(crate) fn new(patterns: &BTreeSet<Vec<u8>>) -> Result<Self, BuildError> {
        // `Standard` is the kind that finds patterns inside and across others.
        let automaton =
            noncontiguous::NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(patterns)?;
        let automaton = contiguous::NFA::builder().prefilter(false).build_from_noncontiguous(&automaton)?;
        let start = start(&automaton);
        let nodes = nodes(&automaton, start, patterns);
        let filter = Filter::new(patterns.iter().map(Vec::as_slice));
        Ok(Self { automaton, start, nodes, filter })
    }

    /// The state before any text.
    pub(crate) fn start(&self) -> StateID {
        self.start
    }

    /// How many bytes at the end of the text may belong to a pattern that goes on.
    pub(crate) fn begun(&self, state: StateID) -> usize {
        self.node(state).begun as usize
    }

    /// Searches on in a text of which `before` bytes are behind already, and gives the state after it. Adds to `spans`
    /// what patterns that end here cover: in order, apart from each other.
    pub(crate) fn scan(
        &self,
        mut state: StateID,
        chunk: &[u8],
        before: usize,
        spans: &mut Vec<Range<usize>>,
    ) -> StateID {
        let mut at = 0;
        while at < chunk.len() {
            if state == self.start {
                at = self.filter.find(chunk, at);
            }
            while let Some(&byte) = chunk.get(at) {
                state = self.automaton.next_state(Anchored::No, state, byte);
                at += 1;
                let node = self.node(state);
                if node.ended > 0 {
                    cover(spans, before + at - node.ended as usize..before + at);
                }
                // Where too little has begun, the filter sees further than the automaton.
                if (node.begun as usize) < GRAM
                    && let Some(begun_at) = at.checked_sub(node.begun as usize)
                    && !self.filter.may_begin(&chunk[begun_at..])
                {
                    state = self.start;
                    at = begun_at + 1;
                    break;
                }
            }
        }
        state
    }

    fn node(&self, state: StateID) -> Node {
        self.nodes[state.as_usize()]
    }
}

/// Joins a span that ends after all others with those it overlaps or touches.
fn cover(spans: &mut Vec<Range<usize>>, mut span: Range<usize>) {
    while let Some(last) = spans.pop_if(|last| last.end >= span.start) {
        span = last.start.min(span.start)..last.end.max(span.end);
    }
    spans.push(span);
}

fn start(automaton: &contiguous::NFA) -> StateID {
    // Built for unanchored search, as by default, it has that start.
    automaton.start_state(Anchored::No).unwrap_or_default()
}

/// Walks all patterns, and thereby reaches all states.
fn nodes(automaton: &contiguous::NFA, start: StateID, patterns: &BTreeSet<Vec<u8>>) -> Vec<Node> {
    let step = |state, byte: &u8| automaton.next_state(Anchored::No, state, *byte);
    let mut nodes = Vec::new();
    let mut ends = Vec::new();
    for pattern in patterns {
        let mut state = start;
        for (i, byte) in pattern.iter().enumerate() {
            state = step(state, byte);
            let index = state.as_usize();
            if nodes.len() <= index {
                nodes.resize(index + 1, Node::default());
            }
            if automaton.is_match(state) {
                let ended =
                    (0..automaton.match_len(state)).map(|n| automaton.pattern_len(automaton.match_pattern(state, n)));
                nodes[index].ended = ended.max().unwrap_or(0) as u32;
            }
            if i + 1 < pattern.len() {
                nodes[index].begun = i as u32 + 1;
            }
        }
        ends.push((state, pattern));
    }
    // Where a pattern ends and none goes on, what may still begin is what its rest begins.
    ends.sort_by_key(|(_, pattern)| pattern.len());
    for (end, pattern) in ends {
        if nodes[end.as_usize()].begun == 0 {
            let rest = pattern[1..].iter().fold(start, step);
            // Of a shorter pattern, so it is known.
            nodes[end.as_usize()].begun = nodes.get(rest.as_usize()).map_or(0, |rest| rest.begun);
        }
    }
    nodes
}
