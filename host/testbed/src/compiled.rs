//! Programs of tests' own that run in containers, whatever image those are of.

use std::path::Path;

use anyhow::{Context, Result};

use crate::command;
use crate::handed;

/// Compiles a source file to a static program, with the compiler that builds the host.
///
/// # Errors
///
/// When the compiler can't be run, or refuses the source.
pub fn static_program(source: &Path, program: &Path) -> Result<()> {
    let rustc = handed::path(handed::RUSTC);
    let version = command::output(command::program(&rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let options = ["--edition=2024", "-O", "-Cstrip=symbols", "-Cpanic=abort", "-Ctarget-feature=+crt-static"];
    // With a target, the standard library is linked statically too.
    let target = ["--target", host];
    command::run(command::program(&rustc).args(options).args(target).arg(source).arg("-o").arg(program))
}
