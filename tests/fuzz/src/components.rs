//! Components: looked into, and loaded if they are scripts.

use std::sync::LazyLock;

use monkeyci_script::{Limits, Runtime, RuntimeOptions, inspect};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let limits = Limits { component_bytes: 64 << 10, instances: 1, waiting_instances: 1, ..Limits::default() };
    Runtime::new(RuntimeOptions { cache_dir: None, limits }).expect("a runtime")
});

/// A component.
pub fn load(bytes: &[u8]) -> bool {
    let looked = inspect(bytes, RUNTIME.limits()).is_ok();
    let loaded = RUNTIME.load(bytes).is_ok();
    assert!(looked || !loaded, "what can't be looked into is loaded");
    looked
}
