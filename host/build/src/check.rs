//! The checks of a graph, before anything runs.

mod container;
mod cycles;
mod fault;
mod fields;
mod graph_faults;
mod image;
mod nearest;
mod needs;
mod params;
mod refined;
mod removed;
mod savers;
mod spec;
mod submitted;
mod words;

use std::collections::{HashMap, HashSet};

pub use fault::{Fault, FaultKind, NeedCause, Place};
pub use graph_faults::GraphFaults;
pub use nearest::nearest;
use needs::{Needs, Target};
pub use params::param_value;
pub use refined::check_refined;
use removed::Replacement;
pub use submitted::check_submitted;

pub(crate) use container::{MAX_ARGUMENT, MAX_CACHE_KEY, MAX_DESTINATIONS};
pub(crate) use fields::MAX_RETRIES;
pub(crate) use removed::MOST as MAX_REPLACED;

use crate::{Graph, JobDraft, JobSpec, ParamDraft, ParamSpec};

/// The most jobs that a build may have.
pub const MAX_JOBS: usize = 100_000;

/// How long a service that says nothing else may take to become ready, in milliseconds.
pub const DEFAULT_READY_TIMEOUT_MS: u64 = 60_000;

/// What a script declared, without fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The jobs, with every default filled in.
    pub graph: Graph,
    /// The jobs that a condition of the script removed, with the reasons, in the order of declaration.
    pub removed: Vec<(String, String)>,
    /// The parameters, each once, in the order of declaration.
    pub params: Vec<ParamSpec>,
}

impl Checked {
    /// That there is no job to run, and why; none where there is one.
    pub fn nothing_to_run(&self) -> Option<String> {
        /// The most jobs that are named.
        const NAMED: usize = 10;
        if !self.graph.jobs().is_empty() {
            return None;
        }
        if self.removed.is_empty() {
            return Some("the build has no job to run: the script declares none".to_owned());
        }
        let named = self.removed.iter().take(NAMED).map(|(id, reason)| format!("{id:?} ({})", short(reason)));
        let more = match self.removed.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = named.collect::<Vec<_>>().join(", ");
        Some(format!("the build has no job to run: a condition of the script removes each: {named}{more}"))
    }
}

/// Checks what a script declared, and makes a graph of it with every default filled in.
///
/// ```
/// use monkeyci_build::{JobDraft, check};
///
/// let build = JobDraft {
///     image: Some("rust:1".into()),
///     shell: Some(vec!["cargo build".into()]),
///     ..JobDraft::container("build")
/// };
/// let report = JobDraft { needs: vec!["biuld".into()], ..JobDraft::action("report") };
///
/// let faults = check(&[build, report], &[]).unwrap_err();
/// assert_eq!(
///     faults.to_string(),
///     "the graph has 1 fault:\njob \"report\", needs: there is no job \"biuld\"; did you mean \"build\"?"
/// );
/// ```
///
/// # Errors
///
/// All faults at once: those of the parameters, then those of the jobs, each in the order of declaration. Only a graph of
/// more than [`MAX_JOBS`] jobs is not looked at any further. Of cycles that have a need in common only one is reported.
pub fn check(jobs: &[JobDraft], params: &[ParamDraft]) -> Result<Checked, GraphFaults> {
    let mut report = Report::new(jobs);
    if jobs.len() > MAX_JOBS {
        report.add(MAX_JOBS, "id", FaultKind::TooManyJobs { count: jobs.len() });
        return Err(report.into_faults());
    }
    let params = params::check(params, &mut report.of_params);
    for (job, draft) in jobs.iter().enumerate() {
        fields::check(draft, job, !draft.late, &mut report);
    }
    let graph = Graph::default();
    let ids = ids(jobs, &graph, &mut report);
    let jobs = &*removed::without_causes(jobs, &ids);
    let needs = needs::check(jobs, &graph, &ids, &mut report);
    if !report.is_empty() {
        return Err(report.into_faults());
    }
    let Some(specs) = specs(jobs, &graph, &needs, &mut report) else { return Err(report.into_faults()) };
    let removed = jobs.iter().filter_map(|draft| Some((draft.id.clone(), draft.removed.clone()?))).collect();
    Ok(Checked { graph: Graph::from_checked(specs), removed, params })
}

/// The faults found so far.
struct Report<'a> {
    drafts: &'a [JobDraft],
    of_params: Vec<Fault>,
    /// Each with the index of the job it is of.
    found: Vec<(usize, Fault)>,
}

impl<'a> Report<'a> {
    fn new(drafts: &'a [JobDraft]) -> Self {
        Self { drafts, of_params: Vec::new(), found: Vec::new() }
    }

    fn add(&mut self, job: usize, field: impl Into<String>, kind: FaultKind) {
        let place = Place::Job(name(self.drafts, job));
        self.found.push((job, Fault { place, field: field.into(), kind }));
    }

    fn is_empty(&self) -> bool {
        self.of_params.is_empty() && self.found.is_empty()
    }

    fn into_faults(mut self) -> GraphFaults {
        self.found.sort_by_key(|(job, _)| *job);
        self.of_params.extend(self.found.into_iter().map(|(_, fault)| fault));
        GraphFaults(self.of_params)
    }
}

/// What a fault calls a job.
fn name(drafts: &[JobDraft], job: usize) -> String {
    match drafts.get(job) {
        Some(draft) if !draft.id.is_empty() => short(&draft.id),
        _ => format!("#{}", job + 1),
    }
}

/// A text of the script as it stands in a fault: nobody reads a megabyte, and the journal keeps every fault.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The first job of each id. Ids that are taken, here or in the graph that there is already, are reported.
fn ids<'a>(drafts: &'a [JobDraft], graph: &Graph, report: &mut Report<'_>) -> HashMap<&'a str, usize> {
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(drafts.len());
    let mut small: HashMap<String, usize> = HashMap::with_capacity(drafts.len());
    for (job, draft) in drafts.iter().enumerate() {
        let lower = draft.id.to_ascii_lowercase();
        let built = graph.similar(&lower).map(|built| built.id.as_str());
        let first = *ids.entry(&draft.id).or_insert(job);
        let similar = *small.entry(lower).or_insert(job);
        if first != job || graph.index(&draft.id).is_some() {
            report.add(job, "id", FaultKind::DuplicateId);
        } else if similar != job {
            report.add(job, "id", FaultKind::SimilarId { other: name(drafts, similar) });
        } else if let Some(other) = built {
            report.add(job, "id", FaultKind::SimilarId { other: other.to_owned() });
        }
    }
    ids
}

/// The jobs that stay, as they will run. Only for drafts without fault; what can be found only now is reported.
fn specs(drafts: &[JobDraft], graph: &Graph, needs: &[Needs], report: &mut Report<'_>) -> Option<Vec<JobSpec>> {
    let mut replacement = Replacement::new(drafts, needs);
    let removed: HashSet<&str> = removed_artifacts(drafts);
    let id = |target: Target| match target {
        Target::Draft(job) => drafts[job].id.clone(),
        Target::Built(job) => graph.jobs()[job].id.clone(),
    };
    let mut specs = Vec::with_capacity(drafts.len());
    for (job, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.removed.is_none()) {
        let Some(needs) = replacement.of(job) else {
            report.add(job, "needs", FaultKind::TooManyNeeds);
            return None;
        };
        let removed_needs = replacement.removed_needs(job).map(|job| drafts[job].id.clone()).collect();
        let mut spec = spec::job_spec(draft, needs.into_iter().map(id).collect(), removed_needs);
        if let crate::JobKind::Container(container) = &mut spec.kind {
            container.restore_artifacts.retain(|restore| !removed.contains(restore.id.as_str()));
        }
        specs.push(spec);
    }
    Some(specs)
}

/// The artifacts that only removed jobs save: nobody will ever find them there.
fn removed_artifacts(drafts: &[JobDraft]) -> HashSet<&str> {
    let saved = |removed: bool| {
        let drafts = drafts.iter().filter(move |draft| draft.removed.is_some() == removed);
        drafts.flat_map(|draft| {
            let saves = draft.save_artifacts.iter().map(|save| save.id.as_str());
            saves.chain(draft.creates_artifacts.iter().map(String::as_str))
        })
    };
    let mut artifacts: HashSet<&str> = saved(true).collect();
    if !artifacts.is_empty() {
        for artifact in saved(false) {
            artifacts.remove(artifact);
        }
    }
    artifacts
}
