//! Clocks, timers and random numbers of WASI, as scripts get them. While `define` runs time stands still, also for those who wait for it;
//! afterwards all of it is recorded, and a wait leaves its slot to others.
//!
//! A timer that really ran would tell how fast this machine is, by whether it is over when it is looked at: `define` could declare
//! other jobs each time. So what waits while `define` runs is over as soon as it is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use rand::RngExt;
use tokio::time::Instant;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use crate::clock::{ActionClock, Random};
use crate::store::State;
use crate::waiting::{Awaited, Wait};

/// The most random bytes of one call.
pub(crate) const RANDOM: u64 = 1 << 20;

/// Puts these in the place of WASI's own.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let added = monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
        .and_then(|()| wall_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state))
        .and_then(|()| random::add_to_linker::<State, HasSelf<State>>(linker, |state| state))
        .and_then(|()| insecure::add_to_linker::<State, HasSelf<State>>(linker, |state| state))
        .and_then(|()| poll::add_to_linker::<State, HasSelf<State>>(linker, |state| state));
    linker.allow_shadowing(false);
    added
}

/// The timers of an instance, by their pollables: what they wait for, by the action's clock.
pub(crate) type Timers = BTreeMap<u32, u64>;

struct Timer {
    clock: ActionClock,
    at: u64,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        loop {
            let left = self.clock.until(self.at);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

impl State {
    /// What the monotonic clock shows; recorded.
    pub(crate) fn clock_now(&mut self) -> wasmtime::Result<u64> {
        if self.defining.is() {
            return Ok(0);
        }
        self.begin_clock()?;
        let clock = self.clock.clone();
        let now = self.told_now("clock.now", || clock.now())?;
        self.clock.has_shown(now);
        Ok(now)
    }

    fn begin_clock(&mut self) -> wasmtime::Result<()> {
        if !std::mem::replace(&mut self.clock_begun, true) {
            let surroundings = self.surroundings.clone();
            let began_ms = self.told_now("clock.begin", || surroundings.day_ms())?;
            self.clock.begin(began_ms);
        }
        Ok(())
    }

    fn timer(&mut self, at: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer { clock: self.clock.clone(), at })?;
        let pollable = subscribe(&mut self.table, timer)?;
        self.timers.insert(pollable.rep(), at);
        Ok(pollable)
    }

    fn random(&mut self, secure: bool) -> wasmtime::Result<&mut Random> {
        if !self.defining.is() && !std::mem::replace(&mut self.is_drawn, true) {
            let (surroundings, job) = (self.surroundings.clone(), self.job.clone());
            let drawn = self.told_now("random.seed", || surroundings.seed(job.as_deref()).to_vec())?;
            self.random = ["secure", "insecure"].map(|purpose| Random::of_action(&drawn, purpose));
        }
        let [of_secure, of_insecure] = &mut self.random;
        Ok(if secure { of_secure } else { of_insecure })
    }

    fn random_bytes(&mut self, secure: bool, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM {
            wasmtime::bail!("{length} random bytes were asked for at once, and {RANDOM} are allowed");
        }
        Ok(self.random(secure)?.random_iter().take(length as usize).collect())
    }

    /// Waits for one of these, and leaves the slot to others meanwhile.
    async fn wait_for(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let reps: Vec<u32> = pollables.iter().map(Resource::rep).collect();
        let again = || reps.iter().map(|rep| Resource::new_borrow(*rep)).collect();
        // Who only looks gives nothing up.
        if let Some(ready) = poll::Host::poll(&mut self.table, again()).now_or_never() {
            return ready;
        }
        // Where nothing but time is waited for, no instance is needed for that.
        let times: Option<Vec<u64>> = reps.iter().map(|rep| self.timers.get(rep).copied()).collect();
        let only_time = times.and_then(|times| times.into_iter().min()).map(|at| {
            let until = Instant::now().checked_add(self.clock.until(at));
            Wait { what: Awaited::Time, until: until.or_else(|| Instant::now().checked_add(FOR_EVER)) }
        });
        let waiting = self.begin_to_wait(only_time.as_ref())?;
        let waiting = match waiting {
            Ok(waiting) => waiting,
            // It is only refused where it could not be made anew; then it keeps its slot.
            Err(_) => return poll::Host::poll(&mut self.table, again()).await,
        };
        let wanted = self.meter.memory.wanted();
        let gives_way = only_time.is_some() && self.may_be_made_anew();
        let ready = {
            let mut ready = std::pin::pin!(poll::Host::poll(&mut self.table, again()));
            tokio::select! {
                biased;
                ready = &mut ready => Some(ready),
                () = wanted, if gives_way => None,
            }
        };
        match ready {
            Some(ready) => {
                self.go_on(waiting, only_time.as_ref()).await?;
                ready
            }
            None => Err(self.suspend(only_time)),
        }
    }
}

/// Longer than any action lives.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.clock_now()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if self.defining.is() {
            return self.clocks().subscribe_instant(0);
        }
        self.begin_clock()?;
        self.timer(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if self.defining.is() || duration == 0 {
            return self.clocks().subscribe_duration(0);
        }
        let now = self.clock_now()?;
        self.timer(now.saturating_add(duration))
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let surroundings = self.surroundings.clone();
        let now_ms = || surroundings.day_ms();
        let ms = if self.defining.is() { self.defined_at_ms } else { self.told_now("clock.time-of-day", now_ms)? };
        Ok(wall_clock::Datetime { seconds: ms / 1000, nanoseconds: (ms % 1000) as u32 * 1_000_000 })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(true, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random(true)?.random())
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(false, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random(false)?.random())
    }
}

impl poll::Host for State {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if self.defining.is() {
            return poll::Host::poll(&mut self.table, pollables).await;
        }
        let request = format!("poll({})", pollables.len());
        if let Some(ready) = self.told_before(&request)? {
            return Ok(ready);
        }
        let ready = self.wait_for(pollables).await?;
        self.has_told(request, &ready)?;
        Ok(ready)
    }
}

impl poll::HostPollable for State {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        if self.defining.is() {
            return poll::HostPollable::ready(&mut self.table, pollable).await;
        }
        if let Some(ready) = self.told_before("pollable.ready")? {
            return Ok(ready);
        }
        let ready = poll::HostPollable::ready(&mut self.table, pollable).await?;
        self.has_told("pollable.ready".to_owned(), &ready)?;
        Ok(ready)
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::Host::poll(self, vec![pollable]).await.map(drop)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.timers.remove(&pollable.rep());
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}
