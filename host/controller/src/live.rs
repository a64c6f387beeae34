//! A build that runs: what the build API's handlers and the jobs' tasks share with the build's loop.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use monkeyci_api::{BuildInfo, JobOutcome, SidecarPlan, SidecarReport};
use monkeyci_build::{BuildState, EventBody};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::checkout::SourceRequest;
use crate::observer::Observer;

/// A running build. Only its loop appends to the journal and steps the state; everybody else asks it to.
pub(crate) struct LiveBuild {
    pub(crate) id: String,
    /// Which repository it is, for caches: two of the same name share none.
    pub(crate) repository: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) observer: Arc<dyn Observer>,
    /// What is being built; known after the checkout.
    pub(crate) info: OnceLock<BuildInfo>,
    state: Mutex<BuildState>,
    records: mpsc::Sender<Record>,
    pods: Mutex<HashMap<String, PodWatch>>,
    artifacts: Mutex<HashSet<String>>,
    /// How many parts of each log there are.
    logs: Mutex<HashMap<Option<String>, u32>>,
    /// Logs that are being written.
    pub(crate) open_logs: TaskTracker,
    /// Bytes of events and reports that may still be written down.
    words_left: AtomicUsize,
}

/// The most bytes of events and reports that the scripts of one build may have written down: 16 MiB. They are kept for ever.
const WORDS: usize = 16 << 20;

/// A request to the build's loop: write this down.
pub(crate) struct Record {
    pub(crate) body: EventBody,
    /// Told when it is written and the state has taken it in.
    pub(crate) written: oneshot::Sender<()>,
}

/// What the build API has for a job's sidecar, and where it tells what the sidecar says.
pub(crate) struct PodWatch {
    pub(crate) plan: SidecarPlan,
    pub(crate) running: Option<oneshot::Sender<()>>,
    pub(crate) report: Option<oneshot::Sender<SidecarReport>>,
    /// The job is being stopped: what it leaves is half made, and is not saved.
    pub(crate) stopping: bool,
}

/// The build ended before the request was taken.
#[derive(Debug, thiserror::Error)]
#[error("the build is over")]
pub(crate) struct BuildOver;

impl LiveBuild {
    pub(crate) fn new(
        id: &str,
        source: &SourceRequest,
        params: BTreeMap<String, String>,
        observer: Arc<dyn Observer>,
        state: BuildState,
    ) -> (Arc<Self>, mpsc::Receiver<Record>) {
        let (records, inbox) = mpsc::channel(64);
        let live = Self {
            id: id.to_owned(),
            repository: source.identity(),
            params,
            observer,
            info: OnceLock::new(),
            state: Mutex::new(state),
            records,
            pods: Mutex::default(),
            artifacts: Mutex::default(),
            logs: Mutex::default(),
            open_logs: TaskTracker::new(),
            words_left: AtomicUsize::new(WORDS),
        };
        (Arc::new(live), inbox)
    }

    /// Has an event written to the journal; returns when that is done.
    pub(crate) async fn record(&self, body: EventBody) -> Result<(), BuildOver> {
        let (written, done) = oneshot::channel();
        self.records.send(Record { body, written }).await.map_err(|_| BuildOver)?;
        done.await.map_err(|_| BuildOver)
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
        Some(JobOutcome { status: job.status, ending: job.ending.clone(), duration_ms })
    }

    /// Starts to listen to the sidecar of a job.
    pub(crate) fn watch_pod(
        &self,
        job: &str,
        plan: SidecarPlan,
    ) -> (oneshot::Receiver<()>, oneshot::Receiver<SidecarReport>) {
        let ((running, is_running), (report, reported)) = (oneshot::channel(), oneshot::channel());
        let watch = PodWatch { plan, running: Some(running), report: Some(report), stopping: false };
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

    /// The number of a log's next part, from 0.
    pub(crate) fn next_log_part(&self, job: Option<&str>) -> u32 {
        let mut logs = lock(&self.logs);
        let next = logs.entry(job.map(str::to_owned)).or_default();
        std::mem::replace(next, next.saturating_add(1))
    }

    /// Takes an artifact's id; false if it was taken before.
    pub(crate) fn take_artifact(&self, id: &str) -> bool {
        lock(&self.artifacts).insert(id.to_owned())
    }

    /// Gives an artifact's id back: its upload failed.
    pub(crate) fn release_artifact(&self, id: &str) {
        lock(&self.artifacts).remove(id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks is one call, so a panic leaves them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
