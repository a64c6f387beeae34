//! A build that runs: what the build API's handlers and the jobs' tasks share with the build's loop.

mod places;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use monkeyci_api::{ArtifactInfo, BuildInfo, JobOutcome, SidecarPlan, SidecarReport};
use monkeyci_build::{
    BuildCommand, BuildState, CommandError, Effect, Event, EventBody, GraphFaults, Input, JobSpec, LateValue,
    ParamSpec, Results, SavedArtifact, Waits, nearest,
};
use monkeyci_storage::{Stored, names};
use object_store::path::Path as BlobName;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::inputs::Inputs;
use crate::lock::lock;
use crate::logs::Masking;
use crate::logs::followers::OpenLogs;
use crate::observer::Observer;
use crate::source::SourceRequest;

pub(crate) use self::places::Places;

/// A running build. Only its loop appends to the journal and steps the state; everybody else asks it to.
pub(crate) struct LiveBuild {
    pub(crate) id: String,
    /// Which repository it is, for caches: two of the same name share none.
    pub(crate) repository: String,
    pub(crate) inputs: Inputs,
    pub(crate) masking: Masking,
    pub(crate) observer: Arc<dyn Observer>,
    /// What is being built; known after the checkout.
    pub(crate) info: OnceLock<BuildInfo>,
    /// The code, and where actions write; known after the checkout.
    pub(crate) places: OnceLock<Places>,
    /// The parameters that the script declared; known after `define`.
    pub(crate) params: OnceLock<Vec<ParamSpec>>,
    /// The parameters that the script asked for; none once it asked which there are.
    asked: Mutex<Option<BTreeSet<String>>>,
    state: Mutex<BuildState>,
    records: mpsc::Sender<Record>,
    /// What has been recorded so far, for those who read events.
    events: Mutex<Vec<Arc<Event>>>,
    /// The place in the journal of the last event.
    last_seq: watch::Sender<u64>,
    pods: Mutex<HashMap<String, PodWatch>>,
    /// What jobs that run have said of their results so far.
    results: Mutex<HashMap<String, Results>>,
    /// How many test reports each job has handed in.
    test_reports: Mutex<HashMap<String, u32>>,
    /// Attempts of actions that have waited for jobs or events.
    waiters: Mutex<HashSet<(String, u32)>>,
    /// Which actions wait for which jobs at this moment, without a limit.
    waits: Mutex<Waits>,
    /// Held while jobs that an action submits are checked and added.
    pub(crate) submitting: tokio::sync::Mutex<()>,
    /// Set when the workspace archive is in the store: its digest. It is packed anew when a build goes on in another process.
    packed: tokio::sync::OnceCell<String>,
    packed_with_git: tokio::sync::OnceCell<String>,
    /// Artifacts that are being uploaded, each by an attempt.
    uploads: Mutex<HashSet<(String, u32)>>,
    /// Logs that are being written.
    pub(crate) logs: OpenLogs,
    /// Whoever writes them.
    pub(crate) writing: TaskTracker,
    /// Bytes of events and reports that may still be written down.
    words_left: AtomicUsize,
}

/// An artifact while it is being made. When this is dropped, it may be made again, unless it was saved.
pub(crate) struct Upload {
    build: Arc<LiveBuild>,
    id: String,
    job: String,
    attempt: u32,
}

impl Upload {
    /// Where it goes.
    pub(crate) fn name(&self) -> BlobName {
        names::artifact(&self.build.id, &self.id, self.attempt)
    }

    /// The artifact is complete in the store: has that written down. In a task of its own, so that it is done whole even when
    /// the connection breaks that brought the artifact.
    pub(crate) async fn saved(self, stored: Stored) -> Result<ArtifactInfo, Refused> {
        let recording = tokio::spawn(async move {
            let Stored { size, digest } = stored;
            let (id, job, attempt) = (self.id.clone(), self.job.clone(), self.attempt);
            let info = ArtifactInfo { id: id.clone(), job: job.clone(), size, digest: digest.clone() };
            let artifact = SavedArtifact { job, attempt, size, digest };
            self.build.command(BuildCommand::SaveArtifact { id, artifact }).await?;
            Ok(info)
        });
        recording.await.unwrap_or(Err(Refused::Over(BuildOver)))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        lock(&self.build.uploads).remove(&(self.id.clone(), self.attempt));
    }
}

/// The most bytes of events and reports that the scripts of one build may have written down: 16 MiB. They are kept for ever.
const WORDS: usize = 16 << 20;

/// What somebody asks the driver for.
pub(crate) struct Record {
    pub(crate) what: Asked,
    /// Told when it is written and the state has taken it in, or why it is refused.
    pub(crate) written: oneshot::Sender<Result<(), CommandError>>,
}

/// What is to be written down.
pub(crate) enum Asked {
    /// This.
    Fact(EventBody),
    /// What the state makes of this, if it accepts it.
    Command(BuildCommand),
}

impl Record {
    /// What to write down, as the state is now.
    pub(crate) fn resolve(
        self,
        build: &LiveBuild,
    ) -> (Result<EventBody, CommandError>, oneshot::Sender<Result<(), CommandError>>) {
        let body = match self.what {
            Asked::Fact(body) => Ok(body),
            Asked::Command(command) => build.state().accept(command),
        };
        (body, self.written)
    }
}

/// What the build API has for a job's sidecar, and where it tells what the sidecar says.
pub(crate) struct PodWatch {
    pub(crate) plan: SidecarPlan,
    pub(crate) running: Option<oneshot::Sender<()>>,
    pub(crate) report: Option<oneshot::Sender<SidecarReport>>,
    /// Set when the job is being stopped: what it leaves is half made, and is not saved unless it always is.
    pub(crate) stopping: CancellationToken,
}

/// Why a build did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Over(#[from] BuildOver),
}

/// The build ended before the request was taken.
#[derive(Debug, thiserror::Error)]
#[error("the build is over")]
pub(crate) struct BuildOver;

impl LiveBuild {
    pub(crate) fn new(
        id: &str,
        source: &SourceRequest,
        inputs: Inputs,
        masking: Masking,
        observer: Arc<dyn Observer>,
        state: BuildState,
    ) -> (Arc<Self>, mpsc::Receiver<Record>) {
        let (records, inbox) = mpsc::channel(64);
        let live = Self {
            id: id.to_owned(),
            repository: source.identity(),
            masking,
            inputs,
            observer,
            info: OnceLock::new(),
            places: OnceLock::new(),
            params: OnceLock::new(),
            asked: Mutex::new(Some(BTreeSet::new())),
            state: Mutex::new(state),
            records,
            events: Mutex::default(),
            last_seq: watch::Sender::new(0),
            results: Mutex::default(),
            test_reports: Mutex::default(),
            waiters: Mutex::default(),
            waits: Mutex::default(),
            submitting: tokio::sync::Mutex::default(),
            packed: tokio::sync::OnceCell::new(),
            packed_with_git: tokio::sync::OnceCell::new(),
            pods: Mutex::default(),
            uploads: Mutex::default(),
            logs: OpenLogs::default(),
            writing: TaskTracker::new(),
            words_left: AtomicUsize::new(WORDS),
        };
        (Arc::new(live), inbox)
    }

    /// Has an event written to the journal; returns when that is done. The build's loop masks secrets in it.
    pub(crate) async fn record(&self, body: EventBody) -> Result<(), BuildOver> {
        // A fact is never refused.
        self.ask(Asked::Fact(body)).await.map(drop)
    }

    /// Asks for something, and returns when what came of it is written; or the driver's refusal.
    pub(crate) async fn command(&self, command: BuildCommand) -> Result<(), Refused> {
        Ok(self.ask(Asked::Command(command)).await??)
    }

    async fn ask(&self, what: Asked) -> Result<Result<(), CommandError>, BuildOver> {
        let (written, done) = oneshot::channel();
        self.records.send(Record { what, written }).await.map_err(|_| BuildOver)?;
        done.await.map_err(|_| BuildOver)
    }

    /// The script has asked for a parameter, or for all with `None`.
    pub(crate) fn asked_for(&self, param: Option<&str>) {
        let mut asked = lock(&self.asked);
        match (param, &mut *asked) {
            (None, _) => *asked = None,
            (Some(param), Some(asked)) => drop(asked.insert(param.to_owned())),
            (Some(_), None) => {}
        }
    }

    /// What to say of parameters that were given, and that the script neither declared nor asked for: most are slips of the
    /// fingers, and the build has gone on without them.
    pub(crate) fn unasked_params(&self) -> Vec<String> {
        let Some(asked) = lock(&self.asked).clone() else { return Vec::new() };
        // A build that ended before could not have asked.
        let Some(declared) = self.params.get() else { return Vec::new() };
        let mut known: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
        known.extend(declared.iter().map(|param| param.name.as_str()));
        let state = self.state();
        for job in state.graph().jobs() {
            known.extend(job.container().into_iter().flat_map(|container| container.late_env.values()).filter_map(
                |value| match value {
                    LateValue::ParamFile(param) => Some(param.as_str()),
                    LateValue::Secret(_) | LateValue::SecretFile(_) | LateValue::Output { .. } => None,
                },
            ));
        }
        let unasked = self.inputs.params.keys().filter(|param| !known.contains(param.as_str()));
        let unasked = unasked.map(|param| {
            let wanted = known.iter().copied().filter(|known| !self.inputs.params.contains_key(*known));
            let hint = nearest(param, wanted).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            format!("the script neither declares nor asks for the parameter {param:?}{hint}")
        });
        unasked.collect()
    }

    /// What is wrong with what these jobs do with secrets: whose values may not stand in them, and which have to be there.
    pub(crate) fn secret_faults(&self, jobs: &[JobSpec]) -> GraphFaults {
        let mut faults = self.masking.values_in(jobs);
        faults.0.extend(self.inputs.missing_secrets(jobs).0);
        faults
    }

    /// Takes in an event that has been recorded, and tells those who read events of it.
    pub(super) fn take_in(&self, event: &Event) -> Vec<Effect> {
        let effects = self.state().step(Input::Event(event));
        self.publish(event);
        effects
    }

    /// The state of the build. Hold it for a moment only.
    pub(crate) fn state(&self) -> MutexGuard<'_, BuildState> {
        lock(&self.state)
    }

    /// How a job stands; none if the build has no such job.
    pub(crate) fn job_outcome(&self, job: &str) -> Option<JobOutcome> {
        let state = self.state();
        let job = state.job(job)?;
        let duration_ms = match (job.started_ms, job.ended_ms) {
            (Some(started), Some(ended)) => Some(ended.saturating_sub(started)),
            _ => None,
        };
        let results = job.results.as_deref().cloned().unwrap_or_default();
        Some(JobOutcome { status: job.status, ending: job.ending.clone(), duration_ms, results })
    }

    fn publish(&self, event: &Event) {
        lock(&self.events).push(Arc::new(event.clone()));
        self.last_seq.send_replace(event.seq);
    }

    /// Does as a driver does, without a journal: for tests of those who ask.
    #[cfg(test)]
    pub(crate) async fn take_in_all(self: Arc<Self>, mut inbox: mpsc::Receiver<Record>) {
        for seq in 1.. {
            let Some(record) = inbox.recv().await else { return };
            let (body, written) = record.resolve(&self);
            let _ = written.send(body.map(|body| drop(self.take_in(&Event { seq, time_ms: 0, body }))));
        }
    }

    /// The events after a place in the journal that `wanted` takes, at most `count`; and the place up to which was looked.
    pub(crate) fn events_after(
        &self,
        after: u64,
        count: usize,
        wanted: impl Fn(&Event) -> bool,
    ) -> (Vec<Arc<Event>>, u64) {
        let events = lock(&self.events);
        let mut found = Vec::new();
        // Places are numbered from 1 without gaps.
        for event in events.iter().skip(usize::try_from(after).unwrap_or(usize::MAX)) {
            if found.len() == count {
                return (found, event.seq - 1);
            }
            if wanted(event) {
                found.push(event.clone());
            }
        }
        let seen = events.last().map_or(0, |event| event.seq).max(after);
        (found, seen)
    }

    /// Tells the place in the journal of each event, as it is recorded.
    pub(crate) fn last_seq(&self) -> watch::Receiver<u64> {
        self.last_seq.subscribe()
    }

    /// Lets `with` add to what a job that runs says of its results.
    pub(crate) fn with_results<T>(&self, job: &str, with: impl FnOnce(&mut Results) -> T) -> T {
        with(lock(&self.results).entry(job.to_owned()).or_default())
    }

    /// The number of a job's next test report, from 0.
    pub(crate) fn next_test_report(&self, job: &str) -> u32 {
        let mut reports = lock(&self.test_reports);
        let next = reports.entry(job.to_owned()).or_default();
        std::mem::replace(next, next.saturating_add(1))
    }

    /// Whether this is the first time that an action waits for jobs or events. Each attempt gets a place of its own, and has to give
    /// that up by itself.
    pub(crate) fn starts_waiting(&self, job: &str) -> bool {
        let attempt = self.state().attempt(job);
        lock(&self.waiters).insert((job.to_owned(), attempt))
    }

    /// Which actions wait for which jobs. Taken before the state, where both are; hold it for a moment only.
    pub(crate) fn waits(&self) -> MutexGuard<'_, Waits> {
        lock(&self.waits)
    }

    /// Takes what a job has said of its results. Nothing is left for its next attempt.
    pub(crate) fn take_results(&self, job: &str) -> Results {
        lock(&self.results).remove(job).unwrap_or_default()
    }

    /// Starts to listen to the sidecar of a job.
    pub(crate) fn watch_pod(
        &self,
        job: &str,
        plan: SidecarPlan,
    ) -> (oneshot::Receiver<()>, oneshot::Receiver<SidecarReport>) {
        let ((running, is_running), (report, reported)) = (oneshot::channel(), oneshot::channel());
        let watch = PodWatch { plan, running: Some(running), report: Some(report), stopping: CancellationToken::new() };
        lock(&self.pods).insert(job.to_owned(), watch);
        (is_running, reported)
    }

    /// Lets `with` see what there is for a job's sidecar; none if the job has none now.
    pub(crate) fn pod<T>(&self, job: &str, with: impl FnOnce(&mut PodWatch) -> T) -> Option<T> {
        lock(&self.pods).get_mut(job).map(with)
    }

    /// Stops listening.
    pub(crate) fn unwatch_pod(&self, job: &str) {
        lock(&self.pods).remove(job);
    }

    /// Takes `bytes` off what the build's scripts may have written down; false if there is not so much left.
    pub(crate) fn take_words(&self, bytes: usize) -> bool {
        // An event without words takes room too.
        let take = |left: usize| left.checked_sub(bytes + 256);
        self.words_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Begins an artifact of the job's attempt; `None` if it has been saved, or is being uploaded.
    pub(crate) fn upload(self: &Arc<Self>, id: &str, job: &str) -> Option<Upload> {
        let attempt = {
            let state = self.state();
            if state.artifact(id).is_some() {
                return None;
            }
            state.attempt(job)
        };
        let begins = lock(&self.uploads).insert((id.to_owned(), attempt));
        begins.then(|| Upload { build: self.clone(), id: id.to_owned(), job: job.to_owned(), attempt })
    }

    /// The artifact, if it has been saved.
    pub(crate) fn artifact(&self, id: &str) -> Option<SavedArtifact> {
        self.state().artifact(id).cloned()
    }

    /// All artifacts that have been saved, sorted by id.
    pub(crate) fn artifacts(&self) -> Vec<ArtifactInfo> {
        let info = |(id, saved): (&str, &SavedArtifact)| ArtifactInfo {
            id: id.to_owned(),
            job: saved.job.clone(),
            size: saved.size,
            digest: saved.digest.clone(),
        };
        self.state().artifacts().map(info).collect()
    }
}

impl std::fmt::Debug for LiveBuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveBuild").field("id", &self.id).finish_non_exhaustive()
    }
}
