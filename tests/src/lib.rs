//! What the end-to-end tests and the benchmarks share: the host's program, the sample scripts, the engines.
//!
//! `cargo xtask test` makes all of it and says where it is in the environment; see [`place`] for the variables.

pub mod big;
pub mod dockerd;
pub mod engine;
pub mod hang_guard;
pub mod host;
pub mod https;
pub mod registry;
pub mod repository;
pub mod s3;
pub mod toolchain;
pub mod warm;

pub use monkeyci_testbed::handed as place;
