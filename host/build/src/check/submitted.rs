//! Jobs that an action adds to a build.

use super::{FaultKind, GraphFaults, MAX_JOBS, Report, fields, ids, needs, specs};
use crate::{Graph, JobDraft, JobSpec};

/// Checks jobs that an action submits against the graph that there is. They may need jobs of the graph and each other,
/// restore the artifacts of both, and read the outputs of both.
///
/// ```
/// use monkeyci_build::{Call, Graph, JobDraft, check_submitted};
///
/// let calls = Some(Call { handler: "shard".into(), argument: "1/2".into() });
/// let jobs = check_submitted(&Graph::default(), &[JobDraft { calls, ..JobDraft::action("shard-1") }]);
/// assert_eq!(jobs.map(|jobs| jobs.len()), Ok(1));
/// ```
///
/// # Errors
///
/// All faults of the jobs at once, in the order in which they are given. Then none of them may be added.
pub fn check_submitted(graph: &Graph, jobs: &[JobDraft]) -> Result<Vec<JobSpec>, GraphFaults> {
    let mut report = Report::new(jobs);
    let count = graph.jobs().len().saturating_add(jobs.len());
    if count > MAX_JOBS {
        report.add(MAX_JOBS.saturating_sub(graph.jobs().len()), "id", FaultKind::TooManyJobs { count });
        return Err(report.into_faults());
    }
    for (job, draft) in jobs.iter().enumerate() {
        fields::check(draft, job, true, &mut report);
        if draft.late {
            report.add(job, "late", FaultKind::OnlyInDefine);
        }
        if draft.removed.is_some() {
            report.add(job, "remove", FaultKind::OnlyInDefine);
        }
        if !draft.container && draft.calls.is_none() {
            report.add(job, "calls", FaultKind::MissingCall);
        }
    }
    let ids = ids(jobs, graph, &mut report);
    let needs = needs::check(jobs, graph, &ids, &mut report);
    if !report.found.is_empty() {
        return Err(report.into_faults());
    }
    specs(jobs, graph, &needs, &mut report).ok_or_else(|| report.into_faults())
}
