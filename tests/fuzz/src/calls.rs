//! Calls of a script: programs for `tests/call-script`, which interprets them.

use std::sync::LazyLock;

use monkeyci_controller::fuzzing;
use monkeyci_testbed::handed;

/// Its component, which set-up has built; cargo-fuzz has to be told by `MONKEYCI_SAMPLES` where that is.
static SCRIPT: LazyLock<Vec<u8>> =
    LazyLock::new(|| std::fs::read(handed::script("call_script")).expect("the script of `tests/call-script`"));

/// A program, a line for each call.
pub fn host_calls(bytes: &[u8]) -> bool {
    fuzzing::host_calls(&SCRIPT, bytes)
}
