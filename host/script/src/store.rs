//! What an instance owns on the host's side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use monkeyci_api::{BuildInfo, Client, LogStream};
use monkeyci_build::{JobDraft, ParamDraft, Results};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings::monkeyci::script::types::Error;
use crate::clock::{Defining, MonotonicClock, Random, WallClock, hash_seed};
use crate::held::Held;
use crate::limits::{Limits, Meter};
use crate::log::{Log, Output};
use crate::memory::{Kept, Share};
use crate::slots::{Slot, TooManyWait, Waiting};
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
    /// The job that the instance works for; none for `define`.
    pub(crate) job: Option<String>,
    /// What the job's handler was called with.
    pub(crate) argument: Option<String>,
    /// The artifacts that the action may create.
    pub(crate) creates: Vec<String>,
    /// The jobs declared so far.
    pub(crate) jobs: Vec<JobDraft>,
    /// The parameters declared so far.
    pub(crate) params: Vec<ParamDraft>,
    /// The job that is being refined.
    pub(crate) refining: Option<Refining>,
    /// What the action said of its result so far.
    pub(crate) said: Said,
    /// Bytes of outcomes and events that the guest holds.
    pub(crate) held: Held,
    /// The instance's slot, from the moment on when it may begin.
    pub(crate) slot: Option<Slot>,
    pub(crate) declared_bytes: usize,
    pub(crate) calls: u64,
    /// The last error that a call returned to the guest.
    pub(crate) last_error: Option<String>,
    /// The status with which the guest said that its program ends.
    pub(crate) exit_status: Option<i32>,
    pub(crate) limits: Arc<Limits>,
}

/// A job that is being refined.
#[derive(Debug)]
pub(crate) struct Refining {
    pub(crate) draft: JobDraft,
    /// Why it is to be skipped, if it is.
    pub(crate) skip: Option<String>,
}

/// What is left of an instance.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) jobs: Vec<JobDraft>,
    pub(crate) params: Vec<ParamDraft>,
    pub(crate) mode: Mode,
    pub(crate) refining: Option<Refining>,
    pub(crate) said: Said,
    /// What it has taken for what is left of it.
    pub(crate) memory: Kept,
}

impl From<State> for Left {
    fn from(state: State) -> Self {
        let State { jobs, params, mode, refining, said, meter, declared_bytes, .. } = state;
        Self { jobs, params, mode, refining, said, memory: meter.memory.keep(declared_bytes) }
    }
}

/// What an action says of its own result, beside success and failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Outputs, links and so on. Test reports are handed in at the build API.
    pub results: Results,
    /// Why there was nothing to do, when the action ended well.
    pub skip: Option<String>,
}

/// The most bytes that an action may say of its result: 1 MiB, as the file with a container job's outputs may have. They are kept for
/// ever.
pub(crate) const SAID: usize = 1 << 20;

impl State {
    pub(crate) fn new(
        limits: Arc<Limits>,
        client: Client,
        info: BuildInfo,
        job: Option<&str>,
        time_ms: u64,
        mode: Mode,
        (log, defining, memory): (Log, Defining, Share),
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
            meter: Meter::new(&limits, memory),
            client,
            info,
            log,
            mode,
            defining,
            job: job.map(str::to_owned),
            argument: None,
            creates: Vec::new(),
            jobs: Vec::new(),
            params: Vec::new(),
            refining: None,
            said: Said::default(),
            held: Held::new(limits.held_bytes),
            slot: None,
            declared_bytes: 0,
            calls: 0,
            last_error: None,
            exit_status: None,
            limits,
        }
    }
}

impl State {
    /// Leaves the instance's slot to others, until [`go_on`](Self::go_on): it waits for jobs or events.
    pub(crate) fn begin_to_wait(&mut self) -> Result<Option<Waiting>, Error> {
        let given_up = self.slot.as_mut().map(Slot::give_up).transpose();
        let given_up = given_up.map_err(|TooManyWait| {
            let limit = self.limits.waiting_instances;
            Error::Quota(format!("{limit} actions wait on this host already; let some end first"))
        })?;
        self.meter.memory.waits(true);
        Ok(given_up)
    }

    /// Takes a slot again.
    pub(crate) async fn go_on(&mut self, waiting: Option<Waiting>) {
        if let (Some(slot), Some(waiting)) = (&mut self.slot, waiting) {
            slot.take_again(waiting).await;
        }
        self.meter.memory.waits(false);
    }

    /// Counts what the guest is to hold, until it lets it go.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        self.held.take(bytes).map_err(Error::Quota)?;
        self.meter.memory.take(bytes).map_err(|short| {
            self.held.let_go(bytes);
            Error::Quota(format!("what the script looks up would go beyond {short}"))
        })
    }

    /// The guest has let it go.
    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.held.let_go(bytes);
        self.meter.memory.give_back(bytes);
    }

    /// Whether the action may say so many bytes more of its result.
    pub(crate) fn may_say_more(&self, bytes: usize) -> Result<(), Error> {
        let said = self.said.results.size();
        if said.saturating_add(bytes) <= SAID {
            return Ok(());
        }
        Err(Error::Quota(format!(
            "an action may say {SAID} bytes of its result, and has said {said}; hand large values on as artifacts"
        )))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
