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
mod tests {
    use futures::FutureExt;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn memory(of_host: usize, of_build: usize, own: usize) -> HostMemory {
        let (host_memory_bytes, build_memory_bytes, own_memory_bytes) = (of_host, of_build, own);
        HostMemory::new(&Limits { host_memory_bytes, build_memory_bytes, own_memory_bytes, ..Limits::default() })
    }

    fn most(build: &BuildMemory) -> usize {
        let mut share = build.begin(0, HOUR).now_or_never().expect("at once").expect("nothing is always there");
        (0..).take_while(|_| share.take(1).is_ok()).count()
    }

    /// Takes all that `build` gets.
    fn fill(build: &BuildMemory) -> (Share, usize) {
        let most = most(build);
        let mut share = build.begin(0, HOUR).now_or_never().expect("at once").expect("nothing is always there");
        share.take(most).expect("so much was there");
        (share, most)
    }

    #[tokio::test]
    async fn greedy_builds_never_take_all_and_each_has_a_part_of_its_own() {
        let host = memory(1000, 900, 10);
        let greedy: Vec<_> = (0..20).map(|_| host.build()).collect();
        let taken: Vec<(Share, usize)> = greedy.iter().map(fill).collect();
        let of_each: Vec<usize> = taken.iter().map(|(_, most)| *most).collect();
        assert_eq!(of_each[..4], [510, 260, 135, 72], "each takes half of what is left, beside its own");
        assert!(of_each.iter().all(|most| *most >= 10), "{of_each:?}");
        assert!(host.taken() <= 1000 + 20 * 10, "{}", host.taken());
        drop(taken);
        assert_eq!((host.taken(), host.ledger().shared), (0, 0));
        assert_eq!(most(&greedy[19]), 510);
    }

    #[tokio::test]
    async fn the_end_of_a_builds_memory_is_the_builds_even_if_the_host_has_more() {
        let host = memory(1 << 40, 100, 10);
        let (one, two) = (host.build(), host.build());
        let (mut share, most) = fill(&one);
        assert_eq!((most, share.take(1)), (100, Err(Short::OfBuild { limit: 100, taken: 100 })));
        assert_eq!(fill(&two).1, 100);
        share.give_back(30);
        share.take(30).expect("given back before");
    }

    #[tokio::test]
    async fn an_instance_waits_for_memory_that_others_will_give_back_and_not_for_those_who_wait() {
        let build = memory(1 << 40, 100, 10).build();
        let mut first = build.begin(60, HOUR).now_or_never().expect("at once").expect("free");
        let mut second = Box::pin(build.begin(60, HOUR));
        assert!(second.as_mut().now_or_never().is_none(), "the first one runs, and will end");
        first.waits(false);
        let short = second.as_mut().now_or_never().expect("told").expect_err("the first one may wait for this one");
        assert_eq!(short, Short::OfBuild { limit: 100, taken: 60 });
        first.runs();
        let mut third = Box::pin(build.begin(60, HOUR));
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        third.now_or_never().expect("told").expect("free again");
    }

    #[tokio::test]
    async fn one_of_those_that_wait_hears_that_somebody_lacks_what_it_has() {
        let build = memory(1 << 40, 100, 10).build();
        let waits = |bytes: usize| {
            let mut share = build.begin(bytes, HOUR).now_or_never().expect("at once").expect("free");
            share.waits(true);
            let wanted = share.wanted();
            (share, Box::pin(wanted))
        };
        let ((first, mut first_is_wanted), (second, mut second_is_wanted)) = (waits(40), waits(40));
        assert!(
            first_is_wanted.as_mut().now_or_never().is_none() && second_is_wanted.as_mut().now_or_never().is_none()
        );
        let mut begins = Box::pin(build.begin(50, HOUR));
        assert!(begins.as_mut().now_or_never().is_none(), "the others have it still");
        assert!(first_is_wanted.as_mut().now_or_never().is_some(), "the first one is asked");
        assert!(second_is_wanted.as_mut().now_or_never().is_none(), "one is enough");
        drop(first);
        let mut third = begins.now_or_never().expect("told").expect("free now");
        // One that has begun and wants more asks those who wait as well.
        let mut more = Box::pin(third.take_also_from_those_who_wait(70));
        assert!(more.as_mut().now_or_never().is_none());
        assert!(second_is_wanted.as_mut().now_or_never().is_some());
        drop(second);
        more.now_or_never().expect("told").expect("free now");
    }

    #[tokio::test]
    async fn what_an_instance_is_given_to_begin_with_is_used_first_and_the_rest_is_free() {
        let host = memory(1 << 40, 100, 10);
        let mut share = host.build().begin(60, HOUR).now_or_never().expect("at once").expect("free");
        share.take(20).expect("kept for it");
        assert_eq!(host.taken(), 60);
        share.has_begun();
        assert_eq!(host.taken(), 20);
        drop(share);
        assert_eq!(host.taken(), 0);
    }
}
