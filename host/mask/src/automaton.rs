//! An Aho-Corasick automaton that knows how much of a pattern has begun.
//!
//! Not the `aho-corasick` crate's, for two reasons. It keeps for every state a list of all patterns that end there: the
//! lines of one hostile secret of 160 KB, each the end of the next, make that many gigabytes. Here the longest is
//! enough, since it covers the others. And it does not tell how much may go on, which is what a stream holds back.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

/// How far in the patterns the text has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State(u32);

impl State {
    /// No pattern has begun.
    pub(crate) const START: Self = Self(0);
}

pub(crate) struct Automaton {
    /// The trie of the patterns, breadth first: so a node's children are neighbours, and end where the next node's
    /// begin. One more closes the last one's.
    nodes: Vec<Node>,
    /// The children of the first node, by byte: it has the most, and is come to the most.
    first: Box<[State; 256]>,
}

struct Node {
    /// That leads here.
    byte: u8,
    children: u32,
    /// The longest other suffix of the text that is in the trie.
    suffix: State,
    /// The longest suffix of the text that is a proper prefix of a pattern.
    begun: u32,
    /// The longest pattern that ends here, or 0.
    ended: u32,
}

impl Automaton {
    /// Of less than 2³² bytes of patterns.
    pub(crate) fn new(patterns: &BTreeSet<Vec<u8>>) -> Self {
        let patterns: Vec<&[u8]> = patterns.iter().map(Vec::as_slice).collect();
        let root = Node { byte: 0, children: 1, suffix: State::START, begun: 0, ended: 0 };
        let mut automaton = Self { nodes: vec![root], first: Box::new([State::START; 256]) };
        // Of each node without children yet: the patterns that go through it, which are neighbours too, and its depth.
        let mut pending = VecDeque::from([(0..patterns.len(), 0)]);
        let mut state = State::START;
        while let Some((through, depth)) = pending.pop_front() {
            automaton.add_children(state, &patterns, through, depth, &mut pending);
            state.0 += 1;
        }
        let children = automaton.nodes.len() as u32;
        automaton.nodes.push(Node { byte: 0, children, suffix: State::START, begun: 0, ended: 0 });
        automaton
    }

    fn add_children(
        &mut self,
        state: State,
        patterns: &[&[u8]],
        mut through: Range<usize>,
        depth: usize,
        pending: &mut VecDeque<(Range<usize>, usize)>,
    ) {
        let index = state.0 as usize;
        let suffix = self.nodes[index].suffix;
        let of_suffix = &self.nodes[suffix.0 as usize];
        let (mut begun, mut ended) = (of_suffix.begun, of_suffix.ended);
        if depth > 0 && patterns[through.start].len() == depth {
            ended = depth as u32;
            through.start += 1;
        }
        if !through.is_empty() {
            begun = depth as u32;
        }
        let children = self.nodes.len() as u32;
        let node = &mut self.nodes[index];
        (node.begun, node.ended, node.children) = (begun, ended, children);

        while !through.is_empty() {
            let byte = patterns[through.start][depth];
            let same = patterns[through.clone()].partition_point(|pattern| pattern[depth] == byte);
            let child = State(self.nodes.len() as u32);
            // Suffixes are less deep, so they have their children already.
            let suffix = if depth == 0 { State::START } else { self.next(suffix, byte) };
            self.nodes.push(Node { byte, children: 0, suffix, begun: 0, ended: 0 });
            if depth == 0 {
                self.first[usize::from(byte)] = child;
            }
            pending.push_back((through.start..through.start + same, depth + 1));
            through.start += same;
        }
    }

    /// The state after one more byte.
    pub(crate) fn next(&self, mut state: State, byte: u8) -> State {
        while state != State::START {
            let node = &self.nodes[state.0 as usize];
            let end = self.nodes[state.0 as usize + 1].children;
            let children = &self.nodes[node.children as usize..end as usize];
            let child = match children {
                // The most frequent case by far.
                [only] => (only.byte == byte).then_some(0),
                _ => children.binary_search_by_key(&byte, |child| child.byte).ok(),
            };
            if let Some(child) = child {
                return State(node.children + child as u32);
            }
            state = node.suffix;
        }
        self.first[usize::from(byte)]
    }

    /// How many bytes at the end of the text may belong to a pattern that goes on.
    pub(crate) fn begun(&self, state: State) -> usize {
        self.nodes[state.0 as usize].begun as usize
    }

    /// The length of the longest pattern that ends here.
    pub(crate) fn ended(&self, state: State) -> Option<usize> {
        let ended = self.nodes[state.0 as usize].ended;
        (ended > 0).then_some(ended as usize)
    }
}
