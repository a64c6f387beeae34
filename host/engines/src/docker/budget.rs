//! What containers may take, and what an engine may make us hold.

use monkeyci_limits::{Amount, Area, Limit, Per};

use super::container::{MAX_PROCESSES, SHM_BYTES};
use super::credentials::HELPER;
use super::machine::{MOST_MEMORY, SIDECAR_MEMORY, SIDECAR_PROCESSES, SIDECAR_PROCESSORS};
use super::network::PREFIX;
use super::remove::AT_ONCE;
use super::{raw, ready, watch};

/// The limits of the docker engine.
pub fn limits() -> Area {
    let limits = vec![
        Limit::count(
            "processes and threads of a job's or service's container",
            Per::Job,
            MAX_PROCESSES as u64,
            "more than a build on a large machine has, too few for a fork bomb",
        ),
        Limit::new(
            "memory of a container that names no limit, of the machine's",
            Per::Job,
            Amount::Percent(MOST_MEMORY),
            "one that eats all is killed itself, and not the host",
        ),
        Limit::bytes("/dev/shm of a container that names no size", Per::Job, SHM_BYTES, "what Docker gives it"),
        Limit::bytes(
            "memory of a sidecar",
            Per::Job,
            SIDECAR_MEMORY as u64,
            "three archives of 10 MiB, a test report of 16, and the kernel's share of files",
        ),
        Limit::count(
            "processes and threads of a sidecar",
            Per::Job,
            SIDECAR_PROCESSES as u64,
            "the most threads of its runtime, and some more",
        ),
        Limit::count(
            "processors of a sidecar",
            Per::Job,
            SIDECAR_PROCESSORS as u64,
            "one for an archive, and one for output meanwhile",
        ),
        Limit::count(
            "addresses of a pod's network",
            Per::Job,
            1 << (32 - PREFIX),
            "room for 61 containers beside the gateway",
        ),
        Limit::bytes(
            "an answer of the engine",
            Per::Call,
            raw::MOST_BYTES as u64,
            "lists of containers of large machines are below it",
        ),
        Limit::bytes(
            "the last lines of a container",
            Per::Call,
            watch::MOST_BYTES as u64,
            "a line has no end if its writer doesn't want one",
        ),
        Limit::bytes(
            "output of a service's ready command",
            Per::Call,
            ready::OUTPUT as u64,
            "it goes into an error's text",
        ),
        Limit::count(
            "lines of a service that was never ready",
            Per::Call,
            ready::LINES as u64,
            "they go into an error's text",
        ),
        Limit::count(
            "objects of an engine that are removed at once",
            Per::Host,
            AT_ONCE as u64,
            "engines get slow with more",
        ),
        Limit::time("a credential helper's answer", Per::Call, HELPER, "it may ask a server"),
    ];
    Area { name: "containers", limits }
}
