//! Running a script: `define` once for a build, `act` once for an action job.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monkeyci_api::{BuildInfo, Client};
use monkeyci_build::{Call, JobDraft, JobSpec, ParamDraft, Told};
use wasmtime::component::Resource;
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::clock::Defining;
use crate::error::{ScriptError, beginning};
use crate::host::JobHandle;
use crate::limits::Reached;
use crate::load::Script;
use crate::log::Log;
use crate::memory::Short;
use crate::store::{Left, Refining, Said, State};
use crate::transcript::{Divergence, Mode, Transcript};

/// What a script's `define` gave.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The jobs as they were declared, unchecked.
    pub jobs: Vec<JobDraft>,
    /// The parameters as they were declared, unchecked.
    pub params: Vec<ParamDraft>,
    /// What the script said when it failed, if it did.
    pub failed: Option<String>,
    /// What the script was told.
    pub transcript: Arc<Transcript>,
}

/// What a script made of a late job.
#[derive(Clone, Debug, PartialEq)]
pub enum Refined {
    /// The job as it is now, unchecked.
    Completed(Box<JobDraft>),
    /// Why there is nothing to do.
    Skipped(String),
}

/// How an action ended, with what it said of its result until then.
#[derive(Debug)]
pub struct Acted {
    /// An error is the job's failure.
    pub ended: Result<(), ScriptError>,
    /// What it said.
    pub said: Said,
}

/// What an instance is to do after `define`.
struct Then<'a> {
    job: &'a str,
    transcript: Arc<Transcript>,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Act(Action<'a>),
    Refine,
}

/// An action to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Action<'a> {
    /// The job that it is the action of.
    pub job: &'a str,
    /// The handler to call in place of the job's own function.
    pub call: Option<&'a Call>,
    /// The artifacts that it may create.
    pub creates: &'a [String],
}

impl<'a> Action<'a> {
    /// The action of a job.
    pub fn of(job: &'a JobSpec) -> Self {
        Self { job: &job.id, call: job.calls.as_ref(), creates: &job.creates_artifacts }
    }
}

impl Script {
    /// Calls `define` in a fresh instance, which speaks to the build API through `client`.
    ///
    /// # Errors
    /// When the script traps, or takes longer than its limits allow. A script that says itself that it failed is no error:
    /// the parameters that it declared may tell more.
    pub async fn define(&self, client: &Client, info: BuildInfo) -> Result<Definition, ScriptError> {
        let time_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        self.defined(client, info, time_ms, Mode::Record(Vec::new())).await
    }

    /// Calls `define` in a fresh instance and tells it what it was told in another process. It has no effect, and prints nothing.
    ///
    /// # Errors
    /// When the script traps, takes longer than its limits allow, or does something else than the first time.
    pub async fn define_again(&self, client: &Client, info: BuildInfo, told: &Told) -> Result<Definition, ScriptError> {
        let transcript = Transcript::of(info.clone(), told).map_err(ScriptError::Diverged)?;
        let mode = Mode::Replay { transcript: Arc::new(transcript), next: 0 };
        self.defined(client, info, told.time_ms, mode).await
    }

    /// Calls `define`, which sees this time of day, and is answered as `mode` says.
    async fn defined(
        &self,
        client: &Client,
        info: BuildInfo,
        time_ms: u64,
        mode: Mode,
    ) -> Result<Definition, ScriptError> {
        let defining = Defining::new();
        let limits = self.runtime.limits.clone();
        let limit = limits.define_time;
        let memory = self.memory.begin(self.needs, limit).await.map_err(used_up)?;
        let was_printed = matches!(mode, Mode::Replay { .. });
        let (log, pump) = Log::new(client, None, limits.output_bytes, defining.clone(), was_printed);
        let state = State::new(limits, client.clone(), info.clone(), None, time_ms, mode, (log, defining, memory));
        let (ended, Left { jobs, params, mode, memory, .. }) = self.execute(state, None, limit).await;
        // The log is whole before anybody hears of the end.
        pump.finish().await;
        let failed = match ended {
            Ok(()) => None,
            Err(ScriptError::Failed(message)) => Some(message),
            Err(error) => return Err(error),
        };
        made_all_calls(&mode).map_err(|Divergence(what)| ScriptError::Diverged(what))?;
        let calls = match mode {
            Mode::Record(calls) => calls,
            Mode::Replay { transcript, .. } => transcript.calls.clone(),
            Mode::Live => Vec::new(),
        };
        let transcript = Arc::new(Transcript { info, time_ms, calls, jobs: jobs.clone(), memory });
        Ok(Definition { jobs, params, failed, transcript })
    }

    /// Runs an action in a fresh instance, for at most `limit`. `define` runs first, answered from `transcript`.
    ///
    /// The end is an error when the action returns one or traps, or `define` did something else than the first time.
    pub async fn act(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        action: Action<'_>,
        limit: Duration,
    ) -> Acted {
        let (ended, left) = self.again(client, transcript, action.job, What::Act(action), limit).await;
        Acted { ended, said: left.said }
    }

    /// Lets the script complete the late job `job`, in a fresh instance, for at most the time that `define` may take.
    ///
    /// # Errors
    /// When the script returns one or traps, or has no such function.
    pub async fn refine(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        job: &str,
    ) -> Result<Refined, ScriptError> {
        let limit = self.runtime.limits.define_time;
        let (ended, left) = self.again(client, transcript, job, What::Refine, limit).await;
        ended?;
        match left.refining {
            Some(Refining { skip: Some(reason), .. }) => Ok(Refined::Skipped(reason)),
            Some(Refining { draft, skip: None }) => Ok(Refined::Completed(Box::new(draft))),
            None => Err(ScriptError::Failed(format!("the script does not declare the job {job:?}"))),
        }
    }

    /// Whether the script exports `refine`: without it no job can be late.
    pub fn refines(&self) -> bool {
        self.refines
    }

    async fn again(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        job: &str,
        what: What<'_>,
        limit: Duration,
    ) -> (Result<(), ScriptError>, Left) {
        let defining = Defining::new();
        let limits = self.runtime.limits.clone();
        let memory = match self.memory.begin(self.needs, limit).await {
            Ok(memory) => memory,
            Err(short) => return (Err(used_up(short)), Left::default()),
        };
        let (log, pump) = Log::new(client, Some(job), limits.output_bytes, defining.clone(), true);
        let mode = Mode::Replay { transcript: transcript.clone(), next: 0 };
        let (info, time_ms) = (transcript.info.clone(), transcript.time_ms);
        let state = State::new(limits, client.clone(), info, Some(job), time_ms, mode, (log, defining, memory));
        let then = Then { job, transcript: transcript.clone(), what };
        let ended = self.execute(state, Some(then), limit).await;
        pump.finish().await;
        ended
    }

    /// Makes an instance and drops it, and calls nothing: says whether the script can start, and warms a server's pool.
    ///
    /// # Errors
    /// When the instance can't be made.
    pub async fn instantiate(&self, client: &Client, info: BuildInfo) -> Result<(), ScriptError> {
        let limits = self.runtime.limits.clone();
        let memory = self.memory.begin(self.needs, limits.define_time).await.map_err(used_up)?;
        let defining = Defining::new();
        let (log, _) = Log::new(client, None, limits.output_bytes, defining.clone(), false);
        let mode = Mode::Record(Vec::new());
        let state = State::new(limits, client.clone(), info, None, 0, mode, (log, defining, memory));
        let _slot = self.runtime.slots.take().await;
        let mut store = self.store(state);
        match self.pre.instantiate_async(&mut store).await {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(&error, store.data())),
        }
    }

    /// A store with every limit set.
    fn store(&self, state: State) -> Store<State> {
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(self.runtime.limits.call_bytes);
        store.set_max_component_handles(self.runtime.limits.handles);
        // Each time slice the script gives way, so that its deadline is looked at and other tasks run.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// Also returns what is left of the instance; its log has no writer any more.
    async fn execute(&self, state: State, then: Option<Then<'_>>, limit: Duration) -> (Result<(), ScriptError>, Left) {
        let slot = self.runtime.slots.take().await;
        let mut store = self.store(State { slot: Some(slot), ..state });
        let ended = match tokio::time::timeout(limit, self.call(&mut store, then)).await {
            Err(_) => Err(ScriptError::TimedOut(limit)),
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(message))) => Err(ScriptError::Failed(shortened(message, &store.data().log).await)),
            Ok(Err(error)) => Err(explain(&error, store.data())),
        };
        (ended, store.into_data().into())
    }

    /// The calls into the guest: an error is a trap, an inner error is the script's own.
    async fn call(&self, store: &mut Store<State>, then: Option<Then<'_>>) -> wasmtime::Result<Result<(), String>> {
        let instance = self.pre.instance_pre().instantiate_async(&mut *store).await?;
        store.data_mut().meter.memory.has_begun();
        let script = self.indices.load(&mut *store, &instance)?;
        if let Err(message) = script.call_define(&mut *store).await? {
            return Ok(Err(message));
        }
        let Some(Then { job, transcript, what }) = then else { return Ok(Ok(())) };
        let state = store.data_mut();
        same(&state.mode, &state.jobs, &transcript)?;
        state.mode = Mode::Live;
        state.defining.end();
        match what {
            What::Act(Action { call, creates, .. }) => {
                state.argument = call.map(|call| call.argument.clone());
                state.creates = creates.to_vec();
                script.call_act(&mut *store, call.map_or(job, |call| &call.handler)).await
            }
            What::Refine => {
                let draft = transcript.jobs.iter().find(|draft| draft.id == job).cloned();
                state.refining = draft.map(|draft| Refining { draft, skip: None });
                let handle = state.table.push(JobHandle::Refined)?;
                let refine = instance
                    .get_typed_func::<(Resource<JobHandle>, &str), (Result<(), String>,)>(&mut *store, "refine")?;
                let (result,) = refine.call_async(&mut *store, (Resource::new_borrow(handle.rep()), job)).await?;
                Ok(result)
            }
        }
    }
}

/// Checks that `define` has done all that it did the first time.
fn same(mode: &Mode, jobs: &[JobDraft], transcript: &Transcript) -> Result<(), Divergence> {
    made_all_calls(mode)?;
    if jobs == transcript.jobs {
        return Ok(());
    }
    let differs = jobs.iter().zip(&transcript.jobs).find(|(now, first)| now != first).map(|(now, _)| now.id.clone());
    Err(Divergence(match differs {
        Some(id) => format!("it declared the job {id:?} differently"),
        None => format!("it declared {} jobs instead of {}", jobs.len(), transcript.jobs.len()),
    }))
}

fn made_all_calls(mode: &Mode) -> Result<(), Divergence> {
    if let Mode::Replay { transcript, next } = mode
        && let Some(call) = transcript.calls.get(*next)
    {
        return Err(Divergence(format!("it did not make the call {}", call.request)));
    }
    Ok(())
}

/// The most bytes of a script's own error that stand in the journal and in messages. Its log has all of a longer one.
pub(crate) const LONGEST_ERROR: usize = 4096;

async fn shortened(message: String, log: &Log) -> String {
    if message.len() <= LONGEST_ERROR {
        return message;
    }
    log.text(&message).await;
    format!("{} (the beginning of {} bytes, which the log has)", beginning(&message, LONGEST_ERROR), message.len())
}

/// In the words of wasmtime, whose type is private: a call of the guest brings more bytes than it may.
const TOO_MUCH_AT_ONCE: &str = "fuel allocated for hostcalls";
/// In its words too: more instances, memories or tables than a component may have, on a machine without a pool.
const TOO_MANY: &str = "resource limit exceeded";

/// And: more handles than a component may have.
const NO_HANDLES: &str = "has no free keys";

/// Bytes in words.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

fn used_up(short: Short) -> ScriptError {
    ScriptError::UsedUp(short.to_string())
}

/// Finds the words for a trap, and adds what the host has refused last: that is mostly why.
fn explain(error: &wasmtime::Error, state: &State) -> ScriptError {
    match (cause(error, state), &state.last_error) {
        (ScriptError::Trapped(trap), Some(last)) if !trap.contains(last) => {
            ScriptError::Trapped(format!("{trap}; the last error that a call to the host had returned: {last}"))
        }
        (cause, _) => cause,
    }
}

/// The limit that was reached, the panic's message, or what wasmtime says.
fn cause(error: &wasmtime::Error, state: &State) -> ScriptError {
    if let Some(divergence) = error.downcast_ref::<Divergence>() {
        return ScriptError::Diverged(divergence.to_string());
    }
    let unreachable = matches!(error.downcast_ref::<Trap>(), Some(Trap::UnreachableCodeReached));
    let said = state.exit_status.filter(|_| unreachable);
    // WASI tells 1 of whatever is not 0.
    if let Some(status) = said.or_else(|| error.downcast_ref::<I32Exit>().map(|exit| exit.0)) {
        return ScriptError::Exited(status);
    }
    let trap = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    match &state.meter.reached {
        Some(Reached::Own(reached)) => return ScriptError::Trapped(format!("it reached {reached} ({trap})")),
        Some(Reached::Memory(short)) => return ScriptError::UsedUp(format!("{short} ({trap})")),
        None => {}
    }
    if trap.contains(TOO_MUCH_AT_ONCE) {
        return ScriptError::Trapped(format!(
            "one of its calls handed the host more than {} at once; hand large values on as files, in several calls",
            size(state.limits.call_bytes)
        ));
    }
    if trap.contains(NO_HANDLES) {
        let limit = state.limits.handles;
        return ScriptError::Trapped(format!("it reached its limit of {limit} handles ({trap}); let some go first"));
    }
    if trap.contains(TOO_MANY) {
        return ScriptError::Trapped(format!("the component needs more than a script may have: {trap}"));
    }
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::MemoryOutOfBounds | Trap::StackOverflow)) {
        return ScriptError::Trapped(format!("{trap} (mostly: a function that calls itself too often)"));
    }
    let tail = state.log.tail();
    let panic = tail.rfind("panicked at ").map(|start| tail[start..].trim_end());
    ScriptError::Trapped(match panic {
        // The note on backtraces that Rust adds is no use here.
        Some(panic) => panic.split("\nnote: ").next().unwrap_or(panic).replace('\n', " "),
        None => trap,
    })
}
