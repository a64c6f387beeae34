//! What a seed decides. Each decision has a name and comes of seed and name alone, so it is the same whatever else is decided, and when.

use sha2::{Digest, Sha256};

/// The decisions of a seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    pub(super) seed: u64,
}

impl Chance {
    /// Bytes for this decision, of this one of its kind.
    pub(super) fn bytes(&self, what: &str, of: &str) -> [u8; 32] {
        let hash = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(format!("{what}\0{of}"));
        hash.finalize().into()
    }

    /// A number from 0 to less than 1.
    pub(super) fn unit(&self, what: &str, of: &str) -> f64 {
        let bytes = self.bytes(what, of);
        let number = bytes.iter().take(6).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        number as f64 / (1_u64 << 48) as f64
    }

    /// A number from 0 to less than `end`.
    pub(super) fn below(&self, what: &str, of: &str, end: u64) -> u64 {
        (self.unit(what, of) * end as f64) as u64
    }

    /// A number from 1 to `most`, small ones as often as large ones: what takes a moment and what takes an hour both happen.
    pub(super) fn spread(&self, what: &str, of: &str, most: u64) -> u64 {
        ((most.max(1) as f64).powf(self.unit(what, of)) as u64).clamp(1, most.max(1))
    }

    /// Whether something of this kind happens here. Each seed has rates of its own: most kinds never happen in it, and of the others
    /// some happen often. So what one kind of fault hides, another seed shows. In some seeds nothing of all that happens.
    pub(super) fn happens(&self, kind: &str, of: &str) -> bool {
        const RATES: [f64; 8] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.25];
        if self.unit("calm", "") < 0.25 {
            return false;
        }
        let rate = RATES[self.below("rate", kind, RATES.len() as u64) as usize];
        self.unit(kind, of) < rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_depends_on_the_seed_and_its_own_name_alone() {
        let (one, other) = (Chance { seed: 1 }, Chance { seed: 2 });
        assert_eq!(one.bytes("exit", "test/1"), Chance { seed: 1 }.bytes("exit", "test/1"));
        assert_ne!(one.bytes("exit", "test/1"), other.bytes("exit", "test/1"));
        assert_ne!(one.bytes("exit", "test/1"), one.bytes("exit", "test/2"));
    }

    #[test]
    fn small_numbers_are_drawn_as_often_as_large_ones_and_none_out_of_range() {
        let drawn: Vec<u64> = (0..2000).map(|seed| Chance { seed }.spread("time", "job", 1_000_000)).collect();
        assert!(drawn.iter().all(|number| (1..=1_000_000).contains(number)));
        let small = drawn.iter().filter(|number| **number <= 1000).count();
        assert!((800..1200).contains(&small), "{small} of 2000 are at most 1000");
    }
}
