//! Finds the places where a secret may begin, quickly.

use std::collections::BTreeSet;

use crate::values::MIN_SECRET;

/// So many bytes of a pattern's beginning are known to the filter. No pattern is shorter.
pub(crate) const GRAM: usize = MIN_SECRET;
/// So many bits a pattern has: one place in some fifty is a false alarm.
const BITS: usize = 64;
/// 32 KiB, which stays in the first-level cache and is enough for a hundred tokens; 512 KiB, which stays in the second.
const MIN_INDEX_BITS: u32 = 18;
const MAX_INDEX_BITS: u32 = 22;

/// A set of the first [`GRAM`] bytes of all patterns, with false positives, without false negatives.
///
/// An automaton alone has to follow one transition after the other: with patterns that start with any letter it is in
/// the midst of one nearly always. Here a place costs one look-up, that does not wait for the one before.
pub(crate) struct Filter {
    words: Vec<u64>,
    shift: u32,
}

impl Filter {
    pub(crate) fn new(patterns: &BTreeSet<Vec<u8>>) -> Self {
        let grams: BTreeSet<&[u8; GRAM]> = patterns.iter().filter_map(|pattern| pattern.first_chunk()).collect();
        let index_bits = (grams.len() * BITS).next_power_of_two().ilog2().clamp(MIN_INDEX_BITS, MAX_INDEX_BITS);
        let mut filter = Self { words: vec![0; 1 << (index_bits - 6)], shift: u32::BITS - index_bits };
        for gram in grams {
            let (word, bit) = filter.place(gram);
            filter.words[word] |= bit;
        }
        filter
    }

    /// Whether a pattern may begin here. It may, when there is too little to tell.
    pub(crate) fn may_begin(&self, bytes: &[u8]) -> bool {
        bytes.first_chunk().is_none_or(|gram| self.has(gram))
    }

    /// The first place from `from` on where a pattern may begin. At the last ones, where there is too little to
    /// tell, it may.
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> usize {
        let rest = &bytes[from.min(bytes.len())..];
        let found = rest.array_windows().position(|gram| self.has(gram));
        found.map_or_else(|| bytes.len() - rest.len().min(GRAM - 1), |at| from + at)
    }

    fn has(&self, gram: &[u8; GRAM]) -> bool {
        let (word, bit) = self.place(gram);
        self.words[word] & bit != 0
    }

    fn place(&self, gram: &[u8; GRAM]) -> (usize, u64) {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the gram.
        let hash = u32::from_le_bytes(*gram).wrapping_mul(0x9e37_79b1) >> self.shift;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}
