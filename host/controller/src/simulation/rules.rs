//! What has to be so in every run: of the host, whatever goes wrong; and of the script, which has to bear what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use monkeyci_build::{BuildState, BuildStatus, Ending, Event, EventBody, Input, JobKind, JobSpec, JobState, Phase};

use super::Run;
use super::fault::Fault;

/// What a run breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// Each attempt starts once, and its containers are made once.
    StartsOnce,
    /// Nothing starts before what it needs is over.
    NeedsFirst,
    /// Every build ends, and all of its jobs with it.
    Ends,
    /// A build whose host was killed can be gone on with.
    Resumes,
    /// The journal tells of a build what its host knew of it.
    JournalIsWhole,
    /// Nothing is left of a build that is over.
    NothingLeft,
    /// The script declares its jobs: `define` comes to its end, and the graph is one.
    Defines,
    /// No action traps, and none reaches a limit of its build.
    NoTrap,
    /// A script that is told the same does the same.
    SameAgain,
    /// What a job restores was saved, and an action makes what it says that it makes.
    ArtifactsThere,
    /// No action reaches its time limit where nothing that went wrong takes long.
    ActionInTime,
    /// Jobs that start when nothing goes wrong any more end well.
    Heals,
    /// What the script's author says that holds always.
    Always,
    /// The jobs and their ends are the same, whatever time it is.
    SameAtAnyTime,
    /// They are the same in whatever order the script sees what is in a hash map, and whatever random numbers it sees.
    SameInAnyOrder,
}

impl Rule {
    /// Its name: `ends`, say.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartsOnce => "starts-once",
            Self::NeedsFirst => "needs-first",
            Self::Ends => "ends",
            Self::Resumes => "resumes",
            Self::JournalIsWhole => "journal-is-whole",
            Self::NothingLeft => "nothing-left",
            Self::Defines => "defines",
            Self::NoTrap => "no-trap",
            Self::SameAgain => "same-again",
            Self::ArtifactsThere => "artifacts-there",
            Self::ActionInTime => "action-in-time",
            Self::Heals => "heals",
            Self::Always => "always",
            Self::SameAtAnyTime => "same-at-any-time",
            Self::SameInAnyOrder => "same-in-any-order",
        }
    }

    /// Whether it is the host that broke it, and not the script.
    pub fn is_hosts(self) -> bool {
        matches!(
            self,
            Self::StartsOnce
                | Self::NeedsFirst
                | Self::Resumes
                | Self::JournalIsWhole
                | Self::NothingLeft
                | Self::Heals
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// The job that it was broken with, if it is one's.
    pub job: Option<String>,
    /// How, in a sentence.
    pub how: String,
}

impl Broken {
    pub(super) fn new(rule: Rule, job: Option<&str>, how: impl Into<String>) -> Self {
        Self { rule, job: job.map(str::to_owned), how: how.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.job {
            Some(job) => write!(f, "{}: {job}: {}", self.rule, self.how),
            None => write!(f, "{}: {}", self.rule, self.how),
        }
    }
}

/// A time limit that a job keeps to with which nothing goes wrong, in milliseconds.
const UNHURRIED_MS: u64 = 3_600_000;

/// The rules that the journal alone tells of. `is_slow` says whether something that went wrong takes long, and `healed_ms` from when on nothing
/// goes wrong.
pub(super) fn broken_by(events: &[Event], is_slow: bool, healed_ms: u64) -> Vec<Broken> {
    let mut broken = Vec::new();
    // The fold says nothing of how many jobs may run: there are as many as it takes.
    let mut state = BuildState::new(std::num::NonZeroUsize::MAX);
    let mut started = BTreeSet::new();
    for event in events {
        match &event.body {
            EventBody::JobStarted { job, attempt } => {
                if !started.insert((job.clone(), *attempt)) {
                    broken.push(Broken::new(Rule::StartsOnce, Some(job), format!("attempt {attempt} started twice")));
                }
                if let Some(need) = open_need(&state, job) {
                    let how = format!("attempt {attempt} started before {need:?}, which it needs, was over");
                    broken.push(Broken::new(Rule::NeedsFirst, Some(job), how));
                }
            }
            EventBody::JobEnded { job, ending, .. } | EventBody::JobRetried { job, ending, .. } => {
                broken.extend(broken_by_end(&state, job, ending.itself(), is_slow));
                broken.extend(not_healed(&state, job, ending.itself(), healed_ms));
            }
            _ => {}
        }
        state.step(Input::Event(event));
    }
    let Some(Event { body: EventBody::BuildEnded { status, .. }, .. }) = events.last() else {
        broken.push(Broken::new(Rule::Ends, None, "the build has not ended"));
        return broken;
    };
    if !matches!(state.phase(), Phase::Ended(_)) {
        broken.push(Broken::new(Rule::JournalIsWhole, None, "the journal's fold does not say that the build is over"));
    }
    for (spec, job) in state.jobs().filter(|(_, job)| !job.status.is_final()) {
        broken.push(Broken::new(
            Rule::Ends,
            Some(&spec.id),
            format!("the build is over, and the job {:?}", job.status),
        ));
    }
    if *status == BuildStatus::BadScript {
        let why = events.iter().find_map(|event| match &event.body {
            EventBody::BuildFailed { message, .. } => Some(message.clone()),
            _ => None,
        });
        broken.push(Broken::new(Rule::Defines, None, why.unwrap_or_else(|| "the script is broken".to_owned())));
    }
    broken
}

/// A need of a job that is not over.
fn open_need(state: &BuildState, job: &str) -> Option<String> {
    let needs = &state.graph().get(job)?.needs;
    needs.iter().find(|need| state.job(need).is_some_and(|need| !need.status.is_final())).cloned()
}

/// What the end of an attempt breaks.
fn broken_by_end(state: &BuildState, job: &str, ending: &Ending, is_slow: bool) -> Option<Broken> {
    let spec = state.graph().get(job)?;
    let is_action = matches!(spec.kind, JobKind::Action);
    let rule = match ending {
        Ending::ActionTrapped { .. } | Ending::LimitReached { .. } | Ending::RefineFailed { .. } => Rule::NoTrap,
        Ending::Diverged { .. } => Rule::SameAgain,
        Ending::ArtifactNotThere { .. } => Rule::ArtifactsThere,
        Ending::ArtifactMissing { .. } if is_action => Rule::ArtifactsThere,
        Ending::TimedOut { .. } if is_action && !is_slow => Rule::ActionInTime,
        _ => return None,
    };
    Some(Broken::new(rule, Some(job), ending.to_string()))
}

/// A container job that nothing should have gone wrong with did not end well.
fn not_healed(state: &BuildState, job: &str, ending: &Ending, healed_ms: u64) -> Option<Broken> {
    let (spec, known) = (state.graph().get(job)?, state.job(job)?);
    // A shorter limit may be reached by what is slow and well.
    let is_long = spec.timeout_ms >= UNHURRIED_MS;
    let is_bad = match ending {
        Ending::TimedOut { .. } => is_long,
        Ending::Exited { .. } | Ending::OutOfMemory { .. } | Ending::SidecarFailed { .. } => true,
        _ => false,
    };
    let is_healed = known.started_ms.is_some_and(|started_ms| started_ms >= healed_ms);
    (is_bad && is_healed && spec.container().is_some()).then(|| Broken::new(Rule::Heals, Some(job), ending.to_string()))
}

/// What of the jobs is another in a run in which only what the script sees of time and chance was another.
pub(super) fn parts(one: &Run, other: &Run, by: &Fault) -> Option<Broken> {
    let (rule, with) = match by {
        Fault::Clock { seconds } => (Rule::SameAtAnyTime, format!("with a clock that is {seconds} s ahead, it")),
        Fault::Random { .. } => (Rule::SameInAnyOrder, "with other random numbers, it".to_owned()),
        _ => return None,
    };
    let (state, others) = (BuildState::of(&one.events), BuildState::of(&other.events));
    let known = |state: &BuildState| -> BTreeMap<String, BTreeSet<String>> {
        let needs = |spec: &JobSpec| spec.needs.iter().cloned().collect();
        state.graph().jobs().iter().map(|spec| (spec.id.clone(), needs(spec))).collect()
    };
    let (jobs, other_jobs) = (known(&state), known(&others));
    let differing = |job: &&String| jobs.get(*job) != other_jobs.get(*job);
    if let Some(job) = jobs.keys().chain(other_jobs.keys()).find(differing) {
        let how = match (jobs.get(job), other_jobs.get(job)) {
            (Some(_), None) => format!("{with} is not there"),
            (None, _) => format!("{with} is there, and not otherwise"),
            (Some(needs), Some(others)) => format!("{with} needs {others:?}, and {needs:?} otherwise"),
        };
        return Some(Broken::new(rule, Some(job), how));
    }
    // When a host dies hangs on how many records there are.
    if one.lives > 1 || other.lives > 1 {
        return None;
    }
    let ends = state.jobs().find_map(|(spec, job)| {
        let other = others.job(&spec.id)?.status;
        (other != job.status)
            .then(|| format!("{with} ends as {other:?}, and as {:?} otherwise", job.status))
            .map(|how| Broken::new(rule, Some(&spec.id), how))
    });
    ends.or_else(|| {
        let how = || format!("{with} ends as {:?}, and as {:?} otherwise", other.status, one.status);
        (one.status != other.status).then(|| Broken::new(rule, None, how()))
    })
}

/// What a fold of the journal says otherwise than the host did that wrote it.
pub(super) fn differs(events: &[Event], live: &BuildState) -> Vec<Broken> {
    let fold = BuildState::of(events);
    let mut broken = Vec::new();
    let of = |state: &BuildState| -> BTreeMap<String, JobState> {
        // That time was up is no event: it is in the end that came of it.
        let without = |job: &JobState| JobState { stopping: None, ..job.clone() };
        state.jobs().map(|(spec, job)| (spec.id.clone(), without(job))).collect()
    };
    let (folded, lived) = (of(&fold), of(live));
    for job in folded.keys().chain(lived.keys()).collect::<BTreeSet<_>>() {
        let (folded, lived) = (folded.get(job), lived.get(job));
        if folded != lived {
            let how = format!("the journal's fold has {folded:?}, and the host had {lived:?}");
            broken.push(Broken::new(Rule::JournalIsWhole, Some(job), how));
        }
    }
    let artifacts = |state: &BuildState| format!("{:?}", state.artifacts().collect::<Vec<_>>());
    if artifacts(&fold) != artifacts(live) || fold.phase() != live.phase() {
        broken.push(Broken::new(Rule::JournalIsWhole, None, "the journal's fold is another one than the host's"));
    }
    broken
}
