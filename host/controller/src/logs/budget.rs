//! What logs may take.

use monkeyci_limits::{Area, Limit, Per};

use super::LogLimits;
use super::followers::WAITING;
use super::masked::LONGEST_HELD;
use super::store::{PART, PARTS};

/// The limits of logs on a host that was set up with `set`.
pub(crate) fn limits(set: &LogLimits) -> Area {
    let limits = vec![
        Limit::bytes(
            "the start of a log that is kept",
            Per::Job,
            set.head as u64,
            "the log of a clean build of a large project",
        ),
        Limit::bytes(
            "the end of a log that is kept, in memory",
            Per::Job,
            set.tail as u64,
            "what went wrong stands at the end",
        ),
        Limit::bytes("a part of a log, in memory", Per::Job, PART as u64, "it is written again as it fills"),
        Limit::count(
            "parts of a log",
            Per::Job,
            u64::from(PARTS),
            "one more for each connection that broke, but not for ever",
        ),
        Limit::bytes(
            "output that always ends with what may begin a secret",
            Per::Job,
            LONGEST_HELD,
            "then a host that comes after this one drops a line there",
        ),
        Limit::time(
            "a log until it is in the store",
            Per::Job,
            set.written_every,
            "a sidecar holds so much of it at least",
        ),
        Limit::bytes(
            "what waits for one who follows a log",
            Per::Call,
            WAITING as u64,
            "nobody waits for slow readers; they are told what they missed",
        ),
    ];
    Area { name: "logs", limits }
}
