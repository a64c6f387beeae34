//! Where things are.

use std::path::PathBuf;

/// The folder of cargo's output, from this program's own place in it: `target/debug/deps/test-…`.
fn target() -> PathBuf {
    let own = std::env::current_exe().expect("a path of one's own");
    own.ancestors().nth(3).expect("a test stands in target/<profile>/deps").to_owned()
}

fn given(variable: &str, otherwise: impl FnOnce() -> PathBuf) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(otherwise, PathBuf::from);
    assert!(path.exists(), "{} is not there: run `cargo xtask test`, which makes it (${variable})", path.display());
    path
}

/// The host's program: `MONKEYCI_TEST_HOST`.
pub fn host() -> PathBuf {
    given("MONKEYCI_TEST_HOST", || target().join("debug/monkeyci-host"))
}

/// A script: from the folder `MONKEYCI_SAMPLES`.
pub fn script(name: &str) -> PathBuf {
    let folder = given("MONKEYCI_SAMPLES", || target().join("samples/wasm32-wasip2/release"));
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is not there: run `cargo xtask test`, which builds it", path.display());
    path
}

/// An image with a shell and small tools: `MONKEYCI_TEST_IMAGE`.
pub fn image() -> String {
    std::env::var("MONKEYCI_TEST_IMAGE").unwrap_or_else(|_| "localhost/monkeyci-busybox:1".to_owned())
}

/// An image with single static programs and no shell: `MONKEYCI_TEST_SCRATCH_IMAGE`.
pub fn scratch_image() -> String {
    std::env::var("MONKEYCI_TEST_SCRATCH_IMAGE").unwrap_or_else(|_| "localhost/monkeyci-scratch:1".to_owned())
}

/// The static program of sidecar and launcher: `MONKEYCI_SIDECAR`.
pub fn sidecar() -> PathBuf {
    given("MONKEYCI_SIDECAR", || target().join("debug/monkeyci-sidecar-static"))
}
