//! What masking may cost.

use monkeyci_limits::{Area, Limit, Per};

use crate::masks::MAX_PATTERN_BYTES;
use crate::shown::MAX_HELD;
use crate::values::MIN_SECRET;

/// The limits of this crate.
pub fn limits() -> Area {
    let limits = vec![
        Limit::bytes(
            "encodings of all secrets",
            Per::Build,
            MAX_PATTERN_BYTES as u64,
            "a private key has 170 KB of them, and searching takes twenty times the memory",
        ),
        Limit::bytes(
            "unseen bytes between the letters of a secret",
            Per::Call,
            MAX_HELD as u64,
            "they are held until it is known whether it is one",
        ),
        Limit::bytes(
            "the shortest secret that is masked",
            Per::Call,
            MIN_SECRET as u64,
            "to mask a shorter one would shred the output; it is warned of",
        ),
    ];
    Area { name: "masking", limits }
}
