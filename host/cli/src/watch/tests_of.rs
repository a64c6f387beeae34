//! The tests of a script, which end when nobody waits for them any more.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::files::readable;
use crate::test;

/// Runs the tests of a script's crate: whether they pass. What they say goes to standard error.
pub async fn pass(script: &Path) -> anyhow::Result<bool> {
    let mut command = test::of(&script.join("Cargo.toml")).map_err(|(_, error)| error)?;
    // Others may read standard output, and the terminal's keys are this process's.
    command.stdin(Stdio::null()).stdout(std::io::stderr()).process_group(0);
    let mut running = Running(command.spawn().context("cargo can't be run; install Rust from https://rustup.rs")?);
    let ends = pidfd_open(Pid::from_child(&running.0), PidfdFlags::NONBLOCK)?;
    let ended = readable(ends)?;
    let _ = ended.readable().await?;
    Ok(running.0.wait()?.success())
}

/// A program and those that it has started. They go with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Not if it has ended: its number may be another's then.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}
