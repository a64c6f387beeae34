//! Fuzz targets: what reads strangers' bytes, each as a function that takes any bytes. It returns, whatever they are, and says whether
//! they are taken and not refused; a panic is a finding, and so is a promise that an assertion holds against it.
//!
//! `cargo test` drives them with changed seeds, a number of inputs each (`tests/tests/fuzz.rs`); `cargo xtask soak` with many more.
//! `cargo xtask fuzz` drives them by coverage, from the same corpus.

mod archives;
mod calls;
mod components;
mod journal;
mod masking;
mod params;
mod patterns;
mod protocol;

use monkeyci_controller::fuzzing;

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes any bytes; says whether they are what it is for.
    pub run: fn(&[u8]) -> bool,
    /// How many inputs `cargo test` gives it: such that it takes about a second.
    pub inputs: u32,
}

/// All targets.
pub const TARGETS: [Target; 14] = [
    target("component", components::load, 1500),
    target("host_calls", calls::host_calls, 8),
    target("token", fuzzing::token, 3000),
    target("api_request", fuzzing::api_request, 200),
    target("launcher_protocol", protocol::frames, 20_000),
    target("archive", archives::archive, 500),
    target("tar", archives::tar, 500),
    target("test_report", fuzzing::test_report, 10_000),
    target("outputs_file", fuzzing::outputs_file, 20_000),
    target("patterns", patterns::patterns, 500),
    target("git_tree", fuzzing::git_tree, 40),
    target("masking", masking::masking, 1500),
    target("journal", journal::journal, 5000),
    target("params_file", params::params_file, 2000),
];

const fn target(name: &'static str, run: fn(&[u8]) -> bool, inputs: u32) -> Target {
    Target { name, run, inputs }
}

/// Runs the target of this name.
///
/// # Panics
/// When the target does, or there is none of this name.
#[allow(dead_code, reason = "for the programs of cargo-fuzz")]
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let _ = (target.run)(bytes);
}
