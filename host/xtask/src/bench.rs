//! The benchmarks, on release builds.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::run as run_command;
use crate::compile::{Extent, Profile, everything};
use crate::paths::Paths;
use crate::say::heading;
use crate::setup;
use crate::toolchain::cargo;

/// Sets up, builds, and runs `cargo bench`.
pub fn run(paths: &Paths, args: &[OsString]) -> Result<ExitCode> {
    let ready = setup::run(paths, setup::Scope { docker: true, benchmarks: true, ..setup::Scope::default() })
        .context("set-up failed")?;
    let built = everything(paths, &ready, Profile::Release, Extent::Host)?;
    let mut command = cargo(paths);
    command
        .args(["bench", "--package", "monkeyci-tests"])
        .args(args)
        .envs(ready.environment(&built))
        .env("MONKEYCI_BENCH_HOST", &built.host);
    heading("== benchmarks");
    run_command(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
