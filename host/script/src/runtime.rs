//! One wasmtime engine for all scripts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, RegallocAlgorithm,
};

use crate::bindings;
use crate::cache::CompileCache;
use crate::compile::Compiler;
use crate::error::{LoadError, RuntimeError};
use crate::limits::Limits;
use crate::load::Script;
use crate::memory::HostMemory;
use crate::slots::Slots;
use crate::store::State;
use crate::surroundings::{Machine, Surroundings};
use crate::timers;
use crate::turns::Turns;

/// How often a running script gives way to others, and looks at its deadline.
pub(crate) const TIME_SLICE: Duration = Duration::from_millis(10);

/// How many time slices an instance has that gives no way to others: 30 s. A simulation has no other use for the machine's time.
pub(crate) const SIMULATED_SLICES: u64 = 3000;

/// How a [`Runtime`] is made.
#[derive(Clone, Debug, Default)]
pub struct RuntimeOptions {
    /// The compile cache's directory; it is made, with mode 0700. None compiles anew each time.
    pub cache_dir: Option<PathBuf>,
    /// What a script may use.
    pub limits: Limits,
}

/// The WebAssembly engine, set up for scripts, and the compile cache. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Arc<Linker<State>>,
    pub(crate) cache: Option<Arc<CompileCache>>,
    pub(crate) compiler: Compiler,
    pub(crate) limits: Arc<Limits>,
    /// Of those that compile.
    pub(crate) turns: Turns,
    /// Of all builds' scripts.
    pub(crate) memory: HostMemory,
    /// A full pool is an error; slots make it a wait.
    pub(crate) slots: Slots,
    /// Where time and chance come from.
    pub(crate) surroundings: Arc<dyn Surroundings>,
    /// Whether a guest that computes gives way to others now and then.
    pub(crate) gives_way: bool,
    /// A script that is loaded once for all of its builds, with its bytes.
    pub(crate) loaded: Option<Arc<(Bytes, Script)>>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Sets the engine up.
    ///
    /// # Errors
    /// When the cache's directory can't be used, or wasmtime does not work on this machine.
    pub fn new(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let limits = Arc::new(options.limits);
        let engine = engine(&limits)?;
        let mut linker = Linker::<State>::new(&engine);
        let setup = |error: wasmtime::Error| RuntimeError::Engine(format!("{error:#}"));
        // Scripts get what a standard library needs of WASI 0.2. None of it reaches anything: no directory is opened, there are
        // no variables and no arguments, sockets are denied, and what is printed goes to the log.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(setup)?;
        timers::add_to_linker(&mut linker).map_err(setup)?;
        bindings::Script::add_to_linker::<_, wasmtime::component::HasSelf<State>>(&mut linker, |state| state)
            .map_err(setup)?;
        let cache = options.cache_dir.map(|dir| CompileCache::open(dir, &engine)).transpose()?.map(Arc::new);
        tick(&engine);
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            cache,
            compiler: Compiler::default(),
            memory: HostMemory::new(&limits),
            slots: Slots::new(&limits),
            turns: Turns::new(limits.compilations),
            limits,
            surroundings: Arc::new(Machine),
            gives_way: true,
            loaded: None,
        })
    }

    /// The same runtime with another compiler; without this it is [`Compiler::InProcess`].
    pub fn with_compiler(self, compiler: Compiler) -> Self {
        Self { compiler, ..self }
    }

    /// The same runtime for a simulation: scripts see this time and this chance, and a guest that computes gives way to nobody, since what
    /// runs beside it must not depend on how fast the machine is. One that computes without end is ended by the machine's time.
    pub fn simulated(self, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { surroundings, gives_way: false, ..self }
    }

    /// The same runtime, which loads this script now, and no more for each of its builds.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for_all(self, bytes: Bytes) -> Result<Self, LoadError> {
        let script = self.load(&bytes)?;
        Ok(Self { loaded: Some(Arc::new((bytes, script))), ..self })
    }

    /// How many instances live now. A build that waits (for approval, for a container) has none.
    pub fn live_instances(&self) -> usize {
        self.slots.live(&self.limits)
    }

    /// How many bytes of memory all scripts have taken now: linear memory, tables, and what is held for them.
    pub fn taken_memory(&self) -> usize {
        self.memory.taken()
    }

    /// The engine's limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// An engine with pooled instances, or without where the machine has not the address space for a pool.
fn engine(limits: &Limits) -> Result<Engine, RuntimeError> {
    let mut config = config(limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&config).or_else(|pooled| {
        tracing::debug!(error = %pooled, "no instance pool on this machine; instances are made on demand");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config).map_err(|error| RuntimeError::Engine(format!("{error:#}")))
    })
}

/// What decides how scripts are compiled, and so has to be the same in whatever process compiles them.
pub(crate) fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // The contract is sync: without the machinery for concurrent calls each call is cheaper.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        .async_stack_size(limits.stack_bytes + (512 << 10))
        // The same script gives the same results on every machine, so that a build can be replayed.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Features that no guest needs are no part of the attack surface.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .memory_reservation(limits.memory_bytes as u64)
        .memory_may_move(false);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let (core, memories, tables) = (limits.core_instances as u32, limits.memories as u32, limits.tables as u32);
    let live = limits.instances + limits.waiting_instances;
    let mut pool = PoolingAllocationConfig::new();
    // So many that each instance may have all that one may have: what one script takes is never what another one lacks.
    pool.total_component_instances(live)
        .total_core_instances(live * core)
        .total_memories(live * memories)
        .total_tables(live * tables)
        .total_stacks(live)
        .max_core_instances_per_component(core)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements)
        // Pages that a script has touched are cleared instead of unmapped up to this size: cheaper for small scripts.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Moves the engine's epoch on, for as long as the engine lives.
fn tick(engine: &Engine) {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TIME_SLICE);
            }
        })
        .map(drop)
        .unwrap_or_else(|error| tracing::error!(%error, "no thread for the epoch: scripts are not interrupted"));
}
