//! What is there beside the host, and outlives it: time, pods, people, and what the seed has in store for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use monkeyci_script::Surroundings;
use monkeyci_storage::Watched;
use tokio::time::Instant;

use super::assertions::Assertions;
use super::chance::Chance;
use super::fault::{Attempts, Fault, JobFault};
use super::pods::SimulatedPod;
use super::rules::{Broken, Rule};
use crate::clock::{Clock, millis};
use crate::host::{Host, Pace};
use crate::lock::lock;

/// When all simulations begin, in milliseconds since the Unix epoch: 1 January 2026.
const BEGINNING_MS: u64 = 1_767_225_600_000;
/// The world's moments are multiples of this, in milliseconds. The journal's writer, which waits for less than that for more to write,
/// writes in between: never while something happens that takes another thread.
const STEP_MS: u64 = 8;
/// How late an attempt may begin that may begin, in milliseconds.
const LATE_MS: u64 = 2000;
/// How often a host is killed at most.
const KILLS: u64 = 3;
/// Among so many first records a host is killed, in a seed that has that.
const RECORDS: u64 = 150;

/// What is otherwise about the time and chance that scripts see, to tell what depends on them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outside {
    /// How much their clock is ahead.
    pub(super) ahead_ms: u64,
    /// Which random numbers and orders they see.
    pub(super) number: u64,
}

/// The world of one run.
pub(super) struct World {
    pub(super) chance: Chance,
    /// What scripts see of it.
    outside: Outside,
    /// From when on nothing goes wrong.
    healed_ms: u64,
    /// What goes wrong, where that is not for the seed to say.
    only: Option<Vec<Fault>>,
    state: Mutex<State>,
    /// Until when the engine is away, in milliseconds of the world's time.
    pub(super) away_until: Watched<u64>,
    /// Set when the host has been killed.
    killed: Watched<bool>,
}

struct State {
    /// What the time was when this life of the host began, and the moment of its runtime.
    life: Option<(u64, Instant)>,
    /// The time when no host lives.
    now_ms: u64,
    /// The moments at which something happens by the world's doing: one thing at each.
    taken: BTreeSet<u64>,
    pods: BTreeMap<String, SimulatedPod>,
    /// How often each pod was made.
    made: BTreeMap<String, u32>,
    /// What went wrong so far.
    happened: BTreeSet<Fault>,
    /// What of journal and host is still to go wrong.
    ahead: Vec<Fault>,
    host: Option<Host>,
    notes: Vec<String>,
    broken: Vec<Broken>,
    /// How many random seeds were drawn.
    drawn: u64,
    /// Until when the disk is full.
    full_until_ms: u64,
    said: Assertions,
}

impl World {
    pub(super) fn new(chance: Chance, only: Option<Vec<Fault>>, about: &[Fault], outside: Outside) -> Arc<Self> {
        let healed = about.iter().find_map(|fault| if let Fault::Heal { at_ms } = fault { Some(*at_ms) } else { None });
        let healed_ms = healed.unwrap_or(u64::MAX);
        let ahead = match &only {
            Some(faults) => faults.clone(),
            None => of_host(&chance),
        };
        let ahead = ahead
            .into_iter()
            .filter(|fault| !matches!(fault, Fault::Job { .. } | Fault::Reject { .. }) && !fault.is_about_the_build());
        let state = State {
            life: None,
            now_ms: 0,
            taken: BTreeSet::new(),
            pods: BTreeMap::new(),
            made: BTreeMap::new(),
            happened: about.iter().cloned().collect(),
            ahead: ahead.collect(),
            host: None,
            notes: Vec::new(),
            broken: Vec::new(),
            drawn: 0,
            full_until_ms: 0,
            said: Assertions::default(),
        };
        let (away_until, killed) = (Watched::new(0), Watched::new(false));
        Arc::new(Self { chance, outside, healed_ms, only, state: Mutex::new(state), away_until, killed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A life of the host begins, in the runtime that this is called in, so long after the last one.
    pub(super) fn begin_life(&self, after: Duration) {
        let mut state = self.state();
        state.now_ms += millis(after);
        state.life = Some((state.now_ms, Instant::now()));
        self.killed.set(false);
    }

    /// The host, for those who are there beside it.
    pub(super) fn enters(&self, host: Host) {
        self.state().host = Some(host);
    }

    pub(super) fn host(&self) -> Option<Host> {
        self.state().host.clone()
    }

    /// The host's life is over: time stands still until the next one.
    pub(super) fn end_life(&self) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        (state.now_ms, state.life, state.host) = (now_ms, None, None);
    }

    /// How long it is since the beginning, in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        let state = self.state();
        match state.life {
            Some((began_ms, began)) => began_ms + millis(began.elapsed()),
            None => state.now_ms,
        }
    }

    /// Returns at a moment at which nothing else happens by the world's doing, not before this one.
    pub(super) async fn until(&self, at_ms: u64) {
        let left = {
            let now_ms = self.now_ms();
            let mut state = self.state();
            // What has been is not needed any more.
            state.taken = state.taken.split_off(&now_ms);
            let mut at_ms = at_ms.max(now_ms + 1).next_multiple_of(STEP_MS);
            while !state.taken.insert(at_ms) {
                at_ms += STEP_MS;
            }
            at_ms - now_ms
        };
        tokio::time::sleep(Duration::from_millis(left)).await;
    }

    /// The same, so much later than now.
    pub(super) async fn after(&self, ms: u64) {
        self.until(self.now_ms().saturating_add(ms)).await;
    }

    /// Writes down what the world does: two runs of a seed are compared by it too.
    pub(super) fn note(&self, what: impl std::fmt::Display) {
        let line = format!("{} {what}", self.now_ms());
        self.state().notes.push(line);
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }

    /// A rule is broken, as the world sees.
    pub(super) fn breaks(&self, rule: Rule, how: String) {
        self.state().broken.push(Broken::new(rule, None, how));
    }

    /// The rules that were broken, as the world has seen.
    pub(super) fn broken(&self) -> Vec<Broken> {
        self.state().broken.clone()
    }

    /// Lets `with` see what the script has said of itself.
    pub(super) fn said<T>(&self, with: impl FnOnce(&mut Assertions) -> T) -> T {
        with(&mut self.state().said)
    }

    /// What went wrong so far.
    pub(super) fn happened(&self) -> Vec<Fault> {
        self.state().happened.iter().cloned().collect()
    }

    pub(super) fn pods<T>(&self, look: impl FnOnce(&mut BTreeMap<String, SimulatedPod>) -> T) -> T {
        look(&mut self.state().pods)
    }

    /// A pod is made; tells how often it was made with this.
    pub(super) fn made(&self, key: &str) -> u32 {
        let mut state = self.state();
        let made = state.made.entry(key.to_owned()).or_default();
        *made += 1;
        *made
    }

    /// Whether nothing goes wrong any more.
    fn is_healed(&self) -> bool {
        self.now_ms() >= self.healed_ms
    }

    /// From when on nothing goes wrong, by the journal's time.
    pub(super) fn healed_at(&self) -> u64 {
        BEGINNING_MS.saturating_add(self.healed_ms)
    }

    /// When something is over that goes wrong until then: no later than when all is well again.
    pub(super) fn while_ill(&self, until_ms: u64) -> u64 {
        until_ms.min(self.healed_ms)
    }

    /// How an attempt of a container job goes wrong, if it does.
    pub(super) fn goes_wrong(&self, job: &str, attempt: u32) -> Option<JobFault> {
        if self.is_healed() {
            return None;
        }
        let is_its = |fault: &&Fault| match fault {
            Fault::Job { which: Attempts::All, .. } => true,
            Fault::Job { which: Attempts::Job(of), .. } => of == job,
            Fault::Job { which: Attempts::One(of, number), .. } => (of.as_str(), *number) == (job, attempt),
            _ => false,
        };
        let fault = match &self.only {
            Some(faults) => faults.iter().find(is_its).cloned()?,
            None => drawn(&self.chance, job, attempt)?,
        };
        let what = match &fault {
            Fault::Job { what, .. } => Some(*what),
            _ => None,
        };
        self.state().happened.insert(fault);
        what
    }

    /// Whether somebody rejects a job that waits for approval.
    pub(super) fn is_rejected(&self, job: &str) -> bool {
        let fault = Fault::Reject { job: job.to_owned() };
        let rejected = !self.is_healed()
            && match &self.only {
                Some(faults) => faults.contains(&fault),
                None => self.chance.happens("reject", job),
            };
        if rejected {
            self.state().happened.insert(fault);
        }
        rejected
    }

    /// Takes what is still to go wrong and is wanted.
    pub(super) fn take_ahead(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        if self.is_healed() {
            return None;
        }
        let mut state = self.state();
        let at = state.ahead.iter().position(wanted)?;
        let fault = state.ahead.remove(at);
        state.happened.insert(fault.clone());
        Some(fault)
    }

    /// What is still to go wrong.
    pub(super) fn ahead(&self) -> Vec<Fault> {
        self.state().ahead.clone()
    }

    pub(super) async fn until_engine_is_back(&self) {
        let back_ms = self.away_until.get();
        if self.now_ms() < back_ms {
            self.until(back_ms).await;
        }
    }

    /// Whether the engine was away at some time.
    pub(super) fn was_away(&self) -> bool {
        self.away_until.get() > 0
    }

    pub(super) fn disk_full_until(&self, until_ms: u64) {
        self.state().full_until_ms = until_ms;
    }

    pub(super) fn is_disk_full(&self) -> bool {
        self.now_ms() < self.state().full_until_ms
    }

    /// The host dies now. Whatever it is about to do does not happen.
    pub(super) fn kill(&self) {
        if let Some(host) = self.host() {
            host.dies();
        }
        self.killed.set(true);
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.get()
    }

    /// Returns when the host is killed.
    pub(super) async fn until_killed(&self) {
        // It is not dropped as long as this is here.
        let _ = self.killed.watch().until(|killed| *killed).await;
    }
}

/// What a seed has in store for host, journal and build.
fn of_host(chance: &Chance) -> Vec<Fault> {
    let mut ahead = Vec::new();
    if chance.happens("kill", "host") || chance.unit("kill", "whether") < 0.3 {
        for number in 0..=chance.below("kill", "how often", KILLS) {
            let record = chance.spread("kill", &format!("record {number}"), RECORDS);
            let is_lost = chance.unit("kill", &format!("lost {number}")) < 0.5;
            ahead.push(if is_lost { Fault::Lose { record } } else { Fault::Kill { record } });
        }
    }
    if chance.unit("full", "whether") < 0.1 {
        let record = chance.spread("full", "record", RECORDS);
        ahead.push(Fault::DiskFull { record, seconds: chance.spread("full", "seconds", 600) });
    }
    if chance.unit("cancel", "whether") < 0.1 {
        ahead.push(Fault::Cancel { at_ms: chance.spread("cancel", "when", 3_600_000) });
    }
    ahead
}

/// How an attempt goes wrong by the seed.
fn drawn(chance: &Chance, job: &str, attempt: u32) -> Option<Fault> {
    let code = |of: &str| 1 + chance.below("code", of, 3) as i32;
    if chance.unit("every attempt", "") < 0.03 {
        return Some(Fault::Job { which: Attempts::All, what: JobFault::Exit(code("")) });
    }
    if chance.happens("every attempt of a job", job) {
        return Some(Fault::Job { which: Attempts::Job(job.to_owned()), what: JobFault::Exit(code(job)) });
    }
    let of = format!("{job}/{attempt}");
    let kinds: [(&str, JobFault); 12] = [
        ("exit", JobFault::Exit(code(&of))),
        ("oom", JobFault::OutOfMemory),
        ("killed", JobFault::Killed),
        ("lost", JobFault::Lost),
        ("sidecar dies", JobFault::SidecarDies),
        ("hangs", JobFault::Hangs),
        ("not started", JobFault::NotStarted),
        ("no image", JobFault::NoImage),
        ("engine away", JobFault::EngineAway(chance.spread("away", &of, 120))),
        ("twice", JobFault::Twice),
        ("late", JobFault::Late(chance.spread("late by", &of, 400))),
        ("not saved", JobFault::NotSaved),
    ];
    let (_, what) = kinds.into_iter().find(|(kind, _)| chance.happens(kind, &of))?;
    Some(Fault::Job { which: Attempts::One(job.to_owned(), attempt), what })
}

impl Pace for Arc<World> {
    fn turn(&self, job: &str, attempt: u32) -> BoxFuture<'static, ()> {
        let late_ms = self.chance.spread("begins", &format!("{job}/{attempt}"), LATE_MS);
        let world = self.clone();
        async move { world.after(late_ms).await }.boxed()
    }

    fn call(&self) -> BoxFuture<'static, ()> {
        let world = self.clone();
        async move { world.after(0).await }.boxed()
    }
}

/// The world's time, as the host has it.
pub(super) struct WorldClock(pub(super) Arc<World>);

impl Clock for WorldClock {
    fn day_ms(&self) -> u64 {
        BEGINNING_MS + self.0.now_ms()
    }

    fn since(&self) -> Duration {
        Duration::from_millis(self.0.now_ms())
    }
}

/// The world's time and chance, as scripts have them.
pub(super) struct WorldSurroundings(pub(super) Arc<World>);

impl Surroundings for WorldSurroundings {
    fn day_ms(&self) -> u64 {
        BEGINNING_MS + self.0.now_ms() + self.0.outside.ahead_ms
    }

    fn seed(&self, job: Option<&str>) -> [u8; 32] {
        let number = {
            let mut state = self.0.state();
            state.drawn += 1;
            state.drawn
        };
        let which = self.0.outside.number;
        self.0.chance.bytes("random numbers", &format!("{} {number} {which}", job.unwrap_or_default()))
    }
}
