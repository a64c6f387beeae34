//! What the two ends of the build API have agreed upon.

use monkeyci_limits::{Area, Limit, Per};

use crate::client::CALL_TIMEOUT;
use crate::{MAX_LOG_FRAME, MAX_OUTPUTS, MAX_TEST_REPORT};

/// The limits of this crate.
pub fn limits() -> Area {
    let limits = vec![
        Limit::bytes("a frame of a log", Per::Call, MAX_LOG_FRAME as u64, "longer output is several frames"),
        Limit::bytes(
            "the outputs of a container job",
            Per::Job,
            MAX_OUTPUTS,
            "they are for numbers, versions and links; more is for artifacts",
        ),
        Limit::bytes("a test report", Per::Call, MAX_TEST_REPORT, "a suite of ten thousand tests has three megabytes"),
        Limit::time(
            "the answer to a call without a stream",
            Per::Call,
            CALL_TIMEOUT,
            "what may take longer asks for more",
        ),
    ];
    Area { name: "what sidecars hand in", limits }
}
