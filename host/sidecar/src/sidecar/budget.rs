//! How much a job may make its sidecar hold.

use monkeyci_api::LOG_HELD;
use monkeyci_limits::{Area, Limit, Per};

use super::at_once::MOST;
use super::log::FRUITLESS;
use super::restore::CUT_OFF;
use super::results::{MAX_TEST_REPORT_FILE, MAX_TEST_REPORTS, MAX_WARNINGS};

/// The limits of sidecars, beside those of the build API.
pub fn limits() -> Area {
    let limits = vec![
        Limit::count(
            "archives that are on their way at once",
            Per::Job,
            MOST as u64,
            "each takes up to 10 MiB of memory",
        ),
        Limit::bytes(
            "a job's log that is not kept yet",
            Per::Job,
            LOG_HELD as u64,
            "the job waits when it is faster, or when its host is away",
        ),
        Limit::count(
            "connections for a log that bring nothing on, one after the other",
            Per::Job,
            u64::from(FRUITLESS),
            "then the log is given up",
        ),
        Limit::count("archives that break off, each", Per::Job, u64::from(CUT_OFF), "hosts that die meanwhile"),
        Limit::count(
            "test report files",
            Per::Job,
            MAX_TEST_REPORTS as u64,
            "a suite for each module of a large project",
        ),
        Limit::bytes(
            "a test report's file, with what tests have printed",
            Per::Call,
            MAX_TEST_REPORT_FILE,
            "what they printed is left out of the report",
        ),
        Limit::count("warnings that are lines of the log", Per::Job, MAX_WARNINGS as u64, "the rest is counted"),
    ];
    Area { name: "sidecars", limits }
}
