//! How long a pod may take for what.

use monkeyci_limits::{Area, Limit, Per};

use super::cleanup::REMOVAL;
use super::services::LONGEST;
use super::{GRACE, LEASE, PARTING, SAVING};

/// The limits of pods.
pub(crate) fn limits() -> Area {
    let limits = vec![
        Limit::time("a job that is asked to stop", Per::Job, GRACE, "to clean up after itself; then it is killed"),
        Limit::time(
            "saving and reporting after the end of a job",
            Per::Job,
            SAVING,
            "artifacts of gigabytes on a slow store",
        ),
        Limit::time("an engine that does not answer", Per::Job, LEASE, "then it counts as gone"),
        Limit::time("an engine that is away while a job is stopped", Per::Job, PARTING, "somebody waits for the end"),
        Limit::time("removing a pod", Per::Job, REMOVAL, "then it is left to the sweep, and said"),
        Limit::bytes("a line of a service's log", Per::Call, LONGEST as u64, "longer ones are cut into several"),
    ];
    Area { name: "pods", limits }
}
