//! Kills what takes part in a job, in every phase, or cancels it, and looks how that ends; then kills at random, and looks what
//! is left.
//!
//! `cargo xtask faults [--runs N] [--jobs N]` sets everything up and runs this. It needs root, for a daemon of its own that
//! may be killed, and for the processes of containers.

mod leaks;
mod matrix;

use std::process::ExitCode;

const USAGE: &str = "faults [--runs N] [--jobs N] [--phase PHASE] [--victim VICTIM]";

/// What the command line asks for.
struct Options {
    /// How many runs of the matrix in all.
    runs: usize,
    /// How many jobs of the leak run.
    jobs: usize,
    /// Only this phase.
    phase: Option<String>,
    /// Only this victim.
    victim: Option<String>,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { runs: 200, jobs: 300, phase: None, victim: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--runs" => options.runs = value.parse().ok()?,
            "--jobs" => options.jobs = value.parse().ok()?,
            "--phase" => options.phase = Some(value),
            "--victim" => options.victim = Some(value),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let kills = matrix::run(&options);
    let leaks = options.jobs == 0 || leaks::run(options.jobs);
    if kills && leaks { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
