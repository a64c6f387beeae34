//! One build, with all that is known of it: what `show` prints, under the names that programs read.

use std::collections::{BTreeMap, HashMap};

use monkeyci_build::{
    Again, BuildState, Ending, Event, EventBody, GraphFaults, Held, JobKind, JobSpec, JobState, RequestedSource,
    Results, Source, Status,
};
use serde::Serialize;

use super::list::Standing;

/// A build, with all that its journal tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuildRecord {
    /// The build's id.
    pub build: String,
    /// Where it is.
    pub status: Standing,
    /// What started it.
    pub trigger: String,
    /// When it began, in milliseconds since the Unix epoch; `None` if nothing is written down yet.
    pub began_ms: Option<u64>,
    /// When something of it was last written down: its end, if it is over.
    pub last_ms: Option<u64>,
    /// Where the code was to come from.
    pub from: Option<RequestedSource>,
    /// The build of which it is one more run.
    pub rerun_of: Option<String>,
    /// Which of the jobs of that run again.
    pub rerun_what: Option<Again>,
    /// The parameters that were given, and that no secret stands in.
    pub params: BTreeMap<String, String>,
    /// The names of the secrets that were given.
    pub secrets: Vec<String>,
    /// The code, once it is there.
    pub source: Option<Source>,
    /// Who went on with it, when its host had died.
    pub resumed_by: Vec<String>,
    /// Who asked it to stop.
    pub cancelled_by: Vec<String>,
    /// The jobs, in the order of declaration.
    pub jobs: Vec<JobRecord>,
    /// The jobs that a condition of the script removed.
    pub removed: Vec<RemovedJob>,
    /// What scripts added to the report.
    pub reports: Vec<String>,
    /// What is to be looked at.
    pub warnings: Vec<String>,
    /// Why it failed before any job ran.
    pub failure: Option<String>,
    /// The faults of the graph, if those are the reason.
    pub faults: GraphFaults,
}

/// A job that a condition removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedJob {
    /// The job.
    pub job: String,
    /// The reason.
    pub reason: String,
}

/// A job of a build.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobRecord {
    /// The job's id.
    pub job: String,
    /// `action` or `container`.
    pub kind: &'static str,
    /// The image of a container job.
    pub image: Option<String>,
    /// The jobs that it needs.
    pub needs: Vec<String>,
    /// The services beside it.
    pub services: Vec<String>,
    /// Whose action submitted it; `None` for one that was declared.
    pub submitted_by: Option<String>,
    /// Where it is.
    pub status: Status,
    /// The build that its results are reused from; `None` for a job that ran, or runs, in this one.
    pub reused_from: Option<String>,
    /// Why it ended so, in words; `None` if it has not ended.
    pub why: Option<String>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// What a person is to approve, while it waits for that.
    pub waits_for: Option<String>,
    /// Where it stands, while it is held for a person to look into it.
    pub held: Option<Held>,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// Its attempts, the first one first; none for a job that never started.
    pub attempts: Vec<AttemptRecord>,
    /// What it said of its result.
    pub results: Results,
    /// The artifacts that it saved.
    pub artifacts: Vec<ArtifactRecord>,
}

/// An attempt of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptRecord {
    /// Which, from 1.
    pub attempt: u32,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// When the job's own command began; `None` for actions, and if it never did.
    pub command_ms: Option<u64>,
    /// When it ended; `None` if it has not.
    pub ended_ms: Option<u64>,
    /// How, in words.
    pub why: Option<String>,
    /// How.
    pub ending: Option<Ending>,
}

/// An artifact of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArtifactRecord {
    /// The artifact's id.
    pub id: String,
    /// The job that saved it.
    pub job: String,
    /// The attempt that did.
    pub attempt: u32,
    /// Its size in the store, in bytes.
    pub size: u64,
    /// The SHA-256 of the stored bytes, in hexadecimal.
    pub digest: String,
}

impl BuildRecord {
    /// What these events tell of a build, that a process drives or not.
    pub fn of(build: &str, events: &[Event], live: bool) -> Self {
        let state = BuildState::of(events);
        let mut record = Self {
            build: build.to_owned(),
            status: Standing::of(state.status(), live),
            trigger: String::new(),
            began_ms: events.first().map(|event| event.time_ms),
            last_ms: events.last().map(|event| event.time_ms),
            from: None,
            rerun_of: None,
            rerun_what: None,
            params: BTreeMap::new(),
            secrets: Vec::new(),
            source: None,
            resumed_by: Vec::new(),
            cancelled_by: Vec::new(),
            jobs: state.jobs().map(|(spec, job)| JobRecord::of(spec, job, &state)).collect(),
            removed: Vec::new(),
            reports: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            faults: GraphFaults::default(),
        };
        let places: HashMap<&str, usize> =
            state.graph().jobs().iter().enumerate().map(|(place, job)| (job.id.as_str(), place)).collect();
        for event in events {
            record.take_in(event, &places);
        }
        record
    }

    /// How long it took, or has been going on as far as is written down, in milliseconds.
    pub fn took_ms(&self) -> u64 {
        self.last_ms.zip(self.began_ms).map_or(0, |(last, began)| last.saturating_sub(began))
    }

    /// Whether a process drives it, and it is not over.
    pub fn is_running(&self) -> bool {
        self.status == Standing::Running
    }

    /// All artifacts, in the order of their jobs.
    pub fn artifacts(&self) -> impl Iterator<Item = &ArtifactRecord> {
        self.jobs.iter().flat_map(|job| &job.artifacts)
    }

    /// The job of this id.
    pub fn job(&self, id: &str) -> Option<&JobRecord> {
        self.jobs.iter().find(|job| job.job == id)
    }

    fn take_in(&mut self, event: &Event, places: &HashMap<&str, usize>) {
        match &event.body {
            EventBody::BuildTriggered { trigger, .. } => self.trigger.clone_from(trigger),
            EventBody::BuildRequested { request } => {
                (self.from, self.params) = (Some(request.source.clone()), request.params.clone());
                self.secrets = request.secrets.keys().cloned().collect();
            }
            EventBody::BuildRerun { of, what, .. } => {
                (self.rerun_of, self.rerun_what) = (Some(of.clone()), Some(what.clone()));
            }
            EventBody::BuildRefused { message } => self.failure = Some(message.clone()),
            EventBody::BuildResumed { by } => self.resumed_by.push(by.clone()),
            EventBody::CancelRequested { by } => self.cancelled_by.push(by.clone()),
            EventBody::BuildCheckedOut { source } => self.source = Some(source.clone()),
            EventBody::BuildWarned { message } => self.warnings.push(message.clone()),
            EventBody::ScriptReport { message, .. } => self.reports.push(message.clone()),
            EventBody::BuildFailed { message, faults, .. } => {
                (self.failure, self.faults) = (Some(message.clone()), faults.clone());
            }
            EventBody::ScriptDefined { removed, .. } => {
                let removed =
                    removed.iter().map(|(job, reason)| RemovedJob { job: job.clone(), reason: reason.clone() });
                self.removed.extend(removed);
            }
            body => {
                let place = body.job().and_then(|job| places.get(job));
                if let Some(job) = place.and_then(|place| self.jobs.get_mut(*place)) {
                    job.take_in(event);
                }
            }
        }
        if let EventBody::JobsSelected { selection } = &event.body {
            for reused in &selection.reused {
                let place = places.get(reused.job.as_str());
                if let (Some(job), Some(submitted)) =
                    (place.and_then(|place| self.jobs.get_mut(*place)), &reused.submitted)
                {
                    job.submitted_by = Some(submitted.by.clone());
                }
            }
        }
        if let EventBody::JobsSubmitted { by, jobs, .. } = &event.body {
            for place in jobs.iter().filter_map(|job| places.get(job.id.as_str())) {
                if let Some(job) = self.jobs.get_mut(*place) {
                    job.submitted_by = Some(by.clone());
                }
            }
        }
    }
}

impl JobRecord {
    fn of(spec: &JobSpec, job: &JobState, state: &BuildState) -> Self {
        let (kind, image, services) = match &spec.kind {
            JobKind::Action => ("action", None, Vec::new()),
            JobKind::Container(container) => {
                let services = container.services.iter().map(|service| service.name.clone()).collect();
                ("container", Some(container.image.clone()), services)
            }
        };
        let artifacts = state.artifacts().filter(|(_, saved)| saved.job == spec.id);
        let artifacts = artifacts.map(|(id, saved)| ArtifactRecord {
            id: id.to_owned(),
            job: saved.job.clone(),
            attempt: saved.attempt,
            size: saved.size,
            digest: saved.digest.clone(),
        });
        Self {
            job: spec.id.clone(),
            kind,
            image,
            needs: spec.needs.clone(),
            services,
            submitted_by: None,
            status: job.status,
            reused_from: job.ending.as_ref().and_then(Ending::reused_from).map(str::to_owned),
            why: job.ending.as_ref().map(Ending::to_string),
            ending: job.ending.clone(),
            waits_for: None,
            held: job.held.as_deref().cloned(),
            approved_by: None,
            attempts: Vec::new(),
            results: job.results.as_deref().cloned().unwrap_or_default(),
            artifacts: artifacts.collect(),
        }
    }

    fn take_in(&mut self, event: &Event) {
        match &event.body {
            EventBody::JobStarted { attempt, .. } => {
                // An older journal names no attempt.
                let next = self.attempts.len() as u32 + 1;
                let attempt = if *attempt == 0 { next } else { *attempt };
                self.attempts.push(AttemptRecord {
                    attempt,
                    started_ms: event.time_ms,
                    command_ms: None,
                    ended_ms: None,
                    why: None,
                    ending: None,
                });
            }
            EventBody::JobRunning { .. } => {
                if let Some(attempt) = self.attempts.last_mut() {
                    attempt.command_ms.get_or_insert(event.time_ms);
                }
            }
            EventBody::JobRetried { ending, .. } | EventBody::JobEnded { ending, .. } => {
                self.waits_for = None;
                if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.ended_ms.is_none()) {
                    attempt.ended_ms = Some(event.time_ms);
                    (attempt.why, attempt.ending) = (Some(ending.to_string()), Some(ending.clone()));
                }
            }
            EventBody::JobBlocked { message, .. } => self.waits_for = Some(message.clone()),
            EventBody::JobApproved { by, .. } => (self.waits_for, self.approved_by) = (None, Some(by.clone())),
            _ => {}
        }
    }

    /// How long its last attempt took, in milliseconds; `None` if none has ended.
    pub fn took_ms(&self) -> Option<u64> {
        let last = self.attempts.last()?;
        last.ended_ms.map(|ended| ended.saturating_sub(last.started_ms))
    }

    /// Whether it ended badly, by its own doing or the host's.
    pub fn has_failed(&self) -> bool {
        self.status.is_failed()
    }
}
