//! Why a script may have as much as it may, for those who ask.

use monkeyci_limits::{Area, Limit, Per};

use crate::cache::KEEP;
use crate::compile::{LAST_WORDS, THREADS};
use crate::host::{CHUNK, COUNT, LAST_ERROR, ONE_REQUEST, QUEUE, TEXT, WHOLE};
use crate::instance::LONGEST_ERROR;
use crate::limits::Limits;
use crate::log::{FRAME_COST, FRAMES, FRAMES_OF_DEFINE, TAIL};
use crate::runtime::TIME_SLICE;
use crate::store::SAID;
use crate::tape::{WHOLE_ANSWER, WHOLE_REQUEST};
use crate::timers::RANDOM;

/// The limits of scripts on a host that was set up with `set`.
pub fn limits(set: &Limits) -> Area {
    let limits = vec![
        Limit::bytes("a component", Per::Call, set.component_bytes as u64, "a Python script has 18 MiB"),
        Limit::bytes(
            "memory of compiling a component",
            Per::Call,
            set.compile_memory_bytes as u64,
            "18 MiB of script take 430 MiB; it is a process of its own",
        ),
        Limit::time("compiling a component", Per::Call, set.compile_time, "18 MiB of script take 15 s"),
        Limit::count(
            "components that are compiled at once",
            Per::Host,
            u64::from(set.compilations),
            "each may take a gigabyte; further ones wait for their turn",
        ),
        Limit::count("threads of compiling", Per::Call, THREADS as u64, "more make it little faster, and take memory"),
        Limit::bytes("last words of a compiler", Per::Call, LAST_WORDS, "a message, and some lines before it"),
        Limit::bytes(
            "linear memory of a script",
            Per::Instance,
            set.memory_bytes as u64,
            "far above what a build script needs",
        ),
        Limit::bytes(
            "memory of scripts: linear memory, tables, what is held for them",
            Per::Build,
            set.build_memory_bytes as u64,
            "two instances that have all that one may have, or hundreds of usual ones; what waits counts too",
        ),
        Limit::bytes(
            "memory of scripts: linear memory, tables, what is held for them",
            Per::Host,
            set.host_memory_bytes as u64,
            "a build takes no more of it than it leaves to others",
        ),
        Limit::bytes(
            "memory of scripts that others can't take",
            Per::Build,
            set.own_memory_bytes as u64,
            "a script in Rust begins with one or two",
        ),
        Limit::count(
            "table elements of a script",
            Per::Instance,
            set.table_elements as u64,
            "scripting languages bring large tables",
        ),
        Limit::count(
            "core instances of a component",
            Per::Instance,
            set.core_instances as u64,
            "composed components have many",
        ),
        Limit::count(
            "memories of a component",
            Per::Instance,
            set.memories as u64,
            "each part of a composed component has one",
        ),
        Limit::count("tables of a component", Per::Instance, set.tables as u64, "composed components have some"),
        Limit::bytes(
            "stack of a script",
            Per::Instance,
            set.stack_bytes as u64,
            "recursion ends before the host's does",
        ),
        Limit::count(
            "handles of a script",
            Per::Instance,
            set.handles as u64,
            "each is an object of the host; what is let go does not count",
        ),
        Limit::bytes(
            "outcomes and events behind handles",
            Per::Instance,
            set.held_bytes as u64,
            "an outcome has 1 MiB at most",
        ),
        Limit::bytes(
            "arguments of a host call",
            Per::Call,
            set.call_bytes as u64,
            "the largest file that is written at once",
        ),
        Limit::count("host calls", Per::Instance, set.calls, "a graph of 10,000 jobs takes 100,000"),
        Limit::bytes(
            "declarations and recorded calls of `define`",
            Per::Instance,
            set.declared_bytes as u64,
            "they are held until the build ends",
        ),
        Limit::bytes(
            "output of a script",
            Per::Instance,
            set.output_bytes as u64,
            "the rest is dropped, and the log says so",
        ),
        Limit::time(
            "time of `define`",
            Per::Instance,
            set.define_time,
            "it declares; an action has the limit of its job",
        ),
        Limit::time("a script's turn", Per::Call, TIME_SLICE, "then others get theirs, and deadlines are looked at"),
        Limit::count("instances that run", Per::Host, u64::from(set.instances), "further ones wait"),
        Limit::count(
            "instances that wait",
            Per::Host,
            u64::from(set.waiting_instances),
            "each has a place in the pool; further actions wait without an instance",
        ),
        Limit::bytes("a file that is read whole", Per::Call, WHOLE, "larger ones are read in pieces"),
        Limit::bytes("a piece of a file", Per::Call, CHUNK as u64, "it is copied into the guest"),
        Limit::bytes("a value of an action's result", Per::Call, TEXT as u64, "it stands in the journal"),
        Limit::count("outputs and links of an action", Per::Instance, COUNT as u64, "they stand in the journal"),
        Limit::bytes("an action's result", Per::Instance, SAID as u64, "as the file of a container job's outputs"),
        Limit::bytes(
            "an answer that is recorded whole",
            Per::Call,
            WHOLE_ANSWER as u64,
            "of a larger one there is a digest, and it is had again",
        ),
        Limit::bytes(
            "a request that is recorded whole",
            Per::Call,
            WHOLE_REQUEST as u64,
            "of a longer one there is a digest",
        ),
        Limit::bytes("random numbers of an action", Per::Call, RANDOM, "they are copied into the guest"),
        Limit::bytes(
            "a script's own error",
            Per::Call,
            LONGEST_ERROR as u64,
            "it stands in the journal; the log has all of it",
        ),
        Limit::count("frames of an action's log that wait", Per::Instance, FRAMES as u64, "it waits when it is faster"),
        Limit::bytes(
            "what a write to the log counts beside its bytes",
            Per::Call,
            FRAME_COST as u64,
            "also one of a single byte is held until it is stored",
        ),
        Limit::count(
            "frames of `define`'s log that wait",
            Per::Instance,
            FRAMES_OF_DEFINE as u64,
            "it must not wait, so that it can't tell machines apart; the rest is dropped, and said",
        ),
        Limit::count(
            "pieces of an artifact that wait for the store",
            Per::Call,
            QUEUE as u64,
            "the action waits when it is faster",
        ),
        Limit::bytes(
            "the last error that a script was told",
            Per::Instance,
            LAST_ERROR as u64,
            "it stands in the message of a trap",
        ),
        Limit::bytes(
            "the end of stderr",
            Per::Instance,
            TAIL as u64,
            "a panic's message stands there, for the message of a trap",
        ),
        Limit::time("one wait for jobs or events", Per::Call, ONE_REQUEST, "whoever waits longer asks again"),
        Limit::time("compiled scripts that nobody uses", Per::Host, KEEP, "they are compiled again in seconds"),
    ];
    Area { name: "scripts", limits }
}
