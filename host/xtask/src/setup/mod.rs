//! What a fresh machine lacks: the wasm target, a container engine, images.
//!
//! Each part first looks whether it is there, which takes milliseconds. Only when something is missing it takes the
//! machine-wide lock, looks again, and then changes the machine.

pub mod apt;
mod docker;
mod engine;
mod guest;
mod images;
mod postgres;
pub mod zig;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use monkeyci_testbed::daemons::Podman;
use monkeyci_testbed::engine::{Engine, Kind};
use monkeyci_testbed::handed;
use monkeyci_testbed::programs::For;

pub use guest::GuestToolchain;
pub use images::Images;

use crate::compile::{Built, Profile};
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
    /// The programs and images that only tests need.
    pub tests: bool,
    /// The programs that only benchmarks need.
    pub benchmarks: bool,
    /// The programs that only fuzzing by coverage needs.
    pub fuzzing: bool,
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
    pub podman: Option<Podman>,
    /// The images, in all of these engines.
    pub images: Images,
    /// PostgreSQL's programs, for tests.
    pub postgres: Option<PathBuf>,
}

/// Does what is missing. When several things cannot be done, the error names them all.
pub fn run(paths: &Paths, scope: Scope) -> Result<Ready> {
    let mut errors = Vec::new();
    let mut needed = vec![For::All];
    needed.extend(scope.tests.then_some(For::Tests));
    needed.extend(scope.benchmarks.then_some(For::Benchmarks));
    needed.extend(scope.fuzzing.then_some(For::Fuzzing));
    let step = say::step("programs");
    match kept(apt::ensure(&step, paths, &needed), &mut errors) {
        Some(true) => step.done("installed what was missing"),
        Some(false) => step.already("all that is called"),
        None => {}
    }

    let step = say::step("wasm target");
    let toolchain = Toolchain::detect().context("no Rust toolchain answers")?;
    if scope.lints {
        kept(toolchain.ensure_lints(&step, paths), &mut errors);
    }
    let guest = kept(guest::ensure(&step, paths, &toolchain), &mut errors);
    let engine = kept(engine::ensure(&say::step("container engine"), paths, scope.docker), &mut errors);
    let podman = match scope.podman {
        true => kept(engine::ensure_podman(&say::step("podman"), paths), &mut errors),
        false => None,
    };
    let postgres = match scope.tests {
        true => kept(postgres::ensure(&say::step("postgresql"), paths), &mut errors),
        false => None,
    };
    let (Some(guest), Some(engine), []) = (guest, engine, errors.as_slice()) else {
        bail!("{}", errors.join("\n\nand: "));
    };
    let engines: Vec<&Engine> = std::iter::once(&engine).chain(podman.as_ref().map(|podman| &podman.engine)).collect();
    let images = images::ensure(&say::step("images"), paths, &engines, scope.tests)?;
    let ready = Ready { toolchain, guest, engine, podman, images, postgres };
    if scope.tests {
        ready.hand_over(paths)?;
    }
    Ok(ready)
}

/// Only what compiles scripts: the wasm target.
pub fn guest(paths: &Paths) -> Result<GuestToolchain> {
    let toolchain = Toolchain::detect().context("no Rust toolchain answers")?;
    guest::ensure(&say::step("wasm target"), paths, &toolchain)
}

/// The value, or another error to be told.
fn kept<T>(result: Result<T>, errors: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| errors.push(format!("{error:#}"))).ok()
}

impl Ready {
    /// What tests and benchmarks are told through their environment.
    pub fn environment(&self, built: &Built) -> Vec<(&'static str, OsString)> {
        let mut variables: Vec<(&str, OsString)> = vec![
            (handed::IMAGE, self.images.busybox.clone().into()),
            (handed::SCRATCH_IMAGE, self.images.scratch.into()),
            (handed::RUSTC, self.toolchain.sysroot.join("bin/rustc").into()),
            (handed::SAMPLES, built.components.clone().into()),
            (handed::HOST, built.host.clone().into()),
            (handed::SIDECAR, built.sidecar.clone().into()),
        ];
        variables.extend(self.images.program.clone().map(|program| (handed::BUSYBOX, program.into())));
        variables.extend(self.postgres.clone().map(|programs| (handed::POSTGRES, programs.into())));
        let name = |kind| if kind == Kind::Docker { handed::DOCKER } else { handed::PODMAN };
        let engines = self.podman.as_ref().map(|podman| &podman.engine).into_iter().chain([&self.engine]);
        variables.extend(engines.map(|engine| (name(engine.kind), engine.url().into())));
        variables
    }

    /// Tells a test that `cargo test` runs alone; a Podman that ends with this program it has to serve itself.
    fn hand_over(&self, paths: &Paths) -> Result<()> {
        let mut variables = self.environment(&Built::of(paths, Profile::Debug));
        variables.retain(|(name, _)| *name != handed::PODMAN || self.engine.kind == Kind::Podman);
        handed::write(&paths.target, &variables)
    }
}

/// Whether this process may change the machine.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Waits until no other set-up changes this machine. The lock ends when the file is dropped.
fn lock(step: &Step, paths: &Paths) -> Result<File> {
    let dir = Path::new("/run/lock");
    let path = match is_root() && dir.is_dir() {
        true => dir.join("monkeyci-host-setup.lock"),
        false => paths.log("setup")?.with_extension("lock"),
    };
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        step.doing("waiting for another set-up on this machine");
    }
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
