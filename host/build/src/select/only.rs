//! Some jobs of a build, and not the others.

use std::collections::BTreeSet;

use super::{SelectError, Selection, all_there, listed};
use crate::{Graph, JobSpec};

/// How far to go.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// To what a job needs.
    Needs,
    /// To what needs it.
    Dependents,
}

/// What is left out when only some of the declared jobs are wanted: `jobs` with all that they need, or with `until` all but those that
/// come after them. What one of them needs is never left out.
///
/// # Errors
/// When one of them is not there.
pub fn select_only(
    declared: &[JobSpec],
    removed: &[(String, String)],
    jobs: &BTreeSet<String>,
    until: bool,
) -> Result<Selection, SelectError> {
    all_there(jobs, removed, declared.iter().map(|job| job.id.as_str()))?;
    let graph = Graph::from_checked(declared.to_vec());
    let named: BTreeSet<usize> = jobs.iter().filter_map(|job| graph.index(job)).collect();
    let wanted = reached(&graph, &named, Way::Needs);
    let out: BTreeSet<usize> = match until {
        true => reached(&graph, &named, Way::Dependents),
        false => (0..graph.jobs().len()).collect(),
    };
    let reason = match until {
        true => format!("left out: it comes after {}, and the build was to run until there", listed(jobs)),
        false => format!("left out: only what is named runs: {}", listed(jobs)),
    };
    let left_out = out.difference(&wanted).map(|job| (graph.jobs()[*job].id.clone(), reason.clone()));
    // Who asks for a job asks for what it needs.
    let started = wanted.iter().map(|job| &graph.jobs()[*job]).filter(|job| job.manual);
    let started = started.map(|job| job.id.clone()).collect();
    Ok(Selection { left_out: left_out.collect(), started, ..Selection::default() })
}

/// These jobs, and all that can be reached from them.
fn reached(graph: &Graph, from: &BTreeSet<usize>, way: Way) -> BTreeSet<usize> {
    let (mut found, mut open) = (from.clone(), from.iter().copied().collect::<Vec<_>>());
    while let Some(job) = open.pop() {
        let next: Vec<usize> = match way {
            Way::Needs => graph.needs_of(job).iter().flatten().copied().collect(),
            Way::Dependents => graph.dependents_of(job).to_vec(),
        };
        open.extend(next.into_iter().filter(|next| found.insert(*next)));
    }
    found
}
