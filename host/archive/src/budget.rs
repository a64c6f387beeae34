//! What archives, patterns and ignore files of strangers may cost.

use monkeyci_limits::{Amount, Area, Limit, Per};

use crate::UnpackLimits;
use crate::automaton::{REMEMBERED, STATES, TEXT};
use crate::ignored::{FILE, HELD, RUNS};
use crate::limits::RATIO_FREE_BYTES;
use crate::look::MAX_LISTING;
use crate::reader::WINDOW_LOG_MAX;

/// The limits of this crate.
pub fn limits() -> Area {
    let unpack = UnpackLimits::default();
    let limits = vec![
        Limit::bytes(
            "an archive, unpacked",
            Per::Call,
            unpack.max_bytes,
            "a disk's worth; build outputs are far below it",
        ),
        Limit::count(
            "entries of an archive",
            Per::Call,
            unpack.max_entries,
            "more than the largest trees of dependencies",
        ),
        Limit::bytes(
            "a name or link target in an archive",
            Per::Call,
            unpack.max_path_len as u64,
            "Linux takes no longer path",
        ),
        Limit::new(
            "an archive's growth when unpacked",
            Per::Call,
            Amount::Times(unpack.max_ratio),
            "a bomb is far above it; what honest trees hold of empty space is small",
        ),
        Limit::bytes(
            "what an archive may unpack to before its growth counts",
            Per::Call,
            RATIO_FREE_BYTES,
            "sparse files and zeroed databases shrink ten-thousandfold",
        ),
        Limit::bytes(
            "the list of an archive's files",
            Per::Call,
            MAX_LISTING,
            "it is held in memory, and two million long names pack to nothing",
        ),
        Limit::bytes(
            "what a decoder remembers of an archive",
            Per::Call,
            1 << WINDOW_LOG_MAX,
            "a frame can ask for gigabytes; ours need 2 MiB",
        ),
        Limit::bytes(
            "a file with ignore patterns",
            Per::Call,
            FILE,
            "the longest lists that people publish have 20 KiB",
        ),
        Limit::bytes(
            "ignore patterns that hold in one place",
            Per::Call,
            HELD as u64,
            "those of all directories above are held while the workspace is walked",
        ),
        Limit::count("runs of ignore patterns that hold in one place", Per::Call, RUNS as u64, "each is an automaton"),
        Limit::bytes(
            "expressions of one set of patterns",
            Per::Call,
            TEXT as u64,
            "before they become states they take a hundred times as much",
        ),
        Limit::bytes("states of one set of patterns", Per::Call, STATES as u64, "thousands of patterns fit"),
        Limit::bytes("what matching remembers, for each thread", Per::Call, REMEMBERED as u64, "it is only for speed"),
    ];
    Area { name: "archives and patterns", limits }
}
