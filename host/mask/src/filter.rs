//! Finds the places where a secret may begin, quickly.

use crate::values::MIN_SECRET;

/// So many bytes of a pattern's beginning are known to the filter. No pattern is shorter.
pub(crate) const GRAM: usize = MIN_SECRET;
/// Of the table's index. 32 KiB of bits stay in the first-level cache, and of 3000 patterns each takes one: one place in
/// a hundred is a false alarm.
const INDEX_BITS: u32 = 18;
const WORDS: usize = 1 << (INDEX_BITS - 6);

/// A set of the first [`GRAM`] bytes of all patterns, with false positives, without false negatives.
///
/// An automaton alone has to follow one transition after the other: with patterns that start with any letter it is in
/// the midst of one nearly always. Here a place costs one look-up, that does not wait for the one before.
pub(crate) struct Filter(Box<[u64; WORDS]>);

impl Filter {
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut words = Box::new([0; WORDS]);
        for gram in patterns.filter_map(|pattern| pattern.first_chunk()) {
            let (word, bit) = place(gram);
            words[word] |= bit;
        }
        Self(words)
    }

    /// Whether a pattern may begin here. It may, when there is too little to tell.
    pub(crate) fn may_begin(&self, bytes: &[u8]) -> bool {
        bytes.first_chunk().is_none_or(|gram| self.has(gram))
    }

    /// The first place from `from` on where a pattern may begin; the end of `bytes` at last.
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> usize {
        let rest = &bytes[from.min(bytes.len())..];
        let found = rest.array_windows().position(|gram| self.has(gram));
        found.map_or_else(|| bytes.len() - rest.len().min(GRAM - 1), |at| from + at)
    }

    fn has(&self, gram: &[u8; GRAM]) -> bool {
        let (word, bit) = place(gram);
        self.0[word] & bit != 0
    }
}

fn place(gram: &[u8; GRAM]) -> (usize, u64) {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the gram.
    let hash = u32::from_le_bytes(*gram).wrapping_mul(0x9e37_79b1) >> (u32::BITS - INDEX_BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}
