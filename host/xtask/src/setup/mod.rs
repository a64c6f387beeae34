//! What a fresh machine lacks: the wasm target, a container engine, images.
//!
//! Each part first looks whether it is there, which takes milliseconds. Only when something is missing it takes the
//! machine-wide lock, looks again, and then changes the machine.

pub mod api;
mod apt;
mod dockerd;
mod engine;
mod images;
mod podman;
mod tarball;
mod wasm_target;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use engine::{Engine, Kind};
pub use images::Images;
pub use podman::Service;
pub use wasm_target::GuestToolchain;

use crate::compile::Built;
use crate::paths::Paths;
use crate::say::{self, Step};
use crate::toolchain::Toolchain;

/// How much to set up.
#[derive(Clone, Copy, Default)]
pub struct Scope {
    /// Docker itself, where Podman would do for the demo.
    pub docker: bool,
    /// Podman too, beside the main engine.
    pub podman: bool,
    /// The images that only tests need.
    pub test_images: bool,
    /// rustfmt and clippy.
    pub lints: bool,
}

/// A machine that is set up.
pub struct Ready {
    /// The toolchain of this machine.
    pub toolchain: Toolchain,
    /// The toolchain of the scripts.
    pub guest: GuestToolchain,
    /// The engine of the demo, and the first one of the tests.
    pub engine: Engine,
    /// Podman, for the tests; ends when this is dropped.
    pub podman: Option<Service>,
    /// The images, in all of these engines.
    pub images: Images,
}

/// Does what is missing. When several things cannot be done, the error names them all.
pub fn run(paths: &Paths, scope: Scope) -> Result<Ready> {
    let step = say::step("wasm target");
    let toolchain = Toolchain::detect().context("no Rust toolchain answers")?;
    let lints = match scope.lints {
        true => toolchain.ensure_lints(&step, paths),
        false => Ok(()),
    };
    let guest = wasm_target::ensure(&step, paths, &toolchain);
    let engine = engine::ensure(&say::step("container engine"), paths, scope.docker);
    let podman = match scope.podman {
        true => podman::ensure(&say::step("podman"), paths).map(Some),
        false => Ok(None),
    };
    let (guest, engine, podman) = match (lints, guest, engine, podman) {
        (Ok(()), Ok(guest), Ok(engine), Ok(podman)) => (guest, engine, podman),
        (lints, guest, engine, podman) => {
            let errors = [lints.err(), guest.err(), engine.err(), podman.err()];
            let errors: Vec<String> = errors.iter().flatten().map(|error| format!("{error:#}")).collect();
            bail!("{}", errors.join("\n\nand: "));
        }
    };
    let engines: Vec<&Engine> = std::iter::once(&engine).chain(podman.as_ref().map(Service::engine)).collect();
    let images = images::ensure(&say::step("images"), paths, &engines, scope.test_images)?;
    Ok(Ready { toolchain, guest, engine, podman, images })
}

impl Ready {
    /// What tests and benchmarks are told through their environment.
    pub fn environment(&self, built: &Built) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("MONKEYCI_TEST_IMAGE", self.images.busybox.clone().into()),
            ("MONKEYCI_SAMPLES", built.components.clone().into()),
            ("MONKEYCI_TEST_HOST", built.host.clone().into()),
            ("MONKEYCI_SIDECAR", built.sidecar.clone().into()),
        ];
        if let Some(scratch) = &self.images.scratch {
            variables.push(("MONKEYCI_TEST_SCRATCH_IMAGE", scratch.into()));
        }
        for engine in self.podman.as_ref().map(Service::engine).into_iter().chain([&self.engine]) {
            let name = match engine.kind {
                Kind::Docker => "MONKEYCI_TEST_DOCKER",
                Kind::Podman => "MONKEYCI_TEST_PODMAN",
            };
            variables.push((name, engine.url().into()));
        }
        variables
    }
}

/// Whether this process may change the machine.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Waits until no other set-up changes this machine. The lock ends when the file is dropped.
fn lock(step: &Step, paths: &Paths) -> Result<File> {
    let dir = Path::new("/run/lock");
    let path: PathBuf = if is_root() && dir.is_dir() {
        dir.join("monkeyci-host-setup.lock")
    } else {
        paths.log("setup")?.with_extension("lock")
    };
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => step.doing("waiting for another set-up on this machine"),
        Err(TryLockError::Error(_)) => {}
    }
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
