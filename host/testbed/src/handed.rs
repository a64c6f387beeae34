//! What set-up hands over to tests, benchmarks and fault runs: engines, images and programs.
//!
//! `cargo xtask` names them in variables. A test that `cargo test` runs alone finds what the last set-up provided in the
//! file [`FILE`] of the target folder. There is no third way: nothing is taken from where it may be by chance.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};

use crate::daemons::{Podman, Postgres};
use crate::engine::Engine;

/// The file, below the target folder.
pub const FILE: &str = "xtask/handed-over";

/// An image with a shell and small tools.
pub const IMAGE: &str = "MONKEYCI_TEST_IMAGE";
/// An image with single static programs and no shell.
pub const SCRATCH_IMAGE: &str = "MONKEYCI_TEST_SCRATCH_IMAGE";
/// A static busybox, to make images from.
pub const BUSYBOX: &str = "MONKEYCI_TEST_BUSYBOX";
/// The compiler of the toolchain that builds the host.
pub const RUSTC: &str = "MONKEYCI_TEST_RUSTC";
/// The folder with the components of the sample scripts.
pub const SAMPLES: &str = "MONKEYCI_SAMPLES";
/// The host's program.
pub const HOST: &str = "MONKEYCI_TEST_HOST";
/// The host's program in release, for benchmarks.
pub const BENCH_HOST: &str = "MONKEYCI_BENCH_HOST";
/// The static program of sidecar, launcher and guard.
pub const SIDECAR: &str = "MONKEYCI_SIDECAR";
/// The folder with PostgreSQL's server programs.
pub const POSTGRES: &str = "MONKEYCI_TEST_POSTGRES";
/// Docker's address.
pub const DOCKER: &str = "MONKEYCI_TEST_DOCKER";
/// Podman's address, while `cargo xtask` serves it or where the machine does.
pub const PODMAN: &str = "MONKEYCI_TEST_PODMAN";

/// Writes the file.
pub fn write(target: &Path, variables: &[(&'static str, OsString)]) -> Result<()> {
    let line = |(name, value): &(&str, OsString)| format!("{name}={}\n", value.display());
    let (file, text) = (target.join(FILE), variables.iter().map(line).collect::<String>());
    // By way of another name: a test may read it now.
    let partial = file.with_extension(std::process::id().to_string());
    fs::create_dir_all(target.join("xtask"))
        .and_then(|()| fs::write(&partial, text))
        .and_then(|()| fs::rename(&partial, &file))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn given(name: &str) -> Option<String> {
    let own = env::current_exe().unwrap_or_default();
    let file = || own.ancestors().find_map(|dir| fs::read_to_string(dir.join(FILE)).ok());
    let line =
        |text: String| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| line(file()?))
}

/// What set-up has handed over by this name.
///
/// # Panics
///
/// Says what to do where it has not.
pub fn get(name: &str) -> String {
    given(name).unwrap_or_else(|| panic!("set-up has not handed over ${name}: run `cargo xtask test`, which does"))
}

/// A file or folder that set-up, or what it has built, provides.
pub fn path(name: &str) -> PathBuf {
    let path = PathBuf::from(get(name));
    assert!(path.exists(), "{} (${name}) is not there: run `cargo xtask test`, which makes it", path.display());
    path
}

/// The host's program.
pub fn host() -> PathBuf {
    path(HOST)
}

/// The static program of sidecar, launcher and guard.
pub fn sidecar() -> PathBuf {
    path(SIDECAR)
}

/// The component of a script.
pub fn script(name: &str) -> PathBuf {
    let path = path(SAMPLES).join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is not there: run `cargo xtask test`, which builds it", path.display());
    path
}

/// A PostgreSQL, for the tests of one process: it runs as long as one of them has it.
pub fn postgres() -> Arc<Postgres> {
    static RUNS: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(postgres) = runs.upgrade() {
        return postgres;
    }
    let postgres = Postgres::start(&path(POSTGRES))
        .unwrap_or_else(|error| panic!("PostgreSQL, whose programs are in ${POSTGRES}, does not run: {error:#}"));
    let postgres = Arc::new(postgres);
    *runs = Arc::downgrade(&postgres);
    postgres
}

/// An image with a shell and small tools.
pub fn image() -> String {
    get(IMAGE)
}

/// An image with single static programs and no shell.
pub fn scratch_image() -> String {
    get(SCRATCH_IMAGE)
}

/// The Docker that set-up has found or started.
pub fn docker() -> Engine {
    engine(DOCKER, &get(DOCKER))
}

/// The Podman that `cargo xtask` serves. To tests that run alone: one that is served as long as one of them has it.
pub fn podman() -> Arc<Podman> {
    static SERVED: Mutex<Weak<Podman>> = Mutex::new(Weak::new());
    if let Some(url) = given(PODMAN) {
        return Arc::new(Podman::that_runs(engine(PODMAN, &url)));
    }
    let target = path(BUSYBOX).ancestors().find(|dir| dir.join(FILE).is_file()).map(Path::to_owned);
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(podman) = served.upgrade() {
        return podman;
    }
    let podman = target.context("there is no target folder").and_then(|target| Podman::serve(&target.join("podman")));
    let podman = Arc::new(podman.unwrap_or_else(|error| {
        panic!("${PODMAN} is not set, and {error:#}: run `cargo xtask setup --podman`, which installs it")
    }));
    *served = Arc::downgrade(&podman);
    podman
}

fn engine(name: &str, url: &str) -> Engine {
    let socket = Path::new(url.strip_prefix("unix://").unwrap_or(url));
    Engine::at(socket).unwrap_or_else(|error| {
        panic!("no engine answers at {url}, which ${name} names ({error}): run `cargo xtask test`, which starts it")
    })
}
