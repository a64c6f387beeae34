//! What a script may use. Every limit of wasmtime is set here and nowhere else.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::memory::{Share, Short};

/// What an element of a table takes, in bytes.
const TABLE_ELEMENT: usize = 16;

/// What one instance of a script may use. The defaults are far above what a build script needs, and far below what would
/// hurt the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// The largest component, in bytes. Default 64 MiB: a Python script has 18 MiB.
    pub component_bytes: usize,
    /// The most memory that compiling may take, in bytes, in a child process. Default 1 GiB: a script of 600 KiB takes 35 MiB,
    /// one of 18 MiB some 430 MiB.
    pub compile_memory_bytes: usize,
    /// How long compiling may take in a child process, by the clock and also in processor time of all threads. Default
    /// 2 min: a script of 18 MiB takes some 15 s of one processor.
    pub compile_time: Duration,
    /// How many scripts may be compiled at a time, in child processes or not; further ones wait for their turn. Default 4: together
    /// they may take four times [`compile_memory_bytes`](Self::compile_memory_bytes).
    pub compilations: u32,
    /// The most linear memory, in bytes, of all memories together. Default 256 MiB.
    pub memory_bytes: usize,
    /// The most memory, in bytes, of all instances of a build together: linear memory, tables, and what the host holds for them.
    /// Default 512 MiB: two instances that have all that one may have, or hundreds of usual ones.
    pub build_memory_bytes: usize,
    /// The most memory, in bytes, of all builds' instances together, beside [`own_memory_bytes`](Self::own_memory_bytes) of each. Of it
    /// a build takes no more than it leaves to others. Default 1 GiB.
    pub host_memory_bytes: usize,
    /// The memory, in bytes, that each build's instances have whatever other builds take. Default 8 MiB: a script in Rust begins with one
    /// or two.
    pub own_memory_bytes: usize,
    /// The most table elements, of all tables together. Default 100,000: scripting languages bring large tables.
    pub table_elements: usize,
    /// The most core instances of one component. Default 200: composed components have many.
    pub core_instances: usize,
    /// The most memories of one component. Default 4: each of a composed component's parts has one, and a module has one at most.
    pub memories: usize,
    /// The most tables of one component. Default 50.
    pub tables: usize,
    /// The most handles that a script may hold at a time. Default 50,000.
    pub handles: usize,
    /// The most bytes of outcomes and events that a script may hold by handles at a time. Default 32 MiB: an outcome has 1 MiB at
    /// most. One alone may be larger.
    pub held_bytes: usize,
    /// The most bytes that one call may bring from the guest to the host. Default 4 MiB.
    pub call_bytes: usize,
    /// The most calls to the host. Default 2,000,000: a graph of 10,000 jobs takes some 100,000.
    pub calls: u64,
    /// The most bytes that the declarations of all jobs, and the calls of `define` that are recorded, may have. Default 64 MiB.
    pub declared_bytes: usize,
    /// The most bytes of output that an instance may write; the rest is dropped, and the log says so. Default 16 MiB.
    pub output_bytes: usize,
    /// How long `define` may take. Default 10 s. An action has the time limit of its job.
    pub define_time: Duration,
    /// The stack, in bytes. Default 512 KiB.
    pub stack_bytes: usize,
    /// The most instances that may run at a time; further ones wait until they may begin. Default 64.
    pub instances: u32,
    /// The most instances that may wait at a time, beside those that run. Default 256: each has a place in the pool. An action that
    /// is beyond it waits without an instance, or is refused to wait while it writes an artifact.
    pub waiting_instances: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 64 << 20,
            compile_memory_bytes: 1 << 30,
            compile_time: Duration::from_secs(120),
            compilations: 4,
            memory_bytes: 256 << 20,
            build_memory_bytes: 512 << 20,
            host_memory_bytes: 1 << 30,
            own_memory_bytes: 8 << 20,
            table_elements: 100_000,
            core_instances: 200,
            memories: 4,
            tables: 50,
            handles: 50_000,
            held_bytes: 32 << 20,
            call_bytes: 4 << 20,
            calls: 2_000_000,
            declared_bytes: 64 << 20,
            output_bytes: 16 << 20,
            define_time: Duration::from_secs(10),
            stack_bytes: 512 << 10,
            instances: 64,
            waiting_instances: 256,
        }
    }
}

/// The limits as wasmtime asks for them while a script runs.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_left: usize,
    table_left: usize,
    instances: usize,
    memories: usize,
    tables: usize,
    /// What the instance has of its build's memory.
    pub(crate) memory: Share,
    /// The limit that was reached: the guest only sees that it got no more.
    pub(crate) reached: Option<Reached>,
}

/// A limit that a script has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// One that each instance has for itself, in words.
    Own(String),
    /// The memory of its build, or of the host.
    Memory(Short),
    /// Something else that the build's instances may have together, in words.
    UsedUp(String),
}

impl Meter {
    pub(crate) fn new(limits: &Limits, memory: Share) -> Self {
        Self {
            memory,
            memory_left: limits.memory_bytes,
            table_left: limits.table_elements,
            instances: limits.core_instances,
            memories: limits.memories,
            tables: limits.tables,
            reached: None,
        }
    }

    async fn take(&mut self, what: Resource, current: usize, desired: usize) -> bool {
        let left = match what {
            Resource::Memory => &mut self.memory_left,
            Resource::Table => &mut self.table_left,
        };
        let more = desired.saturating_sub(current);
        if more > *left {
            self.reached.get_or_insert_with(|| {
                Reached::Own(match what {
                    Resource::Memory => format!("its memory limit, by asking for {desired} bytes"),
                    Resource::Table => format!("its table limit, by asking for {desired} elements"),
                })
            });
            return false;
        }
        let bytes = match what {
            Resource::Memory => more,
            Resource::Table => more.saturating_mul(TABLE_ELEMENT),
        };
        if let Err(short) = self.memory.take_also_from_those_who_wait(bytes).await {
            self.reached.get_or_insert(Reached::Memory(short));
            return false;
        }
        *left -= more;
        true
    }
}

#[derive(Clone, Copy)]
enum Resource {
    Memory,
    Table,
}

#[async_trait]
impl wasmtime::ResourceLimiterAsync for Meter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.take(Resource::Memory, current, desired).await)
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.take(Resource::Table, current, desired).await)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}
