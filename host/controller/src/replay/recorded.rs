//! What the journal of a build has of its script: what each instance was told, and what came of it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use monkeyci_api::BuildInfo;
use monkeyci_build::{Ending, Event, EventBody, JobKind, JobSpec, ParamSpec, Requested, Results, Told, ToldCall};

use super::ReplayError;

/// A build as its journal tells it, to be replayed.
#[derive(Clone, Debug)]
pub struct RecordedBuild {
    pub(crate) info: BuildInfo,
    pub(crate) requested: Requested,
    pub(crate) told: Told,
    pub(crate) declared: Declared,
    pub(crate) runs: Vec<Run>,
    /// What digests are keyed with; `None` where the build has secrets, and its home is elsewhere.
    pub(crate) key: Option<String>,
    /// Large answers, by the digests that stand in their place.
    pub(crate) values: BTreeMap<String, Bytes>,
}

/// What `define` declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Declared {
    pub(crate) jobs: Vec<JobSpec>,
    pub(crate) removed: Vec<(String, String)>,
    pub(crate) params: Vec<ParamSpec>,
}

/// An instance that ran behind `define`: for an attempt of an action, or to complete a late job.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) job: String,
    pub(crate) attempt: u32,
    pub(crate) refines: bool,
    /// The job as it was then.
    pub(crate) spec: JobSpec,
    pub(crate) calls: Vec<ToldCall>,
    /// How it ended; `None` if its host died then.
    pub(crate) end: Option<End>,
    /// What it said of its result.
    pub(crate) said: Results,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Refined(Box<JobSpec>),
    Ended(Ending),
}

impl RecordedBuild {
    /// What the events of a build tell.
    ///
    /// # Errors
    /// When that is not enough: the build's script was not asked for its jobs, say, or an older host wrote the journal.
    pub fn of(events: &[Event]) -> Result<Self, ReplayError> {
        let mut reading = Reading::default();
        for event in events {
            reading.read(&event.body);
        }
        let build = reading.build.clone();
        let not_enough = |reason: &str| ReplayError::NotEnough { build: build.clone(), reason: reason.to_owned() };
        let older = "an older host wrote its journal, which does not say what its script was told";
        let requested = reading.requested.take().ok_or_else(|| not_enough(older))?;
        let Some(told) = reading.told.take() else {
            return Err(not_enough(match (&reading.failed, reading.declared.is_some()) {
                (_, true) => older,
                (true, false) => {
                    "it failed before its jobs were known, and nothing is recorded of a `define` that fails"
                }
                (false, false) => "its script has not declared its jobs",
            }));
        };
        if let Some(secret) = told.withheld {
            let reason = format!("its `define` was told the value of the secret {secret:?}, which no journal has");
            return Err(ReplayError::NotEnough { build, reason });
        }
        let declared = reading.declared.take().ok_or_else(|| not_enough("its script has not declared its jobs"))?;
        let source = reading.source.take().ok_or_else(|| not_enough("its code was never there"))?;
        let info = BuildInfo { id: build.clone(), trigger: reading.trigger, source };
        // Without secrets nothing is hidden by the key, and there is none.
        let key = (requested.secrets.is_empty() && requested.secret_params.is_empty()).then(String::new);
        Ok(Self { info, requested, told, declared, runs: reading.runs, key, values: BTreeMap::new() })
    }

    /// The build's id.
    pub fn build(&self) -> &str {
        &self.info.id
    }

    /// The SHA-256 of the script that the build had, in hexadecimal.
    pub fn script_digest(&self) -> &str {
        &self.requested.script
    }

    /// How many calls of the script are recorded.
    pub fn calls(&self) -> usize {
        self.told.calls.len() + self.runs.iter().map(|run| run.calls.len()).sum::<usize>()
    }
}

impl Run {
    /// Whether all its calls are recorded: it came to its end by itself, and the host of the time wrote all of them down.
    pub(crate) fn is_all_told(&self, requested: &Requested) -> bool {
        let came_to_its_end = match &self.end {
            None => false,
            Some(End::Refined(_)) => true,
            Some(End::Ended(ending)) => matches!(
                ending,
                Ending::Succeeded
                    | Ending::Warned { .. }
                    | Ending::NotNeeded { .. }
                    | Ending::ActionFailed { .. }
                    | Ending::ActionTrapped { .. }
                    | Ending::ArtifactMissing { .. }
                    | Ending::RefineFailed { .. }
            ),
        };
        requested.tells_ends && came_to_its_end
    }
}

/// The events of a build, as they are read.
#[derive(Default)]
struct Reading {
    build: String,
    trigger: String,
    requested: Option<Requested>,
    source: Option<monkeyci_build::Source>,
    told: Option<Told>,
    declared: Option<Declared>,
    failed: bool,
    /// The jobs as they are now.
    specs: HashMap<String, JobSpec>,
    runs: Vec<Run>,
    /// Which of the runs a job's is that has not ended.
    open: HashMap<String, usize>,
}

impl Reading {
    fn read(&mut self, body: &EventBody) {
        match body {
            EventBody::BuildTriggered { build, trigger } => {
                (self.build, self.trigger) = (build.clone(), trigger.clone());
            }
            EventBody::BuildRequested { request } => self.requested = Some((**request).clone()),
            EventBody::BuildCheckedOut { source } => self.source = Some(source.clone()),
            EventBody::BuildFailed { .. } => self.failed = true,
            EventBody::ScriptTold { told } => self.told = Some((**told).clone()),
            EventBody::ScriptDefined { jobs, removed, params } => {
                self.know(jobs);
                self.declared = Some(Declared { jobs: jobs.clone(), removed: removed.clone(), params: params.clone() });
            }
            EventBody::JobsSubmitted { jobs, .. } => self.know(jobs),
            EventBody::JobStarted { job, attempt } => {
                let is_action = self.specs.get(job).is_some_and(|spec| spec.kind == JobKind::Action);
                self.open.remove(job);
                if is_action {
                    self.begin(job, *attempt, false);
                }
            }
            EventBody::JobTold { job, attempt, calls } => {
                if let Some(run) = self.running(job, *attempt) {
                    run.calls.extend(calls.iter().cloned());
                }
            }
            EventBody::JobResults { job, results, .. } => {
                if let Some(run) = self.open.get(job).and_then(|at| self.runs.get_mut(*at)) {
                    add(&mut run.said, results);
                }
            }
            EventBody::JobRefined { job: refined, attempt } => {
                let end = End::Refined(refined.clone());
                if let Some(run) = self.running(&refined.id, *attempt) {
                    run.end = Some(end);
                }
                self.open.remove(&refined.id);
                self.know(std::slice::from_ref(refined));
            }
            EventBody::JobEnded { job, ending, .. } | EventBody::JobRetried { job, ending, .. } => {
                if let Some(run) = self.open.remove(job).and_then(|at| self.runs.get_mut(at)) {
                    run.end = Some(End::Ended(ending.clone()));
                }
            }
            _ => {}
        }
    }

    fn know(&mut self, jobs: &[JobSpec]) {
        self.specs.extend(jobs.iter().map(|spec| (spec.id.clone(), spec.clone())));
    }

    /// The run of a job that has not ended; one that completes it, if it has not started.
    fn running(&mut self, job: &str, attempt: u32) -> Option<&mut Run> {
        if !self.open.contains_key(job) {
            self.begin(job, attempt, true);
        }
        self.open.get(job).and_then(|at| self.runs.get_mut(*at))
    }

    fn begin(&mut self, job: &str, attempt: u32, refines: bool) {
        let Some(spec) = self.specs.get(job).cloned() else { return };
        self.open.insert(job.to_owned(), self.runs.len());
        let (calls, said) = (Vec::new(), Results::default());
        self.runs.push(Run { job: job.to_owned(), attempt, refines, spec, calls, end: None, said });
    }
}

/// What is said beside what was said before in the same attempt.
fn add(said: &mut Results, more: &Results) {
    let Results { message, warning, outputs, links, tests: _, coverage } = more;
    said.message = message.clone().or(said.message.take());
    said.warning = warning.clone().or(said.warning.take());
    said.outputs.extend(outputs.clone());
    said.links.extend(links.iter().cloned());
    said.coverage = coverage.or(said.coverage);
}
