//! The driver: the loop of one build. It folds the journal, and has carried out what the core asks for.

mod begin;
mod let_go;
mod park;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use monkeyci_build::{
    BuildCommand, BuildStatus, CommandError, Effect, Ending, Event, EventBody, GraphFaults, Input, JobSummary,
    Requested, StopReason,
};
use monkeyci_storage::BuildJournal;
use monkeyci_storage::journal::Durable;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::handle::{Answer, BuildHandle, Record};
use super::said::Said;
use super::{BuildRequest, Cancel, Effects, Task};
use crate::clock::{SteadyTime, millis};
use crate::error::ControllerError;
pub(crate) use park::{Driven, Park};

/// How long the end of a build that is killed waits for a disk that takes nothing.
pub(super) const LAST_WRITE: Duration = Duration::from_secs(5);

/// The loop of one build. Nobody else appends to its journal.
///
/// It does not wait for the disk: an event is appended and taken in, and what follows inside of this host goes on. What leaves the
/// host, or lets something leave it, waits until the events that it rests on are on disk: answers to people and sidecars, the start
/// and the removal of a pod, and the word that the build has ended.
pub(crate) struct Driver {
    live: Arc<BuildHandle>,
    journal: BuildJournal,
    durable: Durable,
    /// How many events are on disk, as far as this loop has heard.
    written: u64,
    /// How long the end waits for the disk once somebody kills the build.
    last_write: Duration,
    /// Answers that wait until so many events are on disk, in this order.
    unanswered: VecDeque<(u64, Answer, Result<(), CommandError>)>,
    effects: Arc<dyn Effects>,
    trigger: String,
    timeout: Option<Duration>,
    tasks: JoinSet<()>,
    /// How to stop the jobs that run.
    stops: BTreeMap<String, watch::Sender<Option<StopReason>>>,
    /// Checkout and `define`: nothing of theirs has to be cleared away.
    preliminary: Vec<AbortHandle>,
    /// Which task works for which attempt of a job, for the case that a task panics.
    names: HashMap<tokio::task::Id, (String, u32)>,
    time: SteadyTime,
    report: Option<(BuildStatus, Vec<JobSummary>)>,
    /// The build's last event, until it is on disk.
    ended: Option<Event>,
    said: Said,
    park: Option<Park>,
}

/// How a driver begins.
pub(crate) enum Begin {
    /// With a build of which nothing has happened.
    New(Box<Requested>),
    /// With a build whose host has died; the handle has taken its events in.
    Again {
        /// Who asks.
        by: String,
        /// Whether jobs run again that ran then.
        again: bool,
        /// The jobs that are gone on with: those that have run on meanwhile, and actions.
        go_on: BTreeSet<String>,
        /// Whether it is to be ended, and nothing of it runs any more.
        cancel: bool,
        /// When the build began, in milliseconds since the Unix epoch.
        started_ms: u64,
        /// What has been said.
        said: Said,
    },
    /// With a build that was parked; the handle has taken its events in.
    Parked {
        /// Who has it ended as cancelled; nothing else is done then.
        cancel: Option<String>,
        /// When the build began, in milliseconds since the Unix epoch.
        started_ms: u64,
        /// What has been said.
        said: Said,
    },
}

/// What came of a build.
pub(crate) struct Outcome {
    pub(crate) status: BuildStatus,
    pub(crate) jobs: Vec<JobSummary>,
    pub(crate) failure: Option<String>,
    pub(crate) reports: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// From trigger to end, in milliseconds.
    pub(crate) duration_ms: u64,
}

impl Driver {
    /// A driver that has `effects` carry out what the core asks for.
    pub(crate) fn new(
        live: Arc<BuildHandle>,
        journal: BuildJournal,
        effects: Arc<dyn Effects>,
        request: &BuildRequest,
        time: SteadyTime,
    ) -> Self {
        Self {
            live,
            durable: journal.durable(),
            written: journal.last(),
            last_write: LAST_WRITE,
            journal,
            unanswered: VecDeque::new(),
            effects,
            trigger: request.trigger.clone(),
            timeout: request.timeout,
            tasks: JoinSet::new(),
            stops: BTreeMap::new(),
            preliminary: Vec::new(),
            names: HashMap::new(),
            time,
            report: None,
            ended: None,
            said: Said::default(),
            park: None,
        }
    }

    /// Drives the build to its end, and what it started too.
    pub(crate) async fn drive(
        mut self,
        inbox: mpsc::Receiver<Record>,
        begin: Begin,
        cancel: &Cancel,
    ) -> (Outcome, Result<Driven, ControllerError>) {
        let started_ms = match &begin {
            Begin::New(_) => self.time.now_ms(),
            Begin::Again { started_ms, .. } | Begin::Parked { started_ms, .. } => *started_ms,
        };
        let driven = self.run(inbox, begin, cancel, started_ms).await;
        match &driven {
            Err(ControllerError::LetGo { .. }) => self.let_go().await,
            // Nothing of it runs.
            Ok(Driven::Parked) => {}
            _ => self.end().await,
        }
        let duration_ms = self.time.now_ms().saturating_sub(started_ms);
        let Self { report, said: Said { failure, reports, warnings }, .. } = self;
        let (status, jobs) = report.unwrap_or((BuildStatus::Error, Vec::new()));
        (Outcome { status, jobs, failure, reports, warnings, duration_ms }, driven)
    }

    async fn run(
        &mut self,
        mut inbox: mpsc::Receiver<Record>,
        begin: Begin,
        cancel: &Cancel,
        started_ms: u64,
    ) -> Result<Driven, ControllerError> {
        self.begin(begin).await?;
        let time_limit = self.timeout.map(|timeout| started_ms.saturating_add(millis(timeout)));
        let mut cancelled = false;
        while self.report.is_none() {
            let (deadline, stopping) = {
                let state = self.live.state();
                (state.next_deadline_ms(), state.stopping())
            };
            let rests = self.rests();
            tokio::select! {
                // In this order, so that the same happens each time; what others ask for comes last, for there may be any number of it.
                biased;
                written = self.durable.beyond(self.written), if self.written < self.journal.last() => {
                    self.answer(written?);
                }
                () = cancel.let_go.cancelled() => return Err(self.write_before_letting_go().await),
                () = cancel.asked.cancelled(), if !cancelled => {
                    cancelled = true;
                    let asked = self.live.state().accept(BuildCommand::Cancel { by: self.trigger.clone() });
                    if let Ok(Some(body)) = asked {
                        self.record(body).await?;
                    }
                }
                () = until(&self.time, time_limit), if !stopping => {
                    let after_ms = self.timeout.map_or(0, millis);
                    self.record(EventBody::BuildTimedOut { after_ms }).await?;
                }
                () = until(&self.time, deadline) => {
                    let effects = self.live.state().step(Input::Tick { now_ms: self.time.now_ms() });
                    self.carry_out(effects).await?;
                }
                Some(ended) = self.tasks.join_next_with_id() => self.task_ended(ended).await?,
                Some(record) = inbox.recv() => self.answer_or_let_wait(record).await?,
                () = park::after(rests), if rests.is_some() => {
                    if self.is_parked(time_limit) {
                        return Ok(Driven::Parked);
                    }
                }
            }
        }
        self.write_to_the_end(cancel).await?;
        Ok(Driven::Over)
    }

    /// Does what somebody asks for, and answers; where the answer leaves the host, when that is on disk which it rests on.
    async fn answer_or_let_wait(&mut self, record: Record) -> Result<(), ControllerError> {
        let durable = record.durable;
        let (body, written) = record.resolve(&self.live);
        let answer = match body {
            Ok(Some(body)) => Ok(self.record(body).await?),
            // The state says so already.
            Ok(None) => Ok(()),
            Err(refused) => Err(refused),
        };
        // A refusal rests on what came before.
        let rests_on = self.journal.last();
        if durable && rests_on > self.written {
            self.durable.demand();
            self.unanswered.push_back((rests_on, written, answer));
        } else {
            // Whoever asked may have gone.
            let _ = written.send(answer);
        }
        Ok(())
    }

    /// Gives the answers that waited until this many events are on disk.
    fn answer(&mut self, written: u64) {
        self.written = written;
        while let Some((_, answer, said)) = self.unanswered.pop_front_if(|(number, ..)| *number <= written) {
            // Whoever asked may have gone.
            let _ = answer.send(said);
        }
    }

    /// Waits until all is on disk, and tells of the build's end. A full disk is waited for, unless somebody kills the build.
    async fn write_to_the_end(&mut self, cancel: &Cancel) -> Result<(), ControllerError> {
        let last = self.journal.last();
        let killed = async {
            cancel.force.cancelled().await;
            tokio::time::sleep(self.last_write).await;
        };
        tokio::select! {
            biased;
            written = self.durable.wait(last) => written?,
            () = killed => return Err(ControllerError::Unwritten { build: self.live.id.clone() }),
            () = cancel.let_go.cancelled() => return Err(self.write_before_letting_go().await),
        }
        self.answer(last);
        if let Some(ended) = self.ended.take() {
            self.live.observer.event(&self.live.id, &ended);
        }
        Ok(())
    }

    /// Appends an event, takes it into the state, and carries out what follows.
    async fn record(&mut self, body: EventBody) -> Result<(), ControllerError> {
        let mut bodies = VecDeque::from([body]);
        while let Some(body) = bodies.pop_front() {
            let effects = self.write(body)?;
            bodies.extend(self.start(effects));
        }
        Ok(())
    }

    /// Appends an event and takes it into the state; returns what follows.
    fn write(&mut self, body: EventBody) -> Result<Vec<Effect>, ControllerError> {
        let body = self.live.masking.event(body);
        let event = self.journal.append(self.time.now_ms(), body)?;
        Ok(self.written(event))
    }

    /// Appends events that are on disk together or not at all, and takes them into the state; returns what follows.
    fn write_all(&mut self, bodies: Vec<EventBody>) -> Result<Vec<Effect>, ControllerError> {
        let bodies: Vec<EventBody> = bodies.into_iter().map(|body| self.live.masking.event(body)).collect();
        let (time_ms, after) = (self.time.now_ms(), self.journal.last());
        self.journal.append_all(bodies.iter().map(|body| (time_ms, body.clone())))?;
        let events = (after + 1..).zip(bodies).map(|(seq, body)| Event { seq, time_ms, body });
        Ok(events.flat_map(|event| self.written(event)).collect())
    }

    /// The one place that every event of the build passes, when it is appended.
    fn written(&mut self, event: Event) -> Vec<Effect> {
        self.said.notice(&event.body);
        match &event.body {
            EventBody::BuildEnded { status, jobs } => self.report = Some((*status, jobs.clone())),
            EventBody::JobEnded { job, .. } | EventBody::JobRetried { job, .. } => drop(self.stops.remove(job)),
            _ => {}
        }
        let effects = self.live.take_in(&event);
        match event.body {
            // That the build is over is said when it is: nobody may hear of an end that a crash takes back.
            EventBody::BuildEnded { .. } => self.ended = Some(event),
            ref body if body.is_shown() => self.live.observer.event(&self.live.id, &event),
            _ => {}
        }
        effects
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), ControllerError> {
        for body in self.start(effects) {
            self.record(body).await?;
        }
        Ok(())
    }

    /// Starts what `effects` ask for; returns the events that are to be recorded.
    fn start(&mut self, effects: Vec<Effect>) -> Vec<EventBody> {
        let mut bodies = Vec::new();
        for effect in effects {
            let effects = self.effects.clone();
            match effect {
                Effect::Record(body) => {
                    if let EventBody::BuildEnded { .. } = body {
                        let unasked = self.live.unasked_params();
                        bodies.extend(unasked.into_iter().map(|(_, message)| EventBody::BuildWarned { message }));
                    }
                    bodies.push(body);
                }
                Effect::CheckOut => self.preliminary.push(self.tasks.spawn(effects.check_out())),
                Effect::Define => self.preliminary.push(self.tasks.spawn(effects.define())),
                Effect::Refine { job } => {
                    let attempt = self.live.state().turn(&job);
                    let task = self.tasks.spawn(effects.refine(job.clone(), attempt));
                    self.names.insert(task.id(), (job, attempt));
                    // It has no container, so nothing of it has to be cleared away.
                    self.preliminary.push(task);
                }
                Effect::Start { job, attempt } => {
                    self.spawn(job, attempt, |effects, job, attempt, stop| effects.run(job, attempt, stop));
                }
                Effect::Stop { job, reason } => {
                    match self.stops.get(&job) {
                        Some(sender) => drop(sender.send_replace(Some(reason))),
                        // Its start has not been carried out, or its attempt has just ended.
                        None => bodies.extend(self.end_of_unstarted(job, &reason)),
                    }
                }
            }
        }
        bodies
    }

    /// Has an attempt of a job worked for, in a task of its own.
    fn spawn(
        &mut self,
        job: String,
        attempt: u32,
        work: impl FnOnce(Arc<dyn Effects>, String, u32, watch::Receiver<Option<StopReason>>) -> Task,
    ) {
        let (stop, stopped) = watch::channel(None);
        self.stops.insert(job.clone(), stop);
        let task: AbortHandle = self.tasks.spawn(work(self.effects.clone(), job.clone(), attempt, stopped));
        self.names.insert(task.id(), (job, attempt));
    }

    /// The end of a job that is to be stopped and that no task runs; none when it is over.
    fn end_of_unstarted(&self, job: String, stop: &StopReason) -> Option<EventBody> {
        let state = self.live.state();
        let open = state.job(&job).is_some_and(|known| known.stopping.is_some() && !known.status.is_final());
        let spec = state.graph().get(&job).filter(|_| open)?;
        let ending = stop.ending(spec);
        Some(EventBody::JobEnded { attempt: state.turn(&job), job, ending })
    }

    /// A task has ended. It has recorded what there was to say, unless it panicked.
    async fn task_ended(
        &mut self,
        ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>,
    ) -> Result<(), ControllerError> {
        let (id, panic) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        let job = self.names.remove(&id);
        match (job, panic) {
            (_, None) => Ok(()),
            (Some((job, attempt)), Some(reason)) => {
                let ending = Ending::EngineFailed { reason: format!("the host's own fault: {reason}") };
                let heard = self.live.state().hear(EventBody::JobEnded { job, attempt, ending });
                match heard {
                    Ok(body) => self.record(body).await,
                    // The attempt had ended before.
                    Err(_) => Ok(()),
                }
            }
            (None, Some(reason)) => {
                let message = format!("the host's own fault: {reason}");
                self.record(EventBody::BuildFailed { script: false, message, faults: GraphFaults::default() }).await
            }
        }
    }
}

/// Sleeps until a moment; for ever if there is none.
async fn until(time: &SteadyTime, deadline_ms: Option<u64>) {
    match deadline_ms {
        Some(deadline) => tokio::time::sleep(Duration::from_millis(deadline.saturating_sub(time.now_ms()))).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
