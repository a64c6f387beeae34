//! The long runs: fault runs, whole what `cargo xtask test` takes a sample of, and fuzzing by coverage.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::{program, run as run_command};
use crate::compile::{Extent, Profile, everything};
use crate::fuzz;
use crate::paths::Paths;
use crate::reproduce;
use crate::say::heading;
use crate::setup;
use crate::toolchain::cargo;

/// The tests that take a sample: the variable that says how many cases they take, how many in a soak, and the test.
const SAMPLED: [(&str, &str, &str); 6] = [
    ("MONKEYCI_MASK_FUZZ_CASES", "300000", "fuzz_streams_are_masked"),
    ("MONKEYCI_FUZZ_ROUNDS", "300", "no_bytes_make_any_reader_panic"),
    ("MONKEYCI_KILLS", "1000", "a_build_that_is_killed_anywhere_ends_as_if_nothing_had_happened"),
    ("MONKEYCI_JOURNAL_MUTATIONS", "100000", "changed_anywhere_is_read_as_it_was_written_or_refused"),
    ("MONKEYCI_SEEDS", "1000", "a_seed_gives_the_same_run_each_time_to_the_byte"),
    ("MONKEYCI_SEEDS", "10000", "a_script_that_bears_all_that_can_happen_breaks_no_rule_and_nor_does_the_host"),
];

/// How many cases a property test of a soak draws, unless it says a number itself.
const PROPERTY_CASES: &str = "20000";

/// Sets up, builds, and runs the program that kills; in a `soak`, then the tests that take a sample otherwise, and what no test does.
pub fn run(paths: &Paths, soak: bool, args: &[OsString]) -> Result<ExitCode> {
    let scope = setup::Scope { docker: true, podman: soak, tests: true, ..setup::Scope::default() };
    let ready = setup::run(paths, scope).context("set-up failed")?;
    let environment = ready.environment(&everything(paths, &ready, Profile::Debug, Extent::Workspace)?);
    heading("== fault runs");
    run_command(
        program(paths.target.join("debug/faults")).args(args).envs(environment.clone()).current_dir(&paths.root),
    )?;
    for (variable, cases, test) in SAMPLED.into_iter().filter(|_| soak) {
        heading(&format!("== {test}: {cases} cases"));
        let mut command = cargo(paths);
        command.args(["test", "--workspace", "--no-fail-fast", test, "--", "--nocapture"]);
        run_command(command.envs(environment.clone()).env(variable, cases))?;
    }
    if soak {
        heading("== property tests, drawn anew");
        let mut command = cargo(paths);
        command.args(["test", "--workspace", "--no-fail-fast", "--lib", "--test", "*properties"]);
        run_command(command.envs(environment.clone()).env("PROPTEST_CASES", PROPERTY_CASES))?;
        reproduce::run(paths)?;
        return fuzz::run(paths, &fuzz::Request::all(20 * 60));
    }
    Ok(ExitCode::SUCCESS)
}
