//! Hostile scripts, jobs, repositories, archives and requests: each has its typed refusal, and the host and its other builds go on.
//!
//! The scripts are programs of host calls for the script of `tests/call-script`, or components written by hand. They run against a host
//! inside of the test's process, which may take only so much memory.

mod archives;
mod bench;
mod components;
mod disk;
mod guests;
mod memory;
mod programs;
mod repositories;
mod waiting;
