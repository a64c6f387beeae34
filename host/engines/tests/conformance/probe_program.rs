//! Compiles the probe, once per version of it.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("probe.rs");

/// The path of the compiled probe.
pub fn path() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = directory.join(format!("probe-{:016x}", hasher.finish()));
    // nextest runs each test in a process of its own: only one of them compiles.
    let _lock = lock(&directory.join("probe.lock"));
    if program.exists() {
        return program;
    }
    let rustc = monkeyci_testbed::handed::path(monkeyci_testbed::handed::RUSTC);
    let version = Command::new(&rustc).arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");

    let source = directory.join("probe.rs");
    std::fs::write(&source, SOURCE).expect("the probe's source can be written");
    let made = directory.join("probe.new");
    let status = Command::new(&rustc)
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "--target", host])
        .args(["--crate-name", "probe"])
        .arg(&source)
        .arg("-o")
        .arg(&made)
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the probe does not compile");
    std::fs::rename(made, &program).expect("the probe can be renamed");
    program
}

/// Locks a file until the return value is dropped.
pub fn lock(path: &Path) -> File {
    let file = File::create(path).expect("a lock file can be made");
    file.lock().expect("a file can be locked");
    file
}
