//! How much a job may make its launcher hold, and how long wait.

use monkeyci_limits::{Area, Limit, Per};

use super::STOP_LIMIT;
use super::link::OUTBOX_LIMIT;
use super::supervise::REST_LIMIT;
use crate::guard::HANDED_MOST;
use crate::protocol::MAX_CONTROL;

/// The limits of launchers.
pub fn limits() -> Area {
    let limits = vec![
        Limit::bytes(
            "output that waits for the sidecar",
            Per::Job,
            OUTBOX_LIMIT as u64,
            "the job waits when it is faster",
        ),
        Limit::bytes(
            "a message between launcher and sidecar",
            Per::Call,
            MAX_CONTROL as u64,
            "the system takes 2 MiB of arguments and variables",
        ),
        Limit::bytes(
            "what is handed to a further program in the job's container",
            Per::Call,
            HANDED_MOST as u64,
            "the job's variables and files in JSON, which the guard holds in memory",
        ),
        Limit::time(
            "killed processes until they are gone",
            Per::Job,
            REST_LIMIT,
            "one that hangs in the kernel is not waited for",
        ),
        Limit::time(
            "cleaning up after a signal that nobody follows up",
            Per::Job,
            STOP_LIMIT,
            "longer than any grace of ours",
        ),
    ];
    Area { name: "launchers", limits }
}
