//! Compiles the probe, once per version of it.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

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
    let source = directory.join("probe.rs");
    std::fs::write(&source, SOURCE).expect("the probe's source can be written");
    let made = directory.join("probe.new");
    monkeyci_testbed::compiled::static_program(&source, &made).expect("the probe compiles");
    std::fs::rename(made, &program).expect("the probe can be renamed");
    program
}

/// Locks a file until the return value is dropped.
pub fn lock(path: &Path) -> File {
    let file = File::create(path).expect("a lock file can be made");
    file.lock().expect("a file can be locked");
    file
}
