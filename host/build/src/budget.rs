//! What a build's script and jobs may say.

use std::time::Duration;

use monkeyci_limits::{Area, Limit, Per};

use crate::check::{MAX_ARGUMENT, MAX_CACHE_KEY, MAX_DESTINATIONS, MAX_REPLACED, MAX_RETRIES};
use crate::command::TEST_REPORTS;
use crate::results::MAX_WARNING;
use crate::state::{LONGEST_DELAY_MS, MOST_TOLD, RESULTS, WORDS};
use crate::{DEFAULT_JOB_TIMEOUT_MS, DEFAULT_READY_TIMEOUT_MS, MAX_JOBS, TestSummary};

/// The limits of this crate.
pub fn limits() -> Area {
    let ms = Duration::from_millis;
    let limits = vec![
        Limit::count("jobs", Per::Build, MAX_JOBS as u64, "ten times the largest graph that is measured"),
        Limit::count(
            "needs that come about in place of left-out jobs",
            Per::Build,
            MAX_REPLACED as u64,
            "thousands of jobs that need thousands of left-out ones would fill memory and journal",
        ),
        Limit::count(
            "further attempts",
            Per::Job,
            u64::from(MAX_RETRIES),
            "what fails ten times does not fail by chance",
        ),
        Limit::time(
            "rest before a further attempt",
            Per::Job,
            ms(LONGEST_DELAY_MS),
            "longer than any outage that a retry is for",
        ),
        Limit::time("time of a job that names no limit", Per::Job, ms(DEFAULT_JOB_TIMEOUT_MS), "a job that hangs ends"),
        Limit::time(
            "time until a service is ready, unless it names one",
            Per::Job,
            ms(DEFAULT_READY_TIMEOUT_MS),
            "databases need some seconds",
        ),
        Limit::bytes("an argument or variable of a job", Per::Call, MAX_ARGUMENT as u64, "Linux takes no longer one"),
        Limit::bytes("a cache's key", Per::Call, MAX_CACHE_KEY as u64, "it becomes a part of a name in the store"),
        Limit::count(
            "destinations that a job may reach",
            Per::Job,
            MAX_DESTINATIONS as u64,
            "each is a rule that its packets go through",
        ),
        Limit::bytes("events and reports", Per::Build, WORDS as u64, "the journal keeps them for ever"),
        Limit::bytes(
            "results of jobs: outputs, messages, failures",
            Per::Build,
            RESULTS as u64,
            "the journal keeps them for ever",
        ),
        Limit::bytes(
            "what actions are told",
            Per::Build,
            MOST_TOLD as u64,
            "the journal keeps it, and memory does while they run; what is large is had again",
        ),
        Limit::bytes("warnings of a job", Per::Job, MAX_WARNING as u64, "they stand in the summary"),
        Limit::count("test reports", Per::Job, u64::from(TEST_REPORTS), "a suite for each module of a large project"),
        Limit::count(
            "failed tests that are named",
            Per::Job,
            TestSummary::FAILURES as u64,
            "nobody reads more; their number is kept",
        ),
    ];
    Area { name: "what scripts and jobs say", limits }
}
