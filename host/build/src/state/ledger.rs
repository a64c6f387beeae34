//! What a build's scripts have said and asked, and how much of what they may say is used.

use std::collections::{BTreeMap, BTreeSet};

use super::{BuildState, Phase};
use crate::{Event, EventBody, LateValue, ParamSpec, Results, ToldCall, nearest};

/// The most bytes of events and reports that may be written down in a build: 16 MiB. They are kept for ever.
pub(crate) const WORDS: usize = 16 << 20;
/// The most bytes that all jobs of a build may say of their results: 32 MiB.
pub(crate) const RESULTS: usize = 32 << 20;
/// The most bytes that what all actions of a build are told may have in its journal: 64 MiB. Those that run are held in memory too.
pub const MOST_TOLD: usize = 64 << 20;
/// What tells that something was refused has at most so many bytes.
const FEW_WORDS: usize = 4 << 10;
/// An event without words takes room too.
const EVENT: usize = 256;

/// What the scripts of a build have said and asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) words: usize,
    pub(super) results: usize,
    pub(super) told: usize,
    /// The parameters that the script declared.
    pub(super) params: Vec<ParamSpec>,
    /// Those that it asked for without having declared them.
    asked: BTreeSet<String>,
    /// Whether it looked which there are.
    asked_for_all: bool,
}

impl Ledger {
    /// Takes an event in, also one that changes nothing else: what stands in the journal takes room there.
    pub(super) fn take_in(&mut self, event: &Event) {
        match &event.body {
            EventBody::ScriptEvent { name, payload, .. } | EventBody::OutsideEvent { name, payload, .. } => {
                self.words += size_of_words(&[name, payload]);
            }
            EventBody::ScriptReport { message, .. } => self.words += size_of_words(&[message]),
            EventBody::JobWaiting { jobs, .. } => self.words += size_of_ids(jobs),
            EventBody::JobResults { results, .. } => self.results += results.size(),
            EventBody::JobsSelected { selection } => {
                let reused = selection.reused.iter().filter_map(|reused| reused.results.as_deref());
                self.results += reused.map(Results::size).sum::<usize>();
            }
            EventBody::JobTold { calls, .. } => self.told += size_of_told(calls),
            EventBody::ScriptDefined { params, .. } => self.params.clone_from(params),
            EventBody::ParamAsked { param: Some(param), .. } => _ = self.asked.insert(param.clone()),
            EventBody::ParamAsked { param: None, .. } => self.asked_for_all = true,
            _ => {}
        }
    }
}

/// What words take of what a build may say.
pub(crate) fn size_of_words(words: &[&str]) -> usize {
    words.iter().map(|words| words.len()).sum::<usize>() + EVENT
}

/// What the ids of jobs take of it.
pub(crate) fn size_of_ids(ids: &[String]) -> usize {
    ids.iter().map(|id| id.len() + 3).sum::<usize>() + EVENT
}

/// What calls take of what a build's actions may be told.
pub(crate) fn size_of_told(calls: &[ToldCall]) -> usize {
    calls.iter().map(ToldCall::size).sum::<usize>() + EVENT
}

impl BuildState {
    /// The parameters that the script declared; none until it has.
    pub fn params(&self) -> &[ParamSpec] {
        &self.ledger.params
    }

    /// Whether so many bytes of events and reports may still be written down.
    pub(crate) fn has_words(&self, bytes: usize) -> bool {
        self.ledger.words.saturating_add(bytes) <= WORDS
    }

    /// Whether so many bytes more of what actions are told may be written down.
    pub(crate) fn has_told(&self, bytes: usize) -> bool {
        self.ledger.told.saturating_add(bytes) <= MOST_TOLD
    }

    /// Whether this may still be said of a job's result.
    pub(crate) fn has_results(&self, job: &str, results: &Results) -> bool {
        let has_room = self.ledger.results.saturating_add(results.size()) <= RESULTS;
        has_room || self.is_first_warning(job, results)
    }

    /// Whether it is nothing but a few words of warning, of a job that was not warned before: that more was refused can be told.
    fn is_first_warning(&self, job: &str, results: &Results) -> bool {
        let Results { message: None, warning: Some(warning), outputs, links, tests: None, coverage: None } = results
        else {
            return false;
        };
        let warned = self.job(job).and_then(|job| job.results.as_ref()).is_some_and(|said| said.warning.is_some());
        outputs.is_empty() && links.is_empty() && warning.len() <= FEW_WORDS && !warned
    }

    /// Whether it is known that the script uses a parameter, or with `None` that it looked which there are.
    pub fn uses_param(&self, param: Option<&str>) -> bool {
        let declares = |name: &str| self.ledger.params.iter().any(|param| param.name == name);
        self.ledger.asked_for_all || param.is_some_and(|param| self.ledger.asked.contains(param) || declares(param))
    }

    /// The job whose action has submitted this one; `None` if the script has declared it.
    pub fn submitted_by(&self, job: &str) -> Option<&str> {
        self.submitted.get(job).map(|(by, _)| by.as_str())
    }

    /// What to say of each parameter that was given, and that the script neither declared nor asked for: most are slips of the
    /// fingers, and the build has gone on without them.
    pub fn unasked_params(&self, given: &BTreeMap<String, String>) -> Vec<(String, String)> {
        // A build that ended before could not have asked.
        if self.ledger.asked_for_all || self.phase != Phase::Running {
            return Vec::new();
        }
        let mut known: BTreeSet<&str> = self.ledger.asked.iter().map(String::as_str).collect();
        known.extend(self.ledger.params.iter().map(|param| param.name.as_str()));
        for job in self.graph().jobs() {
            known.extend(job.container().into_iter().flat_map(|container| container.late_env.values()).filter_map(
                |value| match value {
                    LateValue::ParamFile(param) => Some(param.as_str()),
                    LateValue::Secret(_) | LateValue::SecretFile(_) | LateValue::Output { .. } => None,
                },
            ));
        }
        let unasked = given.keys().filter(|param| !known.contains(param.as_str()));
        let unasked = unasked.map(|param| {
            let wanted = known.iter().copied().filter(|known| !given.contains_key(*known));
            let hint = nearest(param, wanted).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            (param.clone(), format!("the script neither declares nor asks for the parameter {param:?}{hint}"))
        });
        unasked.collect()
    }
}
