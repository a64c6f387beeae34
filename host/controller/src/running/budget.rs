//! What is written down in a build at a time.

use monkeyci_limits::{Area, Limit, Per};

use super::driver::LAST_WRITE;
use super::handle::SUBMITTED;
use super::words::{NAME_LIMIT, TEXT_LIMIT};

/// The limits of a build that runs.
pub(crate) fn limits() -> Area {
    let limits = vec![
        Limit::bytes(
            "jobs that actions submit",
            Per::Build,
            SUBMITTED as u64,
            "they are held until the build ends; as much as `define` may declare",
        ),
        Limit::count("characters of an event's name", Per::Call, NAME_LIMIT as u64, "it is for people and filters"),
        Limit::bytes("an event's payload, a report's message", Per::Call, TEXT_LIMIT as u64, "more is for artifacts"),
        Limit::time(
            "the last write of a build that is killed",
            Per::Build,
            LAST_WRITE,
            "a disk that takes nothing must not hold it up",
        ),
    ];
    Area { name: "what is written down", limits }
}
