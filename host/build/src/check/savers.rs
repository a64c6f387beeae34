//! Who saves an artifact.

use std::collections::{HashMap, HashSet};

use super::fields::keyed;
use super::nearest::Nearest;
use super::spec::distinct;
use super::{FaultKind, Report, name, short};
use crate::{Graph, JobDraft};

/// The savers of all artifacts: among the drafts, and in the graph that there is already.
///
/// An action job that says it saves an artifact, as only container jobs do, counts as its saver here, and the other way
/// round: that it can't is a fault of its own, and one mistake should not be reported as two.
pub(super) struct Savers<'a> {
    graph: &'a Graph,
    staying: HashMap<&'a str, First>,
    /// The first removed job that saves an artifact. Of two jobs that save one artifact, a condition may remove one.
    removed: HashMap<&'a str, usize>,
    /// All names, sorted, once somebody wants to see them.
    names: Option<Vec<&'a str>>,
}

/// The first job that saves an artifact, and how many do.
struct First {
    job: usize,
    jobs: usize,
}

/// Who saves an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saver {
    /// A job that is declared now.
    Draft(usize),
    /// A job that the build has already.
    Built(usize),
    /// Only a job that is removed.
    Removed(usize),
    /// Several; which of them is meant? That there are several is the fault to mend first.
    Several,
    /// None.
    Nobody,
}

impl<'a> Savers<'a> {
    /// Reports artifacts that are saved twice.
    pub(super) fn of(drafts: &'a [JobDraft], graph: &'a Graph, report: &mut Report<'_>) -> Self {
        let mut all = Self { graph, staying: HashMap::new(), removed: HashMap::new(), names: None };
        for (job, draft) in drafts.iter().enumerate() {
            if draft.removed.is_some() {
                all.add_removed(drafts, job, report);
            } else {
                all.add_staying(drafts, job, report);
            }
        }
        all
    }

    pub(super) fn saver(&self, artifact: &str) -> Saver {
        match (self.staying.get(artifact), self.graph.saver(artifact), self.removed.get(artifact)) {
            (Some(first), None, _) if first.jobs == 1 => Saver::Draft(first.job),
            (Some(_), _, _) => Saver::Several,
            (None, Some(job), _) => Saver::Built(job),
            (None, None, Some(job)) => Saver::Removed(*job),
            (None, None, None) => Saver::Nobody,
        }
    }

    /// The artifact whose id is nearest to one that nobody saves.
    pub(super) fn nearest(&mut self, artifact: &str, nearest: &mut Nearest) -> Option<String> {
        let names = self.names.get_or_insert_with(|| {
            let mut names: Vec<&str> = self.staying.keys().chain(self.removed.keys()).copied().collect();
            names.extend(self.graph.artifacts());
            names.sort_unstable();
            names
        });
        nearest.of(artifact, names.iter().copied())
    }

    fn add_staying(&mut self, drafts: &'a [JobDraft], job: usize, report: &mut Report<'_>) {
        for (field, id) in saved(&drafts[job]) {
            if let Some(built) = self.graph.saver(id) {
                let saver = self.graph.jobs()[built].id.clone();
                report.add(job, field, FaultKind::DuplicateArtifact { artifact: short(id), saver });
                continue;
            }
            let first = self.staying.entry(id).or_insert(First { job, jobs: 0 });
            if first.jobs > 0 {
                let kind = FaultKind::DuplicateArtifact { artifact: short(id), saver: name(drafts, first.job) };
                report.add(job, field, kind);
            }
            if first.jobs == 0 || first.job != job {
                first.jobs += 1;
            }
        }
    }

    fn add_removed(&mut self, drafts: &'a [JobDraft], job: usize, report: &mut Report<'_>) {
        let mut own = HashSet::new();
        for (field, id) in saved(&drafts[job]) {
            self.removed.entry(id).or_insert(job);
            if !own.insert(id) {
                let kind = FaultKind::DuplicateArtifact { artifact: short(id), saver: name(drafts, job) };
                report.add(job, field, kind);
            }
        }
    }
}

/// The artifacts that a job saves, each with the field that says so.
fn saved(draft: &JobDraft) -> impl Iterator<Item = (String, &str)> {
    let saves = draft.save_artifacts.iter().enumerate();
    let creates = distinct(&draft.creates_artifacts).enumerate();
    saves
        .map(|(position, save)| (keyed("save-artifact", &save.id, position), save.id.as_str()))
        .chain(creates.map(|(position, id)| (keyed("creates-artifact", id, position), id.as_str())))
}
