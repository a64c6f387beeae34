//! What bundles may cost whoever reads or writes them.

use monkeyci_limits::{Area, Limit, Per};

/// The most bytes that a bundle may have: 256 MiB.
pub const BUNDLE_BYTES: u64 = 256 << 20;

/// The most bytes that its files may have together.
pub(crate) const UNPACKED: u64 = 4 * BUNDLE_BYTES;

/// The most files in one.
pub(crate) const FILES: u64 = 100_000;

/// The most bytes of a manifest.
pub(crate) const MANIFEST_BYTES: u64 = 32 << 20;

/// The most bytes of large answers that are looked for, for one build.
pub(crate) const VALUE_BYTES: u64 = 64 << 20;

/// The limits of bundles.
pub(crate) fn limits() -> Area {
    let limits = vec![
        Limit::bytes(
            "a bundle",
            Per::Call,
            BUNDLE_BYTES,
            "it is read as a whole; a journal and a script are far below it",
        ),
        Limit::bytes("a bundle, unpacked", Per::Call, UNPACKED, "it is held in memory while it is read"),
        Limit::count("files of a bundle", Per::Call, FILES, "one for each large answer, and three"),
        Limit::bytes("the manifest of a bundle", Per::Call, MANIFEST_BYTES, "a line for each of its files"),
        Limit::bytes(
            "large answers for a replay",
            Per::Build,
            VALUE_BYTES,
            "they are held in memory; a replay stops at others",
        ),
    ];
    Area { name: "bundles", limits }
}
