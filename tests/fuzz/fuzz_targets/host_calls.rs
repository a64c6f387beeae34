#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monkeyci_fuzz::run("host_calls", bytes));
