//! What one request, and one build's requests, may take.

use monkeyci_limits::{Area, Limit, Per};

use super::events::{PAGE, PAGE_BYTES};
use super::pace::{CALLS_AT_ONCE, CALLS_PER_SECOND};
use super::readers::ReaderLimits;
use super::workspace_files::{ANSWER, GLOBS, HASHED};
use super::{BODY_LIMIT, LONGEST_WAIT, OUTPUT_LIMIT, SUBMISSION_LIMIT, outputs};
use crate::junit;

/// The limits of the build API.
pub(crate) fn limits() -> Area {
    let readers = ReaderLimits::default();
    let limits = vec![
        Limit::bytes(
            "a request's body that is not streamed",
            Per::Call,
            BODY_LIMIT as u64,
            "an event of 64 KiB, as JSON in JSON",
        ),
        Limit::bytes(
            "a submission of jobs, or a list of jobs to wait for",
            Per::Call,
            SUBMISSION_LIMIT as u64,
            "thousands of jobs, or the names of 100,000",
        ),
        Limit::bytes(
            "a piece of a file for the output area",
            Per::Call,
            OUTPUT_LIMIT as u64,
            "what a script hands over in one call",
        ),
        Limit::count(
            "calls in a second",
            Per::Build,
            u64::from(CALLS_PER_SECOND),
            "a script that does nothing but call leaves the host to others; further calls wait, and are not refused",
        ),
        Limit::count(
            "calls at once, before that",
            Per::Build,
            u64::from(CALLS_AT_ONCE),
            "whoever reads each file of a large repository once does not notice",
        ),
        Limit::time("a request that waits", Per::Call, LONGEST_WAIT, "whoever waits longer asks again"),
        Limit::count("events of one answer", Per::Call, PAGE as u64, "more are in the next"),
        Limit::bytes("events of one answer, about", Per::Call, PAGE_BYTES as u64, "more are in the next"),
        Limit::count("globs of one question", Per::Call, GLOBS as u64, "a list of all packages of a large repository"),
        Limit::bytes("paths that globs find", Per::Call, ANSWER as u64, "what a script can take in one call"),
        Limit::bytes("files of one digest", Per::Call, HASHED, "it is for lock files, and takes the disk meanwhile"),
        Limit::count(
            "open readers",
            Per::Build,
            u64::from(readers.of_build),
            "each holds a file or a connection; one of an artifact counts as 4",
        )
        .by_machine("a quarter of the host's, 64 at most"),
        Limit::count("open readers", Per::Host, u64::from(readers.of_host), "what others open must not fail")
            .by_machine("a quarter of the files that the process may have open, 16 to 1,024"),
        Limit::bytes(
            "a value of a container job's outputs",
            Per::Call,
            outputs::VALUE as u64,
            "it stands in the journal",
        ),
        Limit::count(
            "outputs and links of a container job",
            Per::Job,
            outputs::COUNT as u64,
            "they stand in the journal",
        ),
        Limit::count("nesting of a test report", Per::Call, junit::DEPTH as u64, "test runners nest a few"),
        Limit::bytes(
            "tests of a build that are told by name, in memory",
            Per::Call,
            junit::MAX_NAMED as u64,
            "half a million of them; the others are counted",
        ),
        Limit::count(
            "characters of a test's name or message",
            Per::Call,
            junit::WORDS as u64,
            "they stand in the journal; the store has the report",
        ),
    ];
    Area { name: "build API", limits }
}
