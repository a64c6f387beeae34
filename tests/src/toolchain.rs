//! The toolchain that a person at this machine has.

use std::path::Path;
use std::process::Command;

/// Whether it compiles scripts. Where it has no library for their target, the scripts of the tests are compiled with Debian's, and a person
/// is told what is missing.
pub fn compiles_scripts() -> bool {
    let rustc = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output();
    rustc.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).exists())
}
