//! What an instance owns on the host's side.

use monkeyci_api::{BuildInfo, Client, LogStream};
use monkeyci_build::{JobDraft, ParamDraft, Results};
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings::monkeyci::script::types::Error;
use crate::clock::{ActionClock, Defining, Random, hash_seed};
use crate::held::Held;
use crate::limits::{Limits, Meter, Reached};
use crate::log::{Log, Output};
use crate::memory::{Kept, Share};
use crate::runtime::Runtime;
use crate::slots::Slot;
use crate::sources::Sources;
use crate::surroundings::Surroundings;
use crate::tape::Tape;
use crate::timers::Timers;
use crate::waiting::Wait;

/// The state behind an instance.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) client: Client,
    /// What the script is made of, if it is an interpreter's: it reads them.
    pub(crate) sources: Option<Arc<Sources>>,
    pub(crate) info: BuildInfo,
    pub(crate) log: Log,
    /// What it is told now: in `define`, or behind it.
    pub(crate) tape: Tape,
    pub(crate) defining: Defining,
    /// The time of day that `define` sees, in milliseconds since the Unix epoch.
    pub(crate) defined_at_ms: u64,
    /// Where time and chance come from behind `define`.
    pub(crate) surroundings: Arc<dyn Surroundings>,
    /// The clock behind `define`, and whether it was looked at.
    pub(crate) clock: ActionClock,
    pub(crate) clock_begun: bool,
    pub(crate) timers: Timers,
    /// Secure and insecure random numbers, and whether those of the action have been drawn.
    pub(crate) random: [Random; 2],
    pub(crate) is_drawn: bool,
    /// How many artifacts the action has begun to write, and how many of them are open.
    pub(crate) writers: u64,
    pub(crate) open_writers: u32,
    /// What the action waits for without an instance.
    pub(crate) suspended: Option<Wait>,
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
    pub(crate) suspended: Option<Wait>,
    /// How much memory it had.
    pub(crate) had: usize,
    pub(crate) refining: Option<Refining>,
    pub(crate) said: Said,
    /// What it has taken for what is left of it.
    pub(crate) memory: Kept,
}

impl From<State> for Left {
    fn from(state: State) -> Self {
        let State { jobs, params, suspended, refining, said, meter, declared_bytes, .. } = state;
        let had = meter.memory.taken();
        Self { jobs, params, suspended, had, refining, said, memory: meter.memory.keep(declared_bytes) }
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
        runtime: &Runtime,
        client: Client,
        info: BuildInfo,
        job: Option<&str>,
        defined_at_ms: u64,
        tape: Tape,
        (log, defining, memory): (Log, Defining, Share),
    ) -> Self {
        let (limits, surroundings) = (runtime.limits.clone(), runtime.surroundings.clone());
        // Clocks and random numbers are those of `crate::timers`.
        let mut wasi = WasiCtx::builder();
        if !runtime.gives_way {
            // What a script says of itself, the SDK prints only there.
            wasi.env("MONKEYCI_SIMULATION", "1");
        }
        let wasi = wasi
            .stdout(Output { log: log.clone(), stream: LogStream::Stdout })
            .stderr(Output { log: log.clone(), stream: LogStream::Stderr })
            .insecure_random_seed(hash_seed(&info.id))
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
            sources: None,
            log,
            tape,
            defining,
            defined_at_ms,
            clock: ActionClock::new(surroundings.clone()),
            surroundings,
            clock_begun: false,
            timers: Timers::new(),
            random: ["secure", "insecure"].map(|purpose| Random::of_define(&info.id, purpose)),
            is_drawn: false,
            info,
            writers: 0,
            open_writers: 0,
            suspended: None,
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
    /// Whether an action runs in it, or a late job is completed: `define` has ended.
    pub(crate) fn acts(&self) -> bool {
        !self.defining.is()
    }

    /// Counts what the guest is to hold, until it lets it go. What others leave of the build's memory is no answer that a guest may be
    /// told: another instance would be told something else.
    pub(crate) fn hold(&mut self, bytes: usize) -> wasmtime::Result<Result<(), Error>> {
        if let Err(held) = self.held.take(bytes) {
            return Ok(Err(Error::Quota(held)));
        }
        self.meter.memory.take(bytes).map(Ok).or_else(|short| {
            self.meter.reached.get_or_insert(Reached::Memory(short));
            wasmtime::bail!("no memory for what the script looks up");
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
