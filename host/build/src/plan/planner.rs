//! The build that nobody runs.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{Assumed, AssumedJob, Fate, Known, Permissions, Plan, PlannedJob, branches};
use crate::{
    BuildState, Checked, Effect, Ending, Event, EventBody, Input, JobSpec, ParamSpec, Selection, Source, StopReason,
};

/// Makes the plan of a build: [`turn`](Self::turn) says what it has to know, [`answer`](Self::answer) tells it, until there is a plan.
///
/// ```
/// use monkeyci_build::{Assumed, Fate, JobDraft, Planner, Turn, check};
///
/// let test = JobDraft { argv: Some(vec!["true".into()]), image: Some("rust:1".into()), ..JobDraft::container("test") };
/// let report = JobDraft { needs: vec!["test".into()], ..JobDraft::action("report") };
/// let mut planner = Planner::new(check(&[test, report], &[]).unwrap(), None, Assumed::default());
/// assert_eq!(planner.turn(), Turn::Done, "nothing is assumed, so no action is asked");
/// let plan = planner.into_plan();
/// assert_eq!(plan.job("report").unwrap().fate, Fate::Runs { wave: 2 });
/// assert_eq!(plan.job("report").unwrap().branches[0].to_string(), "test success → runs, failure → skipped");
/// ```
#[derive(Debug)]
pub struct Planner {
    state: BuildState,
    assumed: Arc<Assumed>,
    params: Vec<ParamSpec>,
    removed: Vec<(String, String)>,
    /// The jobs that do not run whatever comes of others: nobody asked for them, or the script has said so.
    decided: BTreeSet<String>,
    /// What has happened, and has not been [taken](Self::take_events).
    happened: Vec<Event>,
    seq: u64,
    wave: u32,
    todo: VecDeque<Effect>,
    /// What the caller is asked.
    asked: Option<Turn>,
    /// The jobs of this wave that run, in their order.
    running: Vec<String>,
    /// In which wave each job has started.
    started: HashMap<String, u32>,
    /// What actions have said that were asked.
    acted: HashMap<String, (AssumedJob, Vec<JobSpec>)>,
    open: HashMap<String, String>,
}

/// What a planner has to know next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// How the script completes this late job.
    Refine(String),
    /// What the action of this job comes to, of whose result nothing is known.
    Act(String),
    /// Nothing: the plan is made.
    Done,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The job as the script has completed it.
    Completed(Box<JobSpec>),
    /// The job is over before it starts: the script skips it, or can't complete it.
    Over(Ending),
    /// The action has come to this, and has submitted these jobs.
    Acted(Box<AssumedJob>, Vec<JobSpec>),
    /// It can't be known before, for this reason.
    Open(String),
}

impl Planner {
    /// Begins the plan of these jobs.
    pub fn new(checked: Checked, selection: Option<Selection>, assumed: impl Into<Arc<Assumed>>) -> Self {
        let Checked { graph, removed, params } = checked;
        let left_out = selection.iter().flat_map(|selection| &selection.left_out).map(|(job, _)| job.clone());
        let mut planner = Self {
            state: BuildState::new(NonZeroUsize::MAX),
            assumed: assumed.into(),
            params: params.clone(),
            removed: removed.clone(),
            decided: left_out.collect(),
            happened: Vec::new(),
            seq: 0,
            wave: 1,
            todo: VecDeque::new(),
            asked: None,
            running: Vec::new(),
            started: HashMap::new(),
            acted: HashMap::new(),
            open: HashMap::new(),
        };
        planner.append(EventBody::BuildTriggered { build: String::new(), trigger: String::new() });
        planner.append(EventBody::BuildCheckedOut { source: Source::default() });
        if let Some(selection) = selection {
            planner.append(EventBody::JobsSelected { selection: Box::new(selection) });
        }
        // What was to be done until here is done.
        planner.todo.clear();
        planner.append(EventBody::ScriptDefined { jobs: graph.into_jobs(), removed, params });
        planner
    }

    /// The build as it is by now, for whoever asks the script.
    pub fn state(&self) -> &BuildState {
        &self.state
    }

    /// What has happened since this was asked the last time: whoever folds it over the state of then has the [state](Self::state) of now.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.happened)
    }

    /// How much is known of the result of a job. Of one that is not over, that is so: it has none.
    pub fn known(&self, job: &str) -> Known {
        let is_over = self.state.job(job).is_some_and(|state| state.status.is_final());
        match (is_over, self.started.contains_key(job)) {
            (false, _) => Known::All,
            (true, _) if self.acted.contains_key(job) => Known::All,
            (true, true) if self.open.contains_key(job) => Known::Nothing,
            (true, true) => self.assumed.known(job),
            // Whether it runs hangs on results of which nothing is known.
            (true, false) if !self.assumed.is_something() && !self.is_decided(job) => Known::Nothing,
            (true, false) => Known::All,
        }
    }

    /// Goes on until something has to be known. Asked again, it says the same, until that is answered.
    pub fn turn(&mut self) -> Turn {
        loop {
            if let Some(asked) = &self.asked {
                return asked.clone();
            }
            match self.todo.pop_front() {
                Some(effect) => self.carry_out(effect),
                None if self.running.is_empty() => return Turn::Done,
                None => self.end_wave(),
            }
        }
    }

    /// Answers what [`turn`](Self::turn) has asked. An answer to something else counts as one that is not known.
    pub fn answer(&mut self, answer: Answer) {
        match (self.asked.take(), answer) {
            (Some(Turn::Refine(job)), Answer::Completed(spec)) if spec.id == job => {
                let attempt = self.state.turn(&job);
                self.append(EventBody::JobRefined { job: spec, attempt });
            }
            (Some(Turn::Refine(job)), Answer::Over(ending)) => {
                self.append(self.state.conclude(&job, ending));
                self.decided.insert(job);
            }
            (Some(Turn::Refine(job)), answer) => {
                self.open.insert(job.clone(), why(answer));
                // So that what comes after it is in the plan, it goes on as it is declared.
                let declared = self.state.graph().get(&job).cloned();
                let attempt = self.state.turn(&job);
                if let Some(declared) = declared {
                    self.append(EventBody::JobRefined { job: Box::new(declared), attempt });
                }
            }
            (Some(Turn::Act(job)), Answer::Acted(result, submitted)) => {
                self.acted.insert(job, (*result, submitted));
            }
            (Some(Turn::Act(job)), answer) => _ = self.open.insert(job, why(answer)),
            (Some(Turn::Done) | None, _) => {}
        }
    }

    /// The plan, as far as it has come.
    pub fn into_plan(mut self) -> Plan {
        let (params, removed) = (std::mem::take(&mut self.params), std::mem::take(&mut self.removed));
        let specs = self.state.graph().jobs();
        let jobs = specs.iter().map(|spec| PlannedJob {
            fate: self.fate(spec),
            branches: branches::of(&self.state, spec, |job| self.started.contains_key(job), self.is_decided(&spec.id)),
            open: self.open.get(&spec.id).cloned(),
            submitted_by: self.state.submitted_by(&spec.id).map(str::to_owned),
            spec: spec.clone(),
        });
        let permissions = Permissions::of_jobs(specs);
        Plan { jobs: jobs.collect(), removed, params, permissions }
    }

    fn append(&mut self, body: EventBody) {
        self.append_at(0, body);
    }

    fn append_at(&mut self, time_ms: u64, body: EventBody) {
        self.seq += 1;
        let event = Event { seq: self.seq, time_ms, body };
        self.todo.extend(self.state.step(Input::Event(&event)));
        self.happened.push(event);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Refine { job } => self.asked = Some(Turn::Refine(job)),
            Effect::Start { job, attempt } => {
                self.append(EventBody::JobStarted { job: job.clone(), attempt });
                self.started.entry(job.clone()).or_insert(self.wave);
                let is_action = self.state.graph().get(&job).is_some_and(|spec| spec.container().is_none());
                if is_action && self.assumed.is_something() && !self.assumed.names(&job) {
                    self.asked = Some(Turn::Act(job.clone()));
                }
                self.running.push(job);
            }
            Effect::Stop { job, reason } => self.stop(&job, &reason),
            Effect::Record(body) => {
                let blocked = match &body {
                    EventBody::JobBlocked { job, attempt, .. } => Some((job.clone(), *attempt)),
                    _ => None,
                };
                self.append(body);
                if let Some((job, attempt)) = blocked {
                    self.append(EventBody::JobApproved { job, attempt, by: String::new(), comment: None });
                }
            }
            Effect::CheckOut | Effect::Define => {}
        }
    }

    /// Lets the jobs of a wave end: those first that fail, for they may stop others.
    fn end_wave(&mut self) {
        self.wave += 1;
        let (failing, others): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.running).into_iter().partition(|job| self.result(job).ending.status().is_failed());
        for job in failing.into_iter().chain(others) {
            if self.state.job(&job).is_some_and(|state| state.status.is_final()) {
                continue;
            }
            if let Some(reason) = self.state.job(&job).and_then(|state| state.stopping.clone()) {
                self.stop(&job, &reason);
                continue;
            }
            let AssumedJob { ending, results, duration_ms } = self.result(&job);
            let attempt = self.state.turn(&job);
            if let Some(results) = results.filter(|results| !results.is_empty()) {
                self.append(EventBody::JobResults { job: job.clone(), attempt, results: Box::new(results) });
            }
            self.submit(&job, attempt);
            let may = self.state.graph().get(&job).is_some_and(|spec| spec.allow_failure);
            let ending = match ending.status().is_failed() && may {
                true => Ending::Tolerated { ending: Box::new(ending) },
                false => ending,
            };
            // It started at 0, as all do.
            self.append_at(duration_ms, EventBody::JobEnded { job, attempt, ending });
        }
    }

    /// What comes of a job.
    fn result(&self, job: &str) -> AssumedJob {
        self.acted.get(job).map_or_else(|| self.assumed.of(job), |(result, _)| result.clone())
    }

    /// What an action has submitted, or had in the earlier build.
    fn submit(&mut self, by: &str, attempt: u32) {
        let mut jobs = match self.acted.get(by) {
            Some((_, submitted)) => submitted.clone(),
            None => self.assumed.submitted_by(by),
        };
        jobs.retain(|job| self.state.graph().get(&job.id).is_none());
        if jobs.is_empty() {
            return;
        }
        self.append(EventBody::JobsSubmitted { by: by.to_owned(), attempt, jobs });
    }

    fn stop(&mut self, job: &str, reason: &StopReason) {
        let Some(spec) = self.state.graph().get(job) else { return };
        let ending = reason.ending(spec);
        if self.state.job(job).is_some_and(|state| !state.status.is_final()) {
            self.end(job, ending);
        }
    }

    fn end(&mut self, job: &str, ending: Ending) {
        let attempt = self.state.turn(job);
        self.append(EventBody::JobEnded { job: job.to_owned(), attempt, ending });
    }

    fn fate(&self, spec: &JobSpec) -> Fate {
        if let Some(wave) = self.started.get(&spec.id) {
            return Fate::Runs { wave: *wave };
        }
        let ending = self.state.job(&spec.id).and_then(|state| state.ending.clone()).unwrap_or(Ending::Cancelled);
        Fate::Never { reason: self.reason(&ending), ending }
    }

    /// Why a job does not run that ends so.
    fn reason(&self, ending: &Ending) -> String {
        match ending {
            Ending::Skipped { because } if self.started.contains_key(because) => {
                format!("{because} does not succeed, as it is assumed")
            }
            Ending::Skipped { because } if self.state.graph().get(because).is_some() => {
                format!("{because} does not run")
            }
            Ending::Manual => "it is started by hand".to_owned(),
            Ending::FailedFast { group, because } => {
                format!("{because} of the group {group} fails, as it is assumed; until then it may start")
            }
            ending => ending.to_string(),
        }
    }

    /// Whether it is decided of a job that it does not run, whatever comes of others.
    fn is_decided(&self, job: &str) -> bool {
        let ending = self.state.job(job).and_then(|state| state.ending.as_ref());
        self.decided.contains(job)
            || matches!(ending, Some(Ending::Manual | Ending::Reused { .. } | Ending::FailedFast { .. }))
    }
}

/// Why something is not known before.
fn why(answer: Answer) -> String {
    match answer {
        Answer::Open(why) => why,
        Answer::Completed(_) | Answer::Over(_) | Answer::Acted(..) => "it is decided when its turn comes".to_owned(),
    }
}
