//! A build that runs: what the build API's handlers and the jobs' tasks share with the build's loop.

mod dirs;
mod done;
mod logs;
mod planned;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use monkeyci_api::{ArtifactInfo, BuildInfo, JobOutcome, SidecarPlan, SidecarReport};
use monkeyci_build::{
    BuildCommand, BuildState, CommandError, Effect, Ending, Event, EventBody, GraphFaults, Input, JobSpec,
    SavedArtifact, Status, ToldCall,
};
use monkeyci_storage::{Watched, Watcher};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::now_ms;
use crate::disk::Disk;
use crate::inputs::Inputs;
use crate::lock::lock;
use crate::logs::Masking;
use crate::logs::followers::OpenLogs;
use crate::observer::Observer;
use crate::source::SourceRequest;

pub(crate) use self::dirs::BuildDirs;
pub(crate) use self::logs::LogTurn;
pub(crate) use self::planned::Planned;

/// The most bytes of jobs that the actions of a build may submit, as they are sent: as many as `define` may declare.
pub(crate) const SUBMITTED: usize = 64 << 20;

/// A running build. Only its loop appends to the journal and steps the state; everybody else asks it to.
pub(crate) struct BuildHandle {
    pub(crate) id: String,
    /// Which repository it is, for caches: two of the same name share none.
    pub(crate) repository: String,
    pub(crate) inputs: Inputs,
    pub(crate) masking: Masking,
    pub(crate) observer: Arc<dyn Observer>,
    /// What is being built; known after the checkout.
    pub(crate) info: OnceLock<BuildInfo>,
    /// The code, and where actions write; known after the checkout.
    pub(crate) dirs: OnceLock<BuildDirs>,
    state: Mutex<BuildState>,
    records: mpsc::Sender<Record>,
    /// What has been recorded so far, for those who read events.
    events: Mutex<Vec<Arc<Event>>>,
    /// The place in the journal of the last event.
    last_seq: Watched<u64>,
    pods: Mutex<HashMap<String, PodWatch>>,
    /// Set when the workspace archive is in the store: its digest. It is packed anew when a build goes on in another process.
    packed: tokio::sync::OnceCell<String>,
    packed_with_git: tokio::sync::OnceCell<String>,
    /// Whether somebody has said what the archive has not.
    left_out_is_said: AtomicBool,
    /// What `define` (none) and actions of a build that is gone on with have done in another process, and don't know: done again, it is
    /// done once.
    pub(super) done: Mutex<BTreeMap<Option<String>, VecDeque<EventBody>>>,
    /// Artifacts that are being uploaded, each by an attempt.
    pub(super) uploads: Mutex<HashSet<(String, u32)>>,
    /// Bytes of jobs that actions have submitted.
    submitted: Mutex<usize>,
    /// What it may take of the disk.
    pub(crate) disk: Disk,
    /// Logs that are being written.
    pub(crate) logs: OpenLogs,
    /// Whoever writes them.
    pub(crate) writing: TaskTracker,
    /// Set where nothing runs: the build is planned only.
    pub(crate) plan: OnceLock<Planned>,
}

/// What somebody asks the driver for.
pub(crate) struct Record {
    pub(crate) what: Asked,
    /// Whether the answer leaves the host, or lets something leave it: then it waits until what it rests on is on disk.
    pub(crate) durable: bool,
    /// Told when it is appended to the journal and the state has taken it in, or why it is refused.
    pub(crate) written: Answer,
}

/// Takes the driver's answer.
pub(crate) type Answer = oneshot::Sender<Result<(), CommandError>>;

/// What is to be written down.
pub(crate) enum Asked {
    /// This.
    Fact(EventBody),
    /// What the state makes of this, if it accepts it.
    Command(BuildCommand),
}

impl Record {
    /// What to write down, as the state is now; nothing where it says already what was asked for.
    pub(crate) fn resolve(self, build: &BuildHandle) -> (Result<Option<EventBody>, CommandError>, Answer) {
        let body = match self.what {
            Asked::Fact(body) => build.state().hear(body).map(Some),
            Asked::Command(command) => build.accept(command),
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
    pub(crate) log: LogTurn,
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

impl BuildHandle {
    pub(crate) fn new(
        id: &str,
        source: &SourceRequest,
        inputs: Inputs,
        masking: Masking,
        observer: Arc<dyn Observer>,
        state: BuildState,
    ) -> (Arc<Self>, mpsc::Receiver<Record>) {
        let (records, inbox) = mpsc::channel(64);
        let logs = OpenLogs::default();
        let live = Self {
            id: id.to_owned(),
            repository: source.identity(),
            masking,
            inputs,
            observer,
            info: OnceLock::new(),
            dirs: OnceLock::new(),
            state: Mutex::new(state),
            records,
            events: Mutex::default(),
            last_seq: Watched::new(0),
            packed: tokio::sync::OnceCell::new(),
            packed_with_git: tokio::sync::OnceCell::new(),
            left_out_is_said: AtomicBool::new(false),
            pods: Mutex::default(),
            done: Mutex::default(),
            uploads: Mutex::default(),
            submitted: Mutex::default(),
            disk: logs.disk.clone(),
            logs,
            writing: TaskTracker::new(),
            plan: OnceLock::new(),
        };
        (Arc::new(live), inbox)
    }

    /// Has an event appended to the journal; returns when the state has taken it in, which may be before it is on disk. The
    /// build's loop masks secrets in it, and refuses what is not of the attempt of a job that counts.
    pub(crate) async fn record(&self, body: EventBody) -> Result<(), Refused> {
        Ok(self.ask(Asked::Fact(body), false).await??)
    }

    /// The same, for what something outside of this host follows from: returns when the event is on disk.
    pub(crate) async fn record_durably(&self, body: EventBody) -> Result<(), Refused> {
        Ok(self.ask(Asked::Fact(body), true).await??)
    }

    /// Asks for something, and returns what came of it. The answers to people and sidecars come when that is on disk.
    pub(crate) async fn command(&self, command: BuildCommand) -> Result<(), Refused> {
        if let Some((job, attempt)) = command.comes_after_a_command()
            && self.pod(job, |_| ()).is_some()
            && !self.state().job(job).is_some_and(|known| known.command_runs)
        {
            // The host that was told so may have died with it. Where it is refused, so is this.
            let _ = self.command_runs(job, attempt).await;
        }
        let durable = match &command {
            BuildCommand::Cancel { .. }
            | BuildCommand::Decide { .. }
            | BuildCommand::SaveArtifact { .. }
            | BuildCommand::PublishFromOutside { .. }
            | BuildCommand::Hold { .. }
            | BuildCommand::Continue { .. }
            | BuildCommand::Say { .. }
            | BuildCommand::ReportEnd { .. } => true,
            // Scripts, which run in this process and know no more than it does; and a command whose pod was started durably.
            BuildCommand::Publish { .. }
            | BuildCommand::Report { .. }
            | BuildCommand::AskForParam { .. }
            | BuildCommand::Submit { .. }
            | BuildCommand::Tell { .. }
            | BuildCommand::Wait { .. }
            | BuildCommand::CommandRuns { .. } => false,
        };
        Ok(self.ask(Asked::Command(command), durable).await??)
    }

    /// Has written down that the command of a container job runs, and tells its task.
    pub(crate) async fn command_runs(&self, job: &str, attempt: u32) -> Result<(), Refused> {
        let runs = BuildCommand::CommandRuns { job: job.to_owned(), attempt };
        self.ask(Asked::Command(runs), false).await??;
        // The job's task may be gone already.
        self.pod(job, |pod| pod.running.take().map(|running| running.send(())));
        Ok(())
    }

    /// Has written down what an attempt of an action was told; where somebody sees what follows from that, all so far has to be on disk.
    pub(crate) async fn tell(
        &self,
        job: &str,
        attempt: u32,
        calls: Vec<ToldCall>,
        durable: bool,
    ) -> Result<(), Refused> {
        let tell = BuildCommand::Tell { job: job.to_owned(), attempt, calls };
        Ok(self.ask(Asked::Command(tell), durable).await??)
    }

    async fn ask(&self, what: Asked, durable: bool) -> Result<Result<(), CommandError>, BuildOver> {
        let (written, done) = oneshot::channel();
        self.records.send(Record { what, durable, written }).await.map_err(|_| BuildOver)?;
        done.await.map_err(|_| BuildOver)
    }

    /// What to say of each parameter that was given, and that the script does not use.
    pub(crate) fn unasked_params(&self) -> Vec<(String, String)> {
        self.state().unasked_params(&self.inputs.params)
    }

    /// What to record for a command. What the state can't know, since no secret reaches it, is looked at here.
    fn accept(&self, command: BuildCommand) -> Result<Option<EventBody>, CommandError> {
        if self.was_done(&command) {
            return Ok(None);
        }
        let accepted = self.state().accept(command)?;
        if let Some(EventBody::JobsSubmitted { jobs, .. }) = &accepted {
            let faults = self.secret_faults(jobs);
            if !faults.is_empty() {
                return Err(CommandError::Faults(faults));
            }
        }
        Ok(accepted)
    }

    /// Whether so many bytes more of jobs may be submitted; if so, they count.
    pub(crate) fn may_submit(&self, bytes: usize) -> bool {
        let mut submitted = lock(&self.submitted);
        let may = submitted.saturating_add(bytes) <= SUBMITTED;
        if may {
            *submitted += bytes;
        }
        may
    }

    /// Takes in what was recorded in another process.
    pub(crate) fn take_back(&self, events: &[Event], done: BTreeMap<Option<String>, VecDeque<EventBody>>) {
        for event in events {
            // Those that are to be carried out again are outstanding in the end.
            drop(self.take_in(event));
        }
        for event in events {
            if let EventBody::JobsSubmitted { jobs, .. } = &event.body {
                *lock(&self.submitted) += serde_json::to_vec(jobs).map_or(0, |json| json.len());
            }
        }
        self.disk.count(self.state().artifacts().map(|(_, saved)| saved.size).sum());
        let state = self.state();
        // Sidecars know what they have done.
        let of_script = |job: &str| state.graph().get(job).is_none_or(|spec| spec.container().is_none());
        lock(&self.done).extend(done.into_iter().filter(|(job, _)| job.as_deref().is_none_or(of_script)));
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
    pub(crate) fn job_outcome(&self, job_id: &str) -> Option<JobOutcome> {
        let state = self.state();
        let job = state.job(job_id)?;
        let duration_ms = match (job.started_ms, job.ended_ms, &job.ending) {
            (_, _, Some(Ending::Reused { duration_ms, .. })) => *duration_ms,
            (Some(started), Some(ended), _) => Some(ended.saturating_sub(started)),
            _ => None,
        };
        let results = job.results.as_deref().cloned().unwrap_or_default();
        // A script is told of a job that is reused what it was told when that ran.
        let ending = job.ending.as_ref().map(|ending| ending.itself().clone());
        // Whether a person starts it or approves it is one to a script.
        let status = if ending == Some(Ending::Manual) { Status::Blocked } else { job.status };
        let not_known = self.plan.get().and_then(|plan| plan.not_known(job_id));
        Some(JobOutcome { status, ending, duration_ms, results, not_known })
    }

    fn publish(&self, event: &Event) {
        // Nobody asks for what actions were told, which may be much.
        let event = match &event.body {
            EventBody::JobTold { job, attempt, calls: _ } => {
                let body = EventBody::JobTold { job: job.clone(), attempt: *attempt, calls: Vec::new() };
                Event { body, ..*event }
            }
            _ => event.clone(),
        };
        let seq = event.seq;
        lock(&self.events).push(Arc::new(event));
        self.last_seq.set(seq);
    }

    /// Does as a driver does, but writes nothing down and carries nothing out: for who only wants to know what a script says.
    pub(crate) async fn take_in_all(self: Arc<Self>, mut inbox: mpsc::Receiver<Record>) {
        let mut seq = 0;
        while let Some(record) = inbox.recv().await {
            let (body, written) = record.resolve(&self);
            let answer = body.map(|body| {
                if let Some(body) = body {
                    seq += 1;
                    let body = self.masking.event(body);
                    drop(self.take_in(&Event { seq, time_ms: now_ms(), body }));
                }
            });
            // Whoever asked may have gone.
            let _ = written.send(answer);
        }
    }

    /// The events after a place in the journal that `wanted` takes, and the place up to which was looked: at most so many, and
    /// none after those that have so many bytes together.
    pub(crate) fn events_after(
        &self,
        after: u64,
        (count, bytes): (usize, usize),
        wanted: impl Fn(&Event) -> bool,
    ) -> (Vec<Arc<Event>>, u64) {
        let events = lock(&self.events);
        let (mut found, mut size) = (Vec::new(), 0_usize);
        // Events are numbered from 1 without gaps.
        for event in events.iter().skip(usize::try_from(after).unwrap_or(usize::MAX)) {
            if found.len() == count || size >= bytes {
                return (found, event.seq - 1);
            }
            if wanted(event) {
                size = size.saturating_add(serde_json::to_vec(&event.body).map_or(0, |json| json.len()));
                found.push(event.clone());
            }
        }
        let seen = events.last().map_or(0, |event| event.seq).max(after);
        (found, seen)
    }

    /// Whether something of the kind has been recorded.
    pub(crate) fn has_happened(&self, what: impl Fn(&EventBody) -> bool) -> bool {
        lock(&self.events).iter().any(|event| what(&event.body))
    }

    /// Tells the place in the journal of each event, as it is recorded.
    pub(crate) fn last_seq(&self) -> Watcher<u64> {
        self.last_seq.watch()
    }

    /// Starts to listen to the sidecar of a job.
    pub(crate) fn watch_pod(
        &self,
        job: &str,
        plan: SidecarPlan,
    ) -> (oneshot::Receiver<()>, oneshot::Receiver<SidecarReport>) {
        let ((running, is_running), (report, reported)) = (oneshot::channel(), oneshot::channel());
        let watch = PodWatch {
            plan,
            running: Some(running),
            report: Some(report),
            stopping: CancellationToken::new(),
            log: LogTurn::default(),
        };
        lock(&self.pods).insert(job.to_owned(), watch);
        // Another process may have heard it.
        let known = self.state().job(job).and_then(|known| known.reported.as_deref().cloned());
        if let Some(report) = known {
            self.pod(job, |pod| pod.report.take().map(|reported| reported.send(report)));
        }
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

impl std::fmt::Debug for BuildHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildHandle").field("id", &self.id).finish_non_exhaustive()
    }
}
