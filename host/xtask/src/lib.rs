//! Set-up, and what it hands over to tests.
//!
//! One command has to work on a fresh machine, so this depends on little, finds or
//! installs what it needs, and says what it does. Everything is idempotent: what is already there costs milliseconds.
//!
//! Tests, benchmarks and fault runs use it as a library: [`handed`] says where the engines, images and programs are
//! that set-up has provided, [`daemons`] starts engines of their own, and [`programs`] lists the programs of the
//! machine that they may call.

pub mod bench;
pub mod command;
pub mod compile;
pub mod daemons;
pub mod demo;
mod demo_repo;
pub mod engine;
pub mod faults;
pub mod handed;
pub mod images;
pub mod paths;
pub mod programs;
pub mod rehearse;
pub mod say;
pub mod setup;
pub mod test;
pub mod toolchain;
