//! Set-up, demo, tests and benchmarks of this repository.
//!
//! One command has to work on a fresh machine, so this depends on `std`, `anyhow` and the testbed alone, finds or installs
//! what it needs, and says what it does. Everything is idempotent: what is already there costs milliseconds.

pub use monkeyci_testbed::{command, programs};

pub mod bench;
pub mod compile;
pub mod demo;
mod demo_repo;
pub mod faults;
pub mod paths;
pub mod rehearse;
pub mod say;
pub mod setup;
pub mod test;
pub mod toolchain;
