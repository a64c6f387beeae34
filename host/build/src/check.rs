//! The checks of a graph, before anything runs.

mod artifacts;
mod circles;
mod fault;
mod fields;
mod nearest;
mod upstream;

use std::collections::{HashMap, HashSet};

pub use fault::{Fault, FaultKind, GraphFaults};
use nearest::Nearest;

use crate::{CacheSpec, Command, ContainerSpec, DEFAULT_JOB_TIMEOUT_MS, Graph, JobDraft, JobKind, JobSpec, Readiness};
use crate::{RunWhen, ServiceDraft, ServiceSpec, ShellCommand};

/// The most jobs that a build may have.
pub const MAX_JOBS: usize = 100_000;

/// How long a service that says nothing else may take to become ready, in milliseconds.
pub const DEFAULT_READY_TIMEOUT_MS: u64 = 60_000;

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
/// let faults = check(&[build, report]).unwrap_err();
/// assert_eq!(
///     faults.to_string(),
///     "the graph has 1 fault:\njob \"report\", needs: there is no job \"biuld\"; did you mean \"build\"?"
/// );
/// ```
///
/// # Errors
///
/// All faults of the graph at once, in the order in which the jobs were declared; only a graph of more than [`MAX_JOBS`]
/// jobs is not looked at any further. Of circles that have a need in common only one is reported.
pub fn check(drafts: &[JobDraft]) -> Result<Graph, GraphFaults> {
    let mut report = Report { drafts, found: Vec::new() };
    if drafts.len() > MAX_JOBS {
        report.add(MAX_JOBS, "id", FaultKind::TooManyJobs { count: drafts.len() });
        return Err(report.into_faults());
    }
    for (job, draft) in drafts.iter().enumerate() {
        fields::check(draft, job, &mut report);
    }
    let ids = ids(drafts, &mut report);
    let mut nearest = Nearest::new();
    let needs = needs(drafts, &ids, &mut nearest, &mut report);
    for circle in circles::circles(&needs) {
        let path = circle.iter().map(|&job| name(drafts, job)).collect();
        report.add(circle[0], "needs", FaultKind::Cycle { path });
    }
    artifacts::check(drafts, &needs, &mut nearest, &mut report);

    if report.found.is_empty() {
        Ok(Graph::from_checked(drafts.iter().map(job_spec).collect()))
    } else {
        Err(report.into_faults())
    }
}

/// The faults found so far, with the index of the job they are of.
struct Report<'a> {
    drafts: &'a [JobDraft],
    found: Vec<(usize, Fault)>,
}

impl Report<'_> {
    fn add(&mut self, job: usize, field: impl Into<String>, kind: FaultKind) {
        self.found.push((job, Fault { job: name(self.drafts, job), field: field.into(), kind }));
    }

    fn into_faults(mut self) -> GraphFaults {
        self.found.sort_by_key(|(job, _)| *job);
        GraphFaults(self.found.into_iter().map(|(_, fault)| fault).collect())
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
fn short(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The first job of each id.
fn ids<'a>(drafts: &'a [JobDraft], report: &mut Report<'_>) -> HashMap<&'a str, usize> {
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(drafts.len());
    let mut small: HashMap<String, usize> = HashMap::with_capacity(drafts.len());
    for (job, draft) in drafts.iter().enumerate() {
        let first = *ids.entry(&draft.id).or_insert(job);
        let similar = *small.entry(draft.id.to_ascii_lowercase()).or_insert(job);
        if first != job {
            report.add(job, "id", FaultKind::DuplicateId);
        } else if similar != job {
            report.add(job, "id", FaultKind::SimilarId { other: name(drafts, similar) });
        }
    }
    ids
}

/// The needs of each job that make sense, each list sorted; the others are reported.
fn needs(
    drafts: &[JobDraft],
    ids: &HashMap<&str, usize>,
    nearest: &mut Nearest,
    report: &mut Report<'_>,
) -> Vec<Vec<usize>> {
    let mut all = Vec::with_capacity(drafts.len());
    for (job, draft) in drafts.iter().enumerate() {
        let mut known = Vec::with_capacity(draft.needs.len());
        for need in distinct(&draft.needs) {
            match ids.get(need.as_str()) {
                // By id and not by index: a second job of an id that needs the first one looks like this too.
                Some(_) if *need == draft.id => report.add(job, "needs", FaultKind::NeedsItself),
                Some(&needed) => known.push(needed),
                None => {
                    let nearest = nearest.of(need, drafts.iter().map(|draft| draft.id.as_str()));
                    report.add(job, "needs", FaultKind::UnknownNeed { need: short(need), nearest });
                }
            }
        }
        known.sort_unstable();
        all.push(known);
    }
    all
}

fn distinct(names: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().filter(move |name| seen.insert(*name))
}

/// The job as it will run. Only for drafts without fault.
fn job_spec(draft: &JobDraft) -> JobSpec {
    let kind = if draft.container { JobKind::Container(Box::new(container_spec(draft))) } else { JobKind::Action };
    JobSpec {
        id: draft.id.clone(),
        needs: distinct(&draft.needs).cloned().collect(),
        timeout_ms: draft.timeout_ms.unwrap_or(DEFAULT_JOB_TIMEOUT_MS),
        run_when: RunWhen::Success,
        allow_failure: draft.allow_failure,
        retry: None,
        priority: draft.priority,
        fail_fast: draft.fail_fast.clone(),
        approval: draft.approval.clone(),
        late: draft.late,
        labels: draft.labels.iter().cloned().collect(),
        calls: draft.calls.clone(),
        creates_artifacts: draft.creates_artifacts.clone(),
        kind,
    }
}

fn container_spec(draft: &JobDraft) -> ContainerSpec {
    ContainerSpec {
        image: draft.image.clone().unwrap_or_default(),
        command: match &draft.argv {
            Some(argv) => Command::Argv(argv.clone()),
            None => Command::Shell(ShellCommand {
                lines: draft.shell.clone().unwrap_or_default(),
                program: draft.shell_program.clone().unwrap_or_default(),
                each: draft.shell_each,
            }),
        },
        env: draft.env.iter().cloned().collect(),
        late_env: draft.late_env.iter().cloned().collect(),
        user: draft.user.clone(),
        architecture: draft.architecture.clone(),
        work_dir: draft.work_dir.clone().unwrap_or_default(),
        memory_bytes: draft.memory_bytes,
        cpu_millis: draft.cpu_millis,
        save_artifacts: draft.save_artifacts.clone(),
        restore_artifacts: draft.restore_artifacts.clone(),
        caches: draft
            .caches
            .iter()
            .map(|(id, path)| CacheSpec { id: id.clone(), path: path.clone(), ..CacheSpec::default() })
            .collect(),
        test_reports: draft.test_reports.clone(),
        services: draft.services.iter().map(service_spec).collect(),
    }
}

fn service_spec(draft: &ServiceDraft) -> ServiceSpec {
    let port = draft.ready_port.map(Readiness::Port);
    let command = draft.ready_command.clone().map(Readiness::Command);
    ServiceSpec {
        name: draft.name.clone(),
        image: draft.image.clone(),
        argv: draft.argv.clone(),
        env: draft.env.iter().cloned().collect(),
        secret_env: draft.secret_env.iter().cloned().collect(),
        readiness: port.into_iter().chain(command).collect(),
        ready_timeout_ms: draft.ready_timeout_ms.unwrap_or(DEFAULT_READY_TIMEOUT_MS),
    }
}
