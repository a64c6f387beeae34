//! How long a pod may take for what.

use monkeyci_limits::{Area, Limit, Per};

use super::cleanup::REMOVAL;
use super::services::LONGEST;
use super::{GRACE, LEASE, PARTING, PATIENCE, SAVING};
use crate::jobs::take_over::AT_ONCE;

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
        Limit::time(
            "containers that wait for another host",
            Per::Job,
            PATIENCE,
            "time to notice that a host has died, and to start its machine anew; `--wait-for-host` changes it",
        ),
        Limit::count(
            "pods that are removed at once",
            Per::Build,
            AT_ONCE as u64,
            "each is a few requests to the engine",
        ),
        Limit::bytes("a line of a service's log", Per::Call, LONGEST as u64, "longer ones are cut into several"),
    ];
    Area { name: "pods", limits }
}
