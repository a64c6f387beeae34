//! Running a script: `define` once for a build, `act` once for an action job.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_api::{BuildInfo, Client};
use monkeyci_build::{Call, JobDraft, JobSpec, ParamDraft, Told};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::Resource;

use crate::clock::{ActionClock, Defining};
use crate::error::{ScriptError, beginning};
use crate::host::JobHandle;
use crate::keeper::Recording;
use crate::load::Script;
use crate::log::Log;
use crate::runtime::SIMULATED_SLICES;
use crate::store::{Left, Refining, Said, State};
use crate::tape::Tape;
use crate::transcript::Transcript;
use crate::traps::{explain, place, used_up};

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
#[derive(Clone)]
struct Then<'a> {
    job: &'a str,
    transcript: Arc<Transcript>,
    /// What it is told behind `define`.
    tape: Tape,
    clock: ActionClock,
    what: What<'a>,
    /// Whether it takes the place of one that was dropped, and so needs at least the memory that that one had.
    anew: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
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
        self.define_at(client, info, self.runtime.surroundings.day_ms()).await
    }

    /// The same at this time of day, in milliseconds since the Unix epoch: of two plans that are told apart, none sees another time.
    ///
    /// # Errors
    /// As [`define`](Self::define).
    pub async fn define_at(&self, client: &Client, info: BuildInfo, time_ms: u64) -> Result<Definition, ScriptError> {
        self.defined(client, info, time_ms, Tape::blank(), false).await
    }

    /// Calls `define` in a fresh instance and tells it what it was told in another process. It has no effect, and prints nothing.
    ///
    /// # Errors
    /// When the script traps, takes longer than its limits allow, or does something else than the first time.
    pub async fn define_again(&self, client: &Client, info: BuildInfo, told: &Told) -> Result<Definition, ScriptError> {
        let transcript = Transcript::of(info.clone(), told).map_err(ScriptError::Diverged)?;
        self.defined(client, info, told.time_ms, transcript.tape(), true).await
    }

    /// Calls `define`, which sees this time of day, and is told what is on the tape; what it prints may have been printed before.
    pub(crate) async fn defined(
        &self,
        client: &Client,
        info: BuildInfo,
        time_ms: u64,
        tape: Tape,
        was_printed: bool,
    ) -> Result<Definition, ScriptError> {
        let defining = Defining::new();
        let limits = self.runtime.limits.clone();
        let limit = limits.define_time;
        let memory = self.memory.begin(self.needs, limit).await.map_err(used_up)?;
        let (log, pump) = Log::new(client, None, limits.output_bytes, defining.clone(), was_printed, None);
        let state = State::new(
            &self.runtime,
            client.clone(),
            info.clone(),
            None,
            time_ms,
            tape.clone(),
            (log, defining, memory),
        );
        let sources = self.sources.clone();
        let state = State { slot: Some(self.runtime.slots.take().await), sources, ..state };
        let (ended, Left { jobs, params, memory, .. }) = self.execute(state, None, (limit, limit)).await;
        // The log is whole before anybody hears of the end.
        pump.finish().await;
        let failed = match ended {
            Ok(()) => None,
            Err(ScriptError::Failed(message)) => Some(message),
            Err(error) => return Err(error),
        };
        tape.made_all_calls().map_err(|divergence| ScriptError::Diverged(divergence.to_string()))?;
        let calls = tape.calls();
        let transcript = Arc::new(Transcript { info, time_ms, calls, jobs: jobs.clone(), memory });
        Ok(Definition { jobs, params, failed, transcript })
    }

    /// Runs an action in a fresh instance, for at most `limit`. `define` runs first, answered from `transcript`. An action that was told
    /// something before, in another process, is told the same, and has no effect twice.
    ///
    /// The end is an error when the action returns one or traps, or did something else than the first time.
    pub async fn act(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        action: Action<'_>,
        limit: Duration,
        recording: &Recording,
    ) -> Acted {
        let (ended, left) = self.again(client, transcript, (action.job, What::Act(action)), limit, recording).await;
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
        recording: &Recording,
    ) -> Result<Refined, ScriptError> {
        let limit = self.runtime.limits.define_time;
        refined(job, self.again(client, transcript, (job, What::Refine), limit, recording).await)
    }

    /// Whether the script exports `refine`: without it no job can be late.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// An instance that tells itself what `define` has declared and does what comes then, and others that take its place while it waits.
    async fn again(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        (job, what): (&str, What<'_>),
        limit: Duration,
        recording: &Recording,
    ) -> (Result<(), ScriptError>, Left) {
        match Tape::of_action(recording, self.memory.beside()) {
            Ok(tape) => self.told(client, transcript, (job, what), limit, tape).await,
            Err(error) => (Err(error), Left::default()),
        }
    }

    /// The same, told what is on this tape.
    pub(crate) async fn told(
        &self,
        client: &Client,
        transcript: &Arc<Transcript>,
        (job, what): (&str, What<'_>),
        limit: Duration,
        tape: Tape,
    ) -> (Result<(), ScriptError>, Left) {
        let failed = |error| (Err(error), Left::default());
        let (defining, output) = (Defining::new(), self.runtime.limits.output_bytes);
        let clock = ActionClock::new(self.runtime.surroundings.clone());
        let (log, pump) = match tape.replaying() {
            Some(_) => Log::of_replay(output, defining.clone()),
            None => Log::new(client, Some(job), output, defining.clone(), true, Some(tape.clone())),
        };
        let mut then = Then { job, transcript: transcript.clone(), tape: tape.clone(), clock, what, anew: false };
        let (mut left_of_limit, mut needs) = (limit, self.needs);
        let ended = loop {
            let began = Instant::now();
            let memory = match self.memory.begin(needs, left_of_limit).await {
                Ok(memory) => memory,
                Err(short) => break failed(used_up(short)),
            };
            let (info, time_ms) = (transcript.info.clone(), transcript.time_ms);
            let own = (log.clone(), defining.clone(), memory);
            let state = State::new(&self.runtime, client.clone(), info, Some(job), time_ms, transcript.tape(), own);
            // One that takes another's place waits for its slot in its own time.
            let Ok(slot) = tokio::time::timeout(left_of_limit, self.runtime.slots.take()).await else {
                break failed(ScriptError::TimedOut(limit));
            };
            let state = State { slot: Some(slot), sources: self.sources.clone(), ..state };
            let (ended, mut left) = self.execute(state, Some(then.clone()), (left_of_limit, limit)).await;
            let Some(wait) = left.suspended.take() else { break (ended, left) };
            // All of that at once: others may take the memory meanwhile, and it has done nothing to be refused it now.
            (needs, then.anew) = (left.had.max(needs), true);
            drop(left);
            left_of_limit = left_of_limit.saturating_sub(began.elapsed());
            // What comes of it is asked again by the next instance, and comes at once.
            let began = Instant::now();
            if tokio::time::timeout(left_of_limit, wait.over(client)).await.is_err() {
                break failed(ScriptError::TimedOut(limit));
            }
            left_of_limit = left_of_limit.saturating_sub(began.elapsed());
            tape.rewind();
            defining.again();
            log.again(output);
        };
        drop(log);
        pump.finish().await;
        let (mut ended, left) = ended;
        // Its end, and what it says of its result, follow from what it was told: whoever replays it is told all of that.
        let _ = tape.keep(false).await;
        if let (Ok(()), Some(limit)) = (&ended, tape.used_up()) {
            ended = Err(ScriptError::UsedUp(limit.to_owned()));
        }
        (ended, left)
    }

    /// Makes an instance and drops it, and calls nothing: says whether the script can start, and warms a server's pool.
    ///
    /// # Errors
    /// When the instance can't be made.
    pub async fn instantiate(&self, client: &Client, info: BuildInfo) -> Result<(), ScriptError> {
        let limits = self.runtime.limits.clone();
        let memory = self.memory.begin(self.needs, limits.define_time).await.map_err(used_up)?;
        let defining = Defining::new();
        let (log, _) = Log::new(client, None, limits.output_bytes, defining.clone(), false, None);
        let state = State::new(&self.runtime, client.clone(), info, None, 0, Tape::blank(), (log, defining, memory));
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
        store.limiter_async(|state| &mut state.meter);
        store.set_hostcall_fuel(self.runtime.limits.call_bytes);
        store.set_max_component_handles(self.runtime.limits.handles);
        if self.runtime.gives_way {
            // Each time slice the script gives way, so that its deadline is looked at and other tasks run.
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
        } else {
            // What runs beside it must not depend on how fast this machine is; it is ended when it computes without end.
            store.set_epoch_deadline(SIMULATED_SLICES);
            store.epoch_deadline_trap();
        }
        store
    }

    /// Also returns what is left of the instance; its log has no writer any more.
    async fn execute(
        &self,
        state: State,
        then: Option<Then<'_>>,
        (left, limit): (Duration, Duration),
    ) -> (Result<(), ScriptError>, Left) {
        let mut store = self.store(state);
        let ended = match tokio::time::timeout(left, self.call(&mut store, then)).await {
            Err(_) => Err(ScriptError::TimedOut(limit)),
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(message))) => Err(ScriptError::Failed(shortened(message, &store.data().log).await)),
            Ok(Err(error)) => {
                if let Some(replaying) = store.data().tape.replaying() {
                    replaying.stands_in(place(&error));
                }
                Err(explain(&error, store.data()))
            }
        };
        (ended, store.into_data().into())
    }

    /// The calls into the guest: an error is a trap, an inner error is the script's own.
    async fn call(&self, store: &mut Store<State>, then: Option<Then<'_>>) -> wasmtime::Result<Result<(), String>> {
        let instance = self.pre.instance_pre().instantiate_async(&mut *store).await?;
        if !then.as_ref().is_some_and(|then| then.anew) {
            store.data_mut().meter.memory.has_begun();
        }
        let script = self.indices.load(&mut *store, &instance)?;
        if let Err(message) = script.call_define(&mut *store).await? {
            return Ok(Err(message));
        }
        let Some(Then { job, transcript, tape, clock, what, anew: _ }) = then else { return Ok(Ok(())) };
        let state = store.data_mut();
        same(&state.tape, &state.jobs, &transcript)?;
        (state.tape, state.clock) = (tape.clone(), clock);
        state.defining.end();
        let ended = match what {
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
        };
        let ended = ended?;
        tape.made_all_calls()?;
        Ok(ended)
    }
}

/// What a script has made of a late job.
pub(crate) fn refined(job: &str, (ended, left): (Result<(), ScriptError>, Left)) -> Result<Refined, ScriptError> {
    ended?;
    match left.refining {
        Some(Refining { skip: Some(reason), .. }) => Ok(Refined::Skipped(reason)),
        Some(Refining { draft, skip: None }) => Ok(Refined::Completed(Box::new(draft))),
        None => Err(ScriptError::Failed(format!("the script does not declare the job {job:?}"))),
    }
}

/// Checks that `define` has done all that it did the first time.
fn same(tape: &Tape, jobs: &[JobDraft], transcript: &Transcript) -> wasmtime::Result<()> {
    tape.made_all_calls()?;
    if jobs == transcript.jobs {
        return Ok(());
    }
    let differs = jobs.iter().zip(&transcript.jobs).find(|(now, first)| now != first).map(|(now, _)| now.id.clone());
    Err(Declared(match differs {
        Some(id) => format!("it declared the job {id:?} differently"),
        None => format!("it declared {} jobs instead of {}", jobs.len(), transcript.jobs.len()),
    })
    .into())
}

/// `define` has declared something else than the first time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Declared(pub(crate) String);

/// The most bytes of a script's own error that stand in the journal and in messages. Its log has all of a longer one.
pub(crate) const LONGEST_ERROR: usize = 4096;

async fn shortened(message: String, log: &Log) -> String {
    if message.len() <= LONGEST_ERROR {
        return message;
    }
    log.text(&message).await;
    format!("{} (the beginning of {} bytes, which the log has)", beginning(&message, LONGEST_ERROR), message.len())
}
