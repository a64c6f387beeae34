//! The benchmarks.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::run as run_command;
use crate::compile::{Extent, Profile, everything};
use crate::paths::Paths;
use crate::say::heading;
use crate::setup;
use crate::toolchain::cargo;

/// The benchmarks of whole builds, which `cargo bench` runs when no other is asked for.
const BENCHMARKS: [&str; 3] = ["start", "job", "large"];

/// Sets up, builds, and runs `cargo bench`. With `release` all is built as users get it, which takes some minutes more.
pub fn run(paths: &Paths, release: bool, args: &[OsString]) -> Result<ExitCode> {
    let ready = setup::run(paths, setup::Scope { docker: true, benchmarks: true, ..setup::Scope::default() })
        .context("set-up failed")?;
    let profile = if release { Profile::Release } else { Profile::Measured };
    let built = everything(paths, &ready, profile, Extent::Programs)?;
    let mut command = cargo(paths);
    command.args(["bench", "--workspace"]);
    match profile {
        Profile::Release => {}
        _ => drop(command.args(["--profile", "dev"]).args(profile.arguments())),
    }
    if !args.iter().any(|arg| arg == "--bench") {
        command.args(BENCHMARKS.iter().flat_map(|name| ["--bench", name]));
    }
    command.args(args).envs(ready.environment(&built)).env("MONKEYCI_BENCH_HOST", &built.host);
    heading("== benchmarks");
    run_command(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
