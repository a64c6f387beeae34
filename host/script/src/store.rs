//! What an instance owns on the host's side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use monkeyci_api::{BuildInfo, Client, LogStream};
use monkeyci_build::JobDraft;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::clock::{Defining, MonotonicClock, Random, WallClock, hash_seed};
use crate::limits::{Limits, Meter};
use crate::log::{Log, Output};
use crate::transcript::Mode;

/// The state behind an instance.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) client: Client,
    pub(crate) info: BuildInfo,
    pub(crate) log: Log,
    pub(crate) mode: Mode,
    pub(crate) defining: Defining,
    /// The jobs declared so far.
    pub(crate) jobs: Vec<JobDraft>,
    pub(crate) declared_bytes: usize,
    pub(crate) calls: u64,
    pub(crate) limits: Arc<Limits>,
}

impl State {
    pub(crate) fn new(
        limits: Arc<Limits>,
        client: Client,
        info: BuildInfo,
        job: Option<&str>,
        time_ms: u64,
        mode: Mode,
        (log, defining): (Log, Defining),
    ) -> Self {
        let random = |purpose| Random::new(defining.clone(), &info.id, job, purpose);
        let wasi = WasiCtx::builder()
            .stdout(Output { log: log.clone(), stream: LogStream::Stdout })
            .stderr(Output { log: log.clone(), stream: LogStream::Stderr })
            .wall_clock(WallClock { defining: defining.clone(), defined_at: Duration::from_millis(time_ms) })
            .monotonic_clock(MonotonicClock { defining: defining.clone(), start: Instant::now() })
            .secure_random(random("secure"))
            .insecure_random(random("insecure"))
            .insecure_random_seed(hash_seed(&info.id))
            .max_random_size(1 << 20)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            wasi,
            table,
            meter: Meter::new(&limits),
            client,
            info,
            log,
            mode,
            defining,
            jobs: Vec::new(),
            declared_bytes: 0,
            calls: 0,
            limits,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
