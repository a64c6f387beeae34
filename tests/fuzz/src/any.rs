//! Every target in one program, which is compiled once and not once for each: `cargo xtask fuzz` names the one that it means.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("MONKEYCI_FUZZ_TARGET").expect("the name of a target"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monkeyci_fuzz::run(&TARGET, bytes));
