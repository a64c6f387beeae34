//! A pod while it runs: started, watched until its end, and stopped. Nothing here polls but for an engine that is away.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use monkeyci_build::{Ending, SidecarReport};
use monkeyci_engines::{Engine, EngineError, Part, PartExit, Pod};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::verdict::{self, Ends};
use super::{GRACE, SAVING};
use crate::jobs::lease::{self, AGAIN, LEASE};
use crate::lock::lock;
use crate::running::BuildHandle;

/// How long a report may still be under way, and the job's end take to be seen, when the sidecar's container has ended.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// What the guard's last words begin with.
const GUARD: &str = "monkeyci guard: ";
/// What Docker sends first to what it finds running when it starts.
const TERM: i32 = 15;

/// How long a watch waits for others.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// How long the engine may be away before it counts as gone.
    pub(super) lease: Duration,
    /// An engine that has let us wait for so long is back, or on its way: its next absence has a lease of its own.
    pub(super) steady: Duration,
    /// How long the sidecar may take to say how the job ended when the job's container ended before its command began: it has
    /// nothing to save, and it may never hear of a launcher that died before it said hello.
    pub(super) last_words: Duration,
    /// How long the job's container may take to end when its end was reported: its launcher exits at once.
    pub(super) agreement: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            lease: LEASE,
            steady: Duration::from_secs(5),
            last_words: Duration::from_secs(5),
            agreement: Duration::from_secs(60),
        }
    }
}

/// A pod while it runs.
pub(super) struct Watch<'a> {
    live: &'a BuildHandle,
    /// Set when stopped jobs get no time to end any more.
    force: &'a CancellationToken,
    engine: &'a dyn Engine,
    pod: &'a Pod,
    patience: Patience,
    /// The job's memory limit.
    memory_bytes: Option<u64>,
    /// Whether the engine has started all of it.
    up: AtomicBool,
    /// Whether the engine was away since.
    was_away: AtomicBool,
    /// What is being prepared for the job; none once its command runs.
    phase: Mutex<Option<String>>,
    /// Cancelled when the engine has started all of it, for those who wait for that.
    started: CancellationToken,
    /// Who says in the job's log what is seen meanwhile.
    tell: Option<mpsc::UnboundedSender<String>>,
    /// The services that have ended while the job ran, in words.
    dead: Mutex<BTreeMap<String, String>>,
    /// How the job ended, by its sidecar.
    reported: Mutex<Option<Ending>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        live: &'a BuildHandle,
        force: &'a CancellationToken,
        engine: &'a dyn Engine,
        pod: &'a Pod,
        patience: Patience,
    ) -> Self {
        Self {
            live,
            force,
            engine,
            pod,
            patience,
            memory_bytes: pod.memory_bytes,
            up: AtomicBool::new(false),
            was_away: AtomicBool::new(false),
            phase: Mutex::new(Some("starting its containers".to_owned())),
            started: CancellationToken::new(),
            tell: None,
            dead: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// The same, which tells what it sees.
    pub(super) fn telling(self, tell: mpsc::UnboundedSender<String>) -> Self {
        Self { tell: Some(tell), ..self }
    }

    /// Cancelled when the engine has started all of the pod.
    pub(super) fn started(&self) -> CancellationToken {
        self.started.clone()
    }

    /// What is being prepared for the job; none once its command runs.
    pub(super) fn phase(&self) -> Option<String> {
        lock(&self.phase).clone()
    }

    fn set_phase(&self, phase: Option<String>) {
        *lock(&self.phase) = phase;
    }

    /// Starts the pod and waits for its end, for as long as the engine lives.
    pub(super) async fn drive(
        &self,
        running: oneshot::Receiver<()>,
        report: oneshot::Receiver<SidecarReport>,
    ) -> Ending {
        tokio::select! {
            biased;
            ending = self.watch(running, report) => ending,
            // It may hang, and whoever waits for it would never know.
            reason = lease::over(self.engine, self.patience.lease) => {
                let reported = lock(&self.reported).take();
                // Where the engine can't tell, the report counts.
                reported.unwrap_or(Ending::EngineGone { reason })
            }
        }
    }

    /// Keeps the end that a report tells: the engine may not live to agree to it. Of a job that was sent TERM, it may be the engine's own.
    fn keep_reported(&self, report: &Result<SidecarReport, oneshot::error::RecvError>) {
        if let Ok(SidecarReport::Ended(ending)) = report
            && verdict::exit_code(ending).is_some()
            && !matches!(ending, Ending::Signalled { signal: TERM, .. })
        {
            *lock(&self.reported) = Some(ending.clone());
        }
    }

    /// Starts the pod and waits for its end. What the sidecar reports counts before what the engine sees: the engine knows
    /// that a container ended, the sidecar knows why.
    async fn watch(&self, mut running: oneshot::Receiver<()>, mut report: oneshot::Receiver<SidecarReport>) -> Ending {
        let (live, job) = (self.live, &self.pod.job);
        let progress = |message: String| {
            live.observer.progress(&live.id, job, &message);
            self.set_phase(Some(message));
        };
        let mut start = std::pin::pin!(self.engine.start(self.pod, &progress));
        let started = tokio::select! {
            biased;
            // A sidecar that fails at once, or a job that has ended before its start is confirmed.
            reported = &mut report => {
                self.keep_reported(&reported);
                // How a container ended can be asked of an engine that knows that it has started.
                if matches!(&reported, Ok(SidecarReport::Ended(ending)) if verdict::exit_code(ending).is_some()) {
                    let _ = tokio::time::timeout(self.patience.last_words, start).await;
                }
                return self.heard(reported, Ends::default()).await;
            }
            started = &mut start => started,
        };
        // Whether the job runs is asked until it is known: also that nobody will say so any more is an answer.
        let is_known = live.state().job(job).is_some_and(|known| known.command_runs);
        let (mut is_running, mut asking) = (is_known, !is_known);
        match started {
            Ok(()) => {}
            // The job runs, only the engine could not say so any more: it may do well without it.
            Err(EngineError::Gone(_)) if running.try_recv().is_ok() => {
                (is_running, asking) = (true, false);
                self.set_phase(None);
            }
            Err(error) => return verdict::start_failed(error),
        }
        self.up.store(true, Ordering::Relaxed);
        self.started.cancel();
        if !is_running {
            self.set_phase(Some("its sidecar was preparing it".to_owned()));
        }
        let services = self.pod.services.iter().map(|service| Part::Service(service.name.clone()));
        let parts = [Part::Job, Part::Sidecar].into_iter().chain(services);
        let mut parts: FuturesUnordered<_> =
            parts.map(|part| async move { (self.end_of(&part).await, part) }).collect();
        let mut ends = Ends::default();
        let mut give_up = None;
        loop {
            tokio::select! {
                biased;
                reported = &mut report => {
                    self.keep_reported(&reported);
                    return self.heard(reported, ends).await;
                }
                said = &mut running, if asking => {
                    (is_running, asking) = (said.is_ok(), false);
                    if is_running {
                        self.set_phase(None);
                    }
                }
                Some((end, part)) = parts.next() => match part {
                    Part::Service(_) if ends.job.is_some() || ends.sidecar.is_some() => continue,
                    // A service may end when the job has begun: the job will notice, if it matters. One that has no readiness may
                    // end when it likes.
                    Part::Service(service) if is_running || !self.is_awaited(&service) => {
                        self.service_died(service, end).await;
                        continue;
                    }
                    Part::Service(service) => return self.service_ended(service, end).await,
                    Part::Job => {
                        if let (Ok(exit), false) = (&end, is_running)
                            && let Some(ending) = self.guard_failed(*exit).await
                        {
                            return ending;
                        }
                        ends.job = Some(end);
                    }
                    Part::Sidecar => ends.sidecar = Some(end),
                },
                () = until(give_up) => return self.unreported(ends).await,
            }
            // The job's container may end long before the sidecar has saved what is left of it.
            let patience = match (&ends.job, &ends.sidecar) {
                (None, None) => continue,
                (Some(_), Some(_)) if ends.are_certain() => Duration::ZERO,
                (_, Some(_)) => UNDER_WAY,
                (Some(_), None) if is_running => SAVING,
                (Some(_), None) => self.patience.last_words,
            };
            give_up = Some(Instant::now() + patience);
        }
    }

    /// How a part ended. An engine that is away has its lease to come back. What it says then says little of the job: Docker
    /// stops what it finds running, and may not remember what it had just started.
    async fn end_of(&self, part: &Part) -> Result<PartExit, EngineError> {
        let mut away_since = None;
        let was_away = || self.was_away.load(Ordering::Relaxed);
        loop {
            let asked = Instant::now();
            let end = self.engine.wait(&self.pod.key, part).await;
            let answered = Instant::now();
            if answered - asked >= self.patience.steady {
                away_since = None;
            }
            let reason = match end {
                Err(EngineError::Gone(reason)) => {
                    self.was_away.store(true, Ordering::Relaxed);
                    if away_since.get_or_insert(answered).elapsed() < self.patience.lease {
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                    format!("{reason}; it was not back after {} s", self.patience.lease.as_secs_f32())
                }
                Ok(PartExit { code, .. }) if was_away() => {
                    format!("it was started again while the job ran, which ended with exit code {code}")
                }
                Err(error) if was_away() => format!("it was started again while the job ran: {error}"),
                end => return end,
            };
            return Err(EngineError::Gone(reason));
        }
    }

    /// The ending of a job whose container ended as the guard that it begins as, which did not become the launcher: its last
    /// words say why. Neither job nor sidecar has heard of each other then, so nobody else will say it.
    async fn guard_failed(&self, exit: PartExit) -> Option<Ending> {
        if !(125..=127).contains(&exit.code) {
            return None;
        }
        let words = self.last_lines(&Part::Job).await;
        let is_its = words.contains(GUARD);
        is_its.then(|| Ending::StartFailed { image: self.pod.image.clone(), reason: words })
    }

    /// The sidecar has not said how the job ended, and will not any more.
    async fn unreported(&self, ends: Ends) -> Ending {
        let last_words = match &ends.sidecar {
            Some(Ok(_)) => self.last_lines(&Part::Sidecar).await,
            _ => String::new(),
        };
        ends.verdict(self.memory_bytes, &last_words)
    }

    /// What a sidecar's report makes of what the engine knows.
    async fn heard(&self, report: Result<SidecarReport, oneshot::error::RecvError>, ends: Ends) -> Ending {
        let Ok(report) = report else {
            return verdict::sidecar_failed("running", "the build API stopped listening to it");
        };
        match report {
            SidecarReport::Ended(Ending::ServiceNotReady { service, reason, .. }) => {
                let last_lines = self.last_lines(&Part::Service(service.clone())).await;
                Ending::ServiceNotReady { service, reason, last_lines }
            }
            SidecarReport::Ended(Ending::Signalled { signal: TERM, .. }) if self.was_away.load(Ordering::Relaxed) => {
                Ending::EngineGone { reason: "it was started again, and stopped the job".to_owned() }
            }
            SidecarReport::Ended(ending) => self.agreed(ending, ends.job).await,
            SidecarReport::LauncherGone { during } => {
                if during.is_some() {
                    self.set_phase(during);
                }
                let end = match ends.job {
                    Some(end) => end,
                    None => match tokio::time::timeout(self.patience.last_words, self.end_of(&Part::Job)).await {
                        Ok(end) => end,
                        // Nobody else knows how it died. It may have been the engine itself, on its way back.
                        Err(_) if self.was_away.load(Ordering::Relaxed) => self.end_of(&Part::Job).await,
                        Err(_) => return Ending::Killed { code: 137 },
                    },
                };
                verdict::killed(end, self.memory_bytes)
            }
        }
    }

    /// A reported ending, if the job's container ended so as well: its exit code is the launcher's, which ends as its job did.
    /// Where the engine can't tell, the report counts.
    async fn agreed(&self, ending: Ending, job: Option<Result<PartExit, EngineError>>) -> Ending {
        let Some(expected) = verdict::exit_code(&ending) else { return ending };
        let end = match job {
            Some(end) => end,
            None => match tokio::time::timeout(self.patience.agreement, self.end_of(&Part::Job)).await {
                Ok(end) => end,
                Err(_) => {
                    let reason = format!(
                        "it said that the job {ending}, but {} s later its container still runs",
                        self.patience.agreement.as_secs()
                    );
                    return verdict::sidecar_failed("reporting how the job ended", &reason);
                }
            },
        };
        verdict::agreed(ending, expected, end)
    }

    fn is_awaited(&self, name: &str) -> bool {
        self.pod.services.iter().any(|service| service.name == name && !service.readiness.is_empty())
    }

    /// A service has ended while the job goes on: that is said at once, and once more should the job fail.
    async fn service_died(&self, service: String, end: Result<PartExit, EngineError>) {
        // What has become of an engine, or of a container that somebody removed, is seen elsewhere.
        let Ok(exit) = end else { return };
        let why = if exit.out_of_memory { ", for want of memory" } else { "" };
        let mut words = format!("service {service:?} has ended with exit code {}{why}", exit.code);
        let last_lines = self.last_lines(&Part::Service(service.clone())).await;
        if !last_lines.is_empty() {
            words.push_str(&format!("; its last lines: {last_lines}"));
        }
        if let Some(tell) = &self.tell {
            let _ = tell.send(words.clone());
        }
        lock(&self.dead).insert(service, words);
    }

    /// The services that ended while the job ran, in words; none when all still run. A job may notice it before the engine says so.
    pub(super) async fn dead_services(&self) -> Option<String> {
        if !self.up.load(Ordering::Relaxed) {
            return None;
        }
        let known = |name: &String| lock(&self.dead).contains_key(name);
        let late =
            self.pod.services.iter().map(|service| &service.name).filter(|name| !known(name)).map(async |name| {
                let part = Part::Service(name.clone());
                if let Ok(end) = tokio::time::timeout(UNDER_WAY, self.engine.wait(&self.pod.key, &part)).await {
                    self.service_died(name.clone(), end).await;
                }
            });
        futures::future::join_all(late).await;
        let dead = lock(&self.dead);
        Some(dead.values().cloned().collect::<Vec<_>>().join("; ")).filter(|words| !words.is_empty())
    }

    async fn service_ended(&self, service: String, end: Result<PartExit, EngineError>) -> Ending {
        let reason = match end {
            Ok(exit) => format!("it ended with exit code {}", exit.code),
            Err(EngineError::Gone(reason)) => return Ending::EngineGone { reason },
            Err(error) => error.to_string(),
        };
        let last_lines = self.last_lines(&Part::Service(service.clone())).await;
        Ending::ServiceNotReady { service, reason, last_lines }
    }

    /// The last lines of a container's own output; empty when there are none. What is known already does not wait for them
    /// long.
    async fn last_lines(&self, part: &Part) -> String {
        let lines = self.engine.last_lines(&self.pod.key, part, 20);
        let lines = tokio::time::timeout(self.patience.last_words, lines).await;
        lines.map(Result::unwrap_or_default).unwrap_or_default().trim_end().to_owned()
    }

    /// Stops the job, and gives it the time to end in an orderly way: then its log is whole, and what is always saved is. A
    /// pod that is still being started has nothing to end; dropping `drive` stops that, and removal clears what there is.
    ///
    /// Returns whether the engine still lives: nothing was stopped by one that does not.
    pub(super) async fn stop(&self, drive: impl Future<Output = Ending>) -> bool {
        // A command may run, and say so, before the engine confirms the start of its container.
        let runs = self.live.state().job(&self.pod.job).is_some_and(|known| known.command_runs);
        if !runs && !self.up.load(Ordering::Relaxed) {
            return true;
        }
        let grace = if self.force.is_cancelled() { Duration::ZERO } else { GRACE };
        let ordered = async {
            let stop = self.engine.stop(&self.pod.key, grace);
            let _ = tokio::join!(stop, tokio::time::timeout(grace + SAVING, drive));
        };
        tokio::select! {
            biased;
            () = ordered => true,
            () = self.force.cancelled() => true,
            _ = lease::over(self.engine, self.patience.lease) => false,
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
