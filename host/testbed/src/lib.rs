//! What set-up provides, and tests, benchmarks and fault runs use: the engines and images that containers run in, and the
//! programs of the machine that may be called.
//!
//! [`handed`] says where all that is. [`daemons`] starts engines of a test's own, [`images`] makes images in them,
//! [`compiled`] makes programs for containers, and [`programs`] is the list of the machine's. It depends on `std`, `anyhow` and `tar` alone, because `cargo xtask` is built
//! with it before anything else; it is a crate beside `xtask`, so that a change to set-up builds no test anew.

pub mod command;
pub mod compiled;
pub mod daemons;
pub mod engine;
pub mod handed;
pub mod images;
pub mod programs;
