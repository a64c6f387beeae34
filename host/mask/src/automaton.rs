//! An Aho-Corasick automaton that knows how much of a pattern has begun.
//!
//! Not the `aho-corasick` crate's, for two reasons. It keeps for every state a list of all patterns that end there: the
//! lines of one hostile secret of 160 KB, each the end of the next, make that many gigabytes. Here the longest is
//! enough, since it covers the others. And it does not tell how much may go on, which is what a stream holds back.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use crate::filter::GRAM;

/// How far in the patterns the text has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State(u32);

impl State {
    /// No pattern has begun.
    pub(crate) const START: Self = Self(0);
}

pub(crate) struct Automaton {
    /// The trie of the patterns, breadth first: so a node's children are neighbours.
    nodes: Vec<Node>,
    /// The children of the first node, by byte: it has the most, and is come to the most.
    first: Box<[State; 256]>,
    /// The first node of each depth.
    levels: Vec<u32>,
}

/// Twenty bytes, and hostile secrets make sixteen million of them: so what is seldom asked for has no place here.
struct Node {
    /// The first of the children. A node without any has here how much has begun.
    children: u32,
    /// The longest other suffix of the text that is in the trie.
    suffix: State,
    /// Where one of the bytes leads that no child has: the child of the suffix that the text most probably goes on to, or
    /// `START` if none is known. Output that overlaps itself goes this way with every byte, and by the suffix it would take
    /// two steps, each of which waits for the one before.
    aside: State,
    /// The longest pattern that ends here, or 0.
    ended: u32,
    /// How many children there are.
    count: u16,
    /// That leads here.
    byte: u8,
    /// The length of the longest suffix of the text that is a proper prefix of a pattern; [`GRAM`] for that and more.
    begun: u8,
}

const _: () = assert!(size_of::<Node>() == 20);

/// So many children of a suffix are looked at for `aside`: it is a guess, and may not cost more than the trie.
const LOOKED_AT: usize = 4;

impl Automaton {
    /// Of less than 2³² bytes of patterns.
    pub(crate) fn new(patterns: &BTreeSet<Vec<u8>>) -> Self {
        let patterns: Vec<&[u8]> = patterns.iter().map(Vec::as_slice).collect();
        let first = Box::new([State::START; 256]);
        let mut automaton = Self { nodes: vec![Node::led_to_by(0, State::START)], first, levels: Vec::new() };
        // Of each node without children yet: the patterns that go through it, which are neighbours too, and its depth.
        let mut pending = VecDeque::from([(0..patterns.len(), 0)]);
        let mut state = State::START;
        while let Some((through, depth)) = pending.pop_front() {
            if depth == automaton.levels.len() {
                automaton.levels.push(state.0);
            }
            automaton.add_children(state, &patterns, through, depth, &mut pending);
            state.0 += 1;
        }
        // A suffix is before what it is a suffix of.
        for index in 1..automaton.nodes.len() {
            automaton.nodes[index].aside = automaton.aside(&automaton.nodes[index]);
        }
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
        let mut ended = self.nodes[suffix.0 as usize].ended;
        if depth > 0 && patterns[through.start].len() == depth {
            ended = depth as u32;
            through.start += 1;
        }
        let is_leaf = through.is_empty();
        let begun = if is_leaf { self.begun(suffix) } else { depth };
        let children = self.nodes.len();
        while !through.is_empty() {
            let byte = patterns[through.start][depth];
            let same = patterns[through.clone()].partition_point(|pattern| pattern[depth] == byte);
            let child = State(self.nodes.len() as u32);
            // Suffixes are less deep, so they have their children already.
            let suffix = if depth == 0 { State::START } else { self.next(suffix, byte) };
            self.nodes.push(Node::led_to_by(byte, suffix));
            if depth == 0 {
                self.first[usize::from(byte)] = child;
            }
            pending.push_back((through.start..through.start + same, depth + 1));
            through.start += same;
        }
        let count = (self.nodes.len() - children) as u16;
        let node = &mut self.nodes[index];
        (node.ended, node.count) = (ended, count);
        node.children = if is_leaf { begun } else { children } as u32;
        node.begun = begun.min(GRAM) as u8;
    }

    fn aside(&self, node: &Node) -> State {
        if node.suffix == State::START {
            // It has a table, which is as quick.
            return State::START;
        }
        let suffix = &self.nodes[node.suffix.0 as usize];
        let is_new = |state: &State| self.child(node, self.nodes[state.0 as usize].byte).is_none();
        let children = (0..u32::from(suffix.count)).rev().take(LOOKED_AT).map(|n| State(suffix.children + n));
        let goes_on = |state: &State| self.nodes[state.0 as usize].count > 0;
        let new = || children.clone().filter(is_new);
        let beside = Some(suffix.aside).filter(|state| *state != State::START && is_new(state));
        new().find(goes_on).or_else(|| new().next()).or(beside).unwrap_or(State::START)
    }

    /// The child of a node that this byte leads to.
    fn child(&self, node: &Node, byte: u8) -> Option<State> {
        let from = node.children as usize;
        let at = match node.count {
            0 => return None,
            // The most frequent case by far.
            1 => (self.nodes[from].byte == byte).then_some(0),
            count => self.nodes[from..from + usize::from(count)].binary_search_by_key(&byte, |child| child.byte).ok(),
        };
        at.map(|at| State(node.children + at as u32))
    }

    /// The state after one more byte.
    #[inline]
    pub(crate) fn next(&self, mut state: State, byte: u8) -> State {
        while state != State::START {
            let node = &self.nodes[state.0 as usize];
            if node.count == 1 && self.nodes[node.children as usize].byte == byte {
                return State(node.children);
            }
            // No child has this byte, so it need not wait for a search among many.
            if node.aside != State::START && self.nodes[node.aside.0 as usize].byte == byte {
                return node.aside;
            }
            if node.count > 1
                && let Some(child) = self.child(node, byte)
            {
                return child;
            }
            state = node.suffix;
        }
        self.first[usize::from(byte)]
    }

    /// How many bytes at the end of the text may belong to a pattern that goes on.
    pub(crate) fn begun(&self, state: State) -> usize {
        let node = &self.nodes[state.0 as usize];
        match node.begun as usize {
            GRAM if node.count == 0 => node.children as usize,
            // Then it is as deep: the nodes of each depth are neighbours.
            GRAM => self.levels.partition_point(|first| *first <= state.0) - 1,
            little => little,
        }
    }

    /// The same, if it is less than [`GRAM`].
    #[inline]
    pub(crate) fn little_begun(&self, state: State) -> Option<usize> {
        let begun = self.nodes[state.0 as usize].begun as usize;
        (begun < GRAM).then_some(begun)
    }

    /// The length of the longest pattern that ends here.
    #[inline]
    pub(crate) fn ended(&self, state: State) -> Option<usize> {
        let ended = self.nodes[state.0 as usize].ended;
        (ended > 0).then_some(ended as usize)
    }
}

impl Node {
    /// One of which no more is known.
    fn led_to_by(byte: u8, suffix: State) -> Self {
        Self { children: 0, suffix, aside: State::START, ended: 0, count: 0, byte, begun: 0 }
    }
}
