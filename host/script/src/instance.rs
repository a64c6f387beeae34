//! Running a script: `define` once for a build, `act` once for an action job.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monkeyci_api::{BuildInfo, Client};
use monkeyci_build::JobDraft;
use wasmtime::{Store, Trap};

use crate::clock::Defining;
use crate::error::ScriptError;
use crate::load::Script;
use crate::log::Log;
use crate::store::State;
use crate::transcript::{Divergence, Mode, Transcript};

/// What a script's `define` gave.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The jobs as they were declared, unchecked.
    pub jobs: Vec<JobDraft>,
    /// What the script was told.
    pub transcript: Arc<Transcript>,
}

/// What an instance is to do after `define`.
struct Act<'a> {
    job: &'a str,
    transcript: Arc<Transcript>,
}

impl Script {
    /// Calls `define` in a fresh instance, which speaks to the build API through `client`.
    ///
    /// # Errors
    /// When the script fails, traps, or takes longer than its limits allow.
    pub async fn define(&self, client: &Client, info: BuildInfo) -> Result<Definition, ScriptError> {
        let time_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
        let (log, pump) = Log::new(client, None, self.runtime.limits.output_bytes, None);
        let mode = Mode::Record(Vec::new());
        let limits = self.runtime.limits.clone();
        let limit = limits.define_time;
        let state = State::new(limits, client.clone(), info.clone(), None, time_ms, mode, (log, Defining::new()));
        let ended = self.execute(state, None, limit).await.map(|state| (state.jobs, state.mode));
        // The log is whole before anybody hears of the end.
        pump.finish().await;
        let (jobs, mode) = ended?;
        let calls = if let Mode::Record(calls) = mode { calls } else { Vec::new() };
        let transcript = Arc::new(Transcript { info, time_ms, calls, jobs: jobs.clone() });
        Ok(Definition { jobs, transcript })
    }

    /// Runs the action job `job` in a fresh instance, for at most `limit`. `define` runs first, answered from `transcript`.
    ///
    /// # Errors
    /// When the action returns an error or traps, or `define` did something else than the first time.
    pub async fn act(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        job: &str,
        limit: Duration,
    ) -> Result<(), ScriptError> {
        let defining = Defining::new();
        let limits = self.runtime.limits.clone();
        let (log, pump) = Log::new(client, Some(job), limits.output_bytes, Some(defining.clone()));
        let mode = Mode::Replay { transcript: transcript.clone(), next: 0 };
        let (info, time_ms) = (transcript.info.clone(), transcript.time_ms);
        let state = State::new(limits, client.clone(), info, Some(job), time_ms, mode, (log, defining));
        let act = Act { job, transcript: transcript.clone() };
        let ended = self.execute(state, Some(act), limit).await.map(drop);
        pump.finish().await;
        ended
    }

    /// Makes an instance and drops it, and calls nothing: says whether the script can start, and warms a server's pool.
    ///
    /// # Errors
    /// When the instance can't be made.
    pub async fn instantiate(&self, client: &Client, info: BuildInfo) -> Result<(), ScriptError> {
        let limits = self.runtime.limits.clone();
        let (log, _) = Log::new(client, None, limits.output_bytes, None);
        let mode = Mode::Record(Vec::new());
        let state = State::new(limits, client.clone(), info, None, 0, mode, (log, Defining::new()));
        let _place = self.runtime.places.acquire().await;
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

    async fn execute(&self, state: State, act: Option<Act<'_>>, limit: Duration) -> Result<State, ScriptError> {
        // The semaphore is never closed.
        let _place = self.runtime.places.acquire().await;
        let mut store = self.store(state);
        match tokio::time::timeout(limit, self.call(&mut store, act)).await {
            Err(_) => Err(ScriptError::TimedOut(limit)),
            Ok(Ok(Ok(()))) => Ok(store.into_data()),
            Ok(Ok(Err(message))) => Err(ScriptError::Failed(message)),
            Ok(Err(error)) => Err(explain(&error, store.data())),
        }
    }

    /// The calls into the guest: an error is a trap, an inner error is the script's own.
    async fn call(&self, store: &mut Store<State>, act: Option<Act<'_>>) -> wasmtime::Result<Result<(), String>> {
        let script = self.pre.instantiate_async(&mut *store).await?;
        if let Err(message) = script.call_define(&mut *store).await? {
            return Ok(Err(message));
        }
        let Some(Act { job, transcript }) = act else { return Ok(Ok(())) };
        let state = store.data_mut();
        same(&state.mode, &state.jobs, &transcript)?;
        state.mode = Mode::Live;
        state.defining.end();
        script.call_act(&mut *store, job).await
    }
}

/// Checks that `define` has done all that it did the first time.
fn same(mode: &Mode, jobs: &[JobDraft], transcript: &Transcript) -> Result<(), Divergence> {
    if let Mode::Replay { next, .. } = mode
        && let Some(call) = transcript.calls.get(*next)
    {
        return Err(Divergence(format!("it did not make the call {}", call.request)));
    }
    if jobs == transcript.jobs {
        return Ok(());
    }
    let differs = jobs.iter().zip(&transcript.jobs).find(|(now, first)| now != first).map(|(now, _)| now.id.clone());
    Err(Divergence(match differs {
        Some(id) => format!("it declared the job {id:?} differently"),
        None => format!("it declared {} jobs instead of {}", jobs.len(), transcript.jobs.len()),
    }))
}

/// Finds the words for a trap: the limit that was reached, the panic's message, or what wasmtime says.
fn explain(error: &wasmtime::Error, state: &State) -> ScriptError {
    if let Some(divergence) = error.downcast_ref::<Divergence>() {
        return ScriptError::Diverged(divergence.to_string());
    }
    let trap = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if let Some(reached) = &state.meter.reached {
        return ScriptError::Trapped(format!("it reached {reached} ({trap})"));
    }
    let tail = state.log.tail();
    let panic = tail.rfind("panicked at ").map(|start| tail[start..].trim_end());
    ScriptError::Trapped(match panic {
        // The note on backtraces that Rust adds is no use here.
        Some(panic) => panic.split("\nnote: ").next().unwrap_or(panic).replace('\n', " "),
        None => trap,
    })
}
