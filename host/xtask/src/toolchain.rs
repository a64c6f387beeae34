//! The Rust toolchain that runs this program: it builds everything that runs on this machine.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{find, output, program, within};
use crate::paths::Paths;
use crate::say::Step;

/// A toolchain of this machine.
pub struct Toolchain {
    /// Its root folder.
    pub sysroot: PathBuf,
    /// The target triple of this machine.
    pub host: String,
}

impl Toolchain {
    /// Asks rustc.
    pub fn detect() -> Result<Self> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = program(rustc);
        command.args(["--print", "sysroot", "--print", "host-tuple"]);
        let text = output(&mut command)?;
        let lines = text.split_once('\n').map(|(sysroot, host)| (sysroot, host.trim()));
        let (sysroot, host) = lines.with_context(|| format!("rustc printed an unexpected answer: {text}"))?;
        Ok(Self { sysroot: PathBuf::from(sysroot), host: host.to_owned() })
    }

    /// The folder with the linkers that the toolchain brings.
    pub fn linkers(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin")
    }

    /// Adds rustfmt and clippy where the toolchain was installed without them.
    pub fn ensure_lints(&self, step: &Step, paths: &Paths) -> Result<()> {
        // Rustup puts a proxy into PATH for components that are not installed too.
        let elsewhere = |file: &str| find("rustup").is_none() && find(file).is_some();
        let lacks = |file: &str| !self.sysroot.join("bin").join(file).is_file() && !elsewhere(file);
        let missing = [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")].into_iter();
        let missing: Vec<&str> = missing.filter(|(file, _)| lacks(file)).map(|(_, component)| component).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut command = program("rustup");
        command.args(["component", "add"]).args(&missing);
        step.doing(&crate::command::shown(&command));
        within(&mut command, Duration::from_secs(300), &paths.log("rustup-component")?)
            .with_context(|| format!("the toolchain has no {}", missing.join(" and no ")))
    }
}

/// Cargo of the same toolchain, in the repository's root and with its target folder.
pub fn cargo(paths: &Paths) -> Command {
    let mut command = program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&paths.root).env("CARGO_TARGET_DIR", &paths.target);
    command
}
