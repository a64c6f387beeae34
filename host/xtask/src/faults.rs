//! The fault runs: what is killed, and what comes of it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::run as run_command;
use crate::compile::{Extent, Profile, everything};
use crate::paths::Paths;
use crate::say::heading;
use crate::setup;
use crate::toolchain::cargo;

/// Sets up, builds, and runs the program that kills.
pub fn run(paths: &Paths, args: &[OsString]) -> Result<ExitCode> {
    let scope = setup::Scope { docker: true, tests: true, ..setup::Scope::default() };
    let ready = setup::run(paths, scope).context("set-up failed")?;
    let built = everything(paths, &ready, Profile::Debug, Extent::Workspace)?;
    let mut command = cargo(paths);
    command.args(["run", "--quiet", "--package", "monkeyci-tests", "--bin", "faults", "--"]).args(args);
    heading("== fault runs");
    run_command(command.envs(ready.environment(&built)))?;
    Ok(ExitCode::SUCCESS)
}
