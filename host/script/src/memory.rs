//! How much memory scripts take: all instances of a build together, and all builds of a host.
//!
//! A limit for each instance alone is none for a build, which has as many instances as it has actions that wait. So whatever an
//! instance takes (linear memory, tables, what the host holds for it) is counted on its build. A build has a small part of its own,
//! which is there whatever others take. Beyond it all builds draw on one pool, of which a build may take no more than it leaves: one
//! build alone gets half, of two greedy ones each a third. So the pool is never empty, and whoever comes later gets something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::Limits;

/// The memory of all scripts of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct HostMemory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    of_host: usize,
    of_build: usize,
    own: usize,
    ledger: Mutex<Ledger>,
    /// Told when somebody gives memory back, or begins to wait.
    changed: Notify,
    /// Tells one of those that wait, of any build, that somebody lacks what it has.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Ledger {
    /// What builds have taken beyond their own parts.
    shared: usize,
    builds: HashMap<u64, Account>,
    next: u64,
}

/// What a build has taken.
#[derive(Debug, Default)]
struct Account {
    bytes: usize,
    /// Instances that will give theirs back without anybody's doing: those that don't wait for anything.
    running: usize,
    /// Instances that wait, and give theirs back when somebody wants it.
    giving_way: usize,
}

/// The memory of a build's scripts. It is forgotten with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct BuildMemory(Arc<Build>);

#[derive(Debug)]
struct Build {
    host: HostMemory,
    number: u64,
    /// Tells one of those of this build that wait that somebody lacks what it has.
    wanted: Notify,
}

/// What an instance has taken. Dropping it gives all of it back.
#[derive(Debug)]
pub(crate) struct Share {
    build: BuildMemory,
    taken: usize,
    /// The part of it that is kept for an instance that is being made.
    kept: usize,
    does: Does,
}

/// What an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Run,
    Wait { gives_way: bool },
}

/// Why an instance gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// The build may have no more.
    OfBuild {
        /// What it may have.
        limit: usize,
        /// What it has.
        taken: usize,
    },
    /// Others have it.
    OfHost {
        /// What all builds together may have.
        limit: usize,
        /// What this one has.
        taken: usize,
    },
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        match *self {
            Self::OfBuild { limit, taken } => write!(
                f,
                "the memory of the build's scripts, {} MiB for all its instances together, of which {} MiB are taken; let fewer actions \
                 run or wait at a time, or hold less in each",
                mib(limit),
                mib(taken)
            ),
            Self::OfHost { limit, taken } => write!(
                f,
                "its part of the memory of all builds' scripts, {} MiB on this host, of which this build has {} MiB; run it again when \
                 fewer builds run",
                mib(limit),
                mib(taken)
            ),
        }
    }
}

impl HostMemory {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Pool {
            of_host: limits.host_memory_bytes,
            of_build: limits.build_memory_bytes,
            own: limits.own_memory_bytes,
            ledger: Mutex::default(),
            changed: Notify::new(),
            wanted: Notify::new(),
        }))
    }

    /// An account for one more build.
    pub(crate) fn build(&self) -> BuildMemory {
        let mut ledger = self.ledger();
        let number = ledger.next;
        ledger.next += 1;
        ledger.builds.insert(number, Account::default());
        BuildMemory(Arc::new(Build { host: self.clone(), number, wanted: Notify::new() }))
    }

    /// What all builds have taken.
    pub(crate) fn taken(&self) -> usize {
        self.ledger().builds.values().map(|account| account.bytes).sum()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.host.ledger().builds.remove(&self.number);
    }
}

impl BuildMemory {
    /// Takes what a new instance needs to begin. Waits for it while others are going to give it back, for at most `limit`.
    ///
    /// # Errors
    /// When the build may not have so much, or all of its other instances wait and stay: they could wait for this one.
    pub(crate) async fn begin(&self, needs: usize, limit: Duration) -> Result<Share, Short> {
        let host = &self.0.host;
        let mut over = std::pin::pin!(tokio::time::sleep(limit));
        loop {
            let mut changed = std::pin::pin!(host.0.changed.notified());
            // From here on nothing is missed.
            changed.as_mut().enable();
            match self.try_begin(needs) {
                Ok(share) => return Ok(share),
                Err(short @ Short::OfBuild { .. }) if !self.will_give_back() => return Err(short),
                Err(short) => {
                    self.want(short);
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = &mut over => return Err(short),
                    }
                }
            }
        }
    }

    fn try_begin(&self, needs: usize) -> Result<Share, Short> {
        self.take(needs)?;
        self.account(|account| account.running += 1);
        Ok(Share { build: self.clone(), taken: needs, kept: needs, does: Does::Run })
    }

    /// For what is held beside the instances.
    pub(crate) fn beside(&self) -> Share {
        Share { build: self.clone(), taken: 0, kept: 0, does: Does::Wait { gives_way: false } }
    }

    /// Asks one of those who wait to give back what it has. Whoever lacks more asks again when it has.
    fn want(&self, short: Short) {
        match short {
            Short::OfBuild { .. } => self.0.wanted.notify_one(),
            Short::OfHost { .. } => self.0.host.0.wanted.notify_one(),
        }
    }

    fn will_give_back(&self) -> bool {
        self.account(|account| account.running + account.giving_way > 0)
    }

    fn account<T>(&self, with: impl FnOnce(&mut Account) -> T) -> T {
        with(self.0.host.ledger().builds.entry(self.0.number).or_default())
    }

    fn take(&self, more: usize) -> Result<(), Short> {
        let Pool { of_host, of_build, own, .. } = *self.0.host.0;
        let mut ledger = self.0.host.ledger();
        let shared = ledger.shared;
        let account = ledger.builds.entry(self.0.number).or_default();
        let (before, after) = (account.bytes, account.bytes.saturating_add(more));
        if after > of_build {
            return Err(Short::OfBuild { limit: of_build, taken: before });
        }
        let beyond = after.saturating_sub(own);
        let shared = shared.saturating_sub(before.saturating_sub(own)).saturating_add(beyond);
        if beyond > 0 && beyond > of_host.saturating_sub(shared) {
            return Err(Short::OfHost { limit: of_host, taken: before });
        }
        account.bytes = after;
        ledger.shared = shared;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let own = self.0.host.0.own;
        let mut ledger = self.0.host.ledger();
        let account = ledger.builds.entry(self.0.number).or_default();
        let before = account.bytes;
        account.bytes = before.saturating_sub(bytes);
        let less = before.saturating_sub(own) - account.bytes.saturating_sub(own);
        ledger.shared = ledger.shared.saturating_sub(less);
        drop(ledger);
        self.0.host.0.changed.notify_waiters();
    }
}

impl Share {
    /// Takes more; what was kept to begin with comes first.
    pub(crate) fn take(&mut self, more: usize) -> Result<(), Short> {
        let kept = self.kept.min(more);
        self.build.take(more - kept)?;
        self.kept -= kept;
        self.taken += more - kept;
        Ok(())
    }

    /// Takes more, and has those of the build give way that wait and can.
    pub(crate) async fn take_also_from_those_who_wait(&mut self, more: usize) -> Result<(), Short> {
        let build = self.build.clone();
        loop {
            let mut changed = std::pin::pin!(build.0.host.0.changed.notified());
            changed.as_mut().enable();
            let short = match self.take(more) {
                Err(short @ Short::OfBuild { .. }) if build.account(|account| account.giving_way > 0) => short,
                taken => return taken,
            };
            build.want(short);
            changed.await;
        }
    }

    /// Gives a part back.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.taken);
        self.taken -= bytes;
        self.build.give_back(bytes);
    }

    /// How much it has taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// The instance has begun: what it has not needed for that is free.
    pub(crate) fn has_begun(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        self.give_back(kept);
    }

    /// Gives all but so many bytes back: what is left of an instance that is over.
    pub(crate) fn keep(mut self, bytes: usize) -> Kept {
        self.waits(false);
        self.give_back(self.taken.saturating_sub(bytes));
        Kept(Some(Arc::new(self)))
    }

    /// The instance waits, and gives way when somebody wants what it has, or stays.
    pub(crate) fn waits(&mut self, gives_way: bool) {
        self.becomes(Does::Wait { gives_way });
    }

    /// The instance runs on.
    pub(crate) fn runs(&mut self) {
        self.becomes(Does::Run);
    }

    /// Returns when somebody wants what it has, which waits and gives way. Of several that do, one hears of it.
    pub(crate) fn wanted(&self) -> impl Future<Output = ()> + Send + use<> {
        let build = self.build.clone();
        async move {
            tokio::select! {
                biased;
                () = build.0.wanted.notified() => {}
                () = build.0.host.0.wanted.notified() => {}
            }
        }
    }

    fn becomes(&mut self, does: Does) {
        if self.does == does {
            return;
        }
        let before = std::mem::replace(&mut self.does, does);
        self.build.account(|account| {
            match before {
                Does::Run => account.running -= 1,
                Does::Wait { gives_way } => account.giving_way -= usize::from(gives_way),
            }
            match does {
                Does::Run => account.running += 1,
                Does::Wait { gives_way } => account.giving_way += usize::from(gives_way),
            }
        });
        // Whoever waits for memory of one that waits and stays would wait for ever.
        self.build.0.host.0.changed.notify_waiters();
    }
}

/// What somebody has taken who does nothing but hold it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(#[expect(dead_code, reason = "it counts for as long as it lives")] Option<Arc<Share>>);

impl PartialEq for Kept {
    /// What something takes is no part of what it is.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Kept {}

impl Drop for Share {
    fn drop(&mut self) {
        self.becomes(Does::Wait { gives_way: false });
        self.build.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests;
