//! Who needs whom: by what a job says, by the artifacts it restores, and by the outputs it reads.

use std::collections::{HashMap, HashSet};

use super::cycles::cycles;
use super::fields::{keyed, late_field};
use super::nearest::Nearest;
use super::savers::{Saver, Savers};
use super::spec::distinct;
use super::{FaultKind, NeedCause, Report, name, short};
use crate::{Graph, JobDraft, LateValue};

/// A job that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Target {
    /// One that is declared now.
    Draft(usize),
    /// One that the build has already.
    Built(usize),
}

/// The needs of one job, without repetition, in the order in which they are to be told.
pub(super) type Needs = Vec<(Target, NeedCause)>;

/// The needs of each job that make sense; the others are reported, and so are cycles.
pub(super) fn check(
    drafts: &[JobDraft],
    graph: &Graph,
    ids: &HashMap<&str, usize>,
    report: &mut Report<'_>,
) -> Vec<Needs> {
    let savers = Savers::of(drafts, graph, report);
    let mut search = Search { drafts, graph, ids, savers, nearest: Nearest::new() };
    let all: Vec<Needs> = (0..drafts.len()).map(|job| search.needs(job, report)).collect();
    report_cycles(drafts, &all, report);
    all
}

struct Search<'a> {
    drafts: &'a [JobDraft],
    graph: &'a Graph,
    ids: &'a HashMap<&'a str, usize>,
    savers: Savers<'a>,
    nearest: Nearest,
}

impl Search<'_> {
    fn needs(&mut self, job: usize, report: &mut Report<'_>) -> Needs {
        let drafts = self.drafts;
        let draft = &drafts[job];
        let mut found = Found::default();
        for need in distinct(&draft.needs) {
            found.add(self.target(job, "needs", need, report), NeedCause::Needs);
        }
        for need in distinct(&draft.requires) {
            let target = self.target(job, "requires", need, report);
            if self.goes(job, target) {
                report.add(job, "requires", FaultKind::RequiresRemoved { need: short(need) });
            }
            found.add(target, NeedCause::Needs);
        }
        // That an action job restores anything is a fault of its own.
        for (position, restore) in draft.restore_artifacts.iter().enumerate().filter(|_| draft.container) {
            match self.saver(job, &restore.id, restore.if_there) {
                Err(kind) => report.add(job, keyed("restore-artifact", &restore.id, position), kind),
                Ok(target) => found.add(target.filter(|_| !restore.if_there), NeedCause::RestoresArtifact),
            }
        }
        for (position, (variable, value)) in draft.late_env.iter().enumerate().filter(|_| draft.container) {
            if let LateValue::Output { job: producer, .. } = value {
                let field = late_field(variable, value, position);
                let target = self.target(job, &field, producer, report);
                if self.goes(job, target) {
                    report.add(job, field, FaultKind::OutputOfRemoved { producer: short(producer) });
                }
                found.add(target, NeedCause::ReadsOutput);
            }
        }
        found.needs
    }

    /// The job of this id; one that there is not, or that is the job itself, is reported.
    fn target(&mut self, job: usize, field: &str, need: &str, report: &mut Report<'_>) -> Option<Target> {
        // By id and not by index: a second job of an id that needs the first one looks like this too.
        if need == self.drafts[job].id {
            report.add(job, field, FaultKind::NeedsItself);
            return None;
        }
        let target = self.ids.get(need).map(|&job| Target::Draft(job));
        let target = target.or_else(|| self.graph.index(need).map(Target::Built));
        if target.is_none() {
            let drafts = self.drafts.iter().map(|draft| draft.id.as_str());
            let all = drafts.chain(self.graph.jobs().iter().map(|job| job.id.as_str()));
            // Nobody meant that a job needs itself.
            let nearest = self.nearest.of(need, all.filter(|id| *id != self.drafts[job].id));
            report.add(job, field, FaultKind::UnknownNeed { need: short(need), nearest });
        }
        target
    }

    /// The job that saves this artifact, if it is clear which one does and the artifact has to be there.
    fn saver(&mut self, job: usize, id: &str, if_there: bool) -> Result<Option<Target>, FaultKind> {
        let artifact = short(id);
        match self.savers.saver(id) {
            Saver::Draft(saver) if saver == job => Err(FaultKind::OwnArtifact { artifact }),
            Saver::Draft(saver) => Ok(Some(Target::Draft(saver))),
            Saver::Built(saver) => Ok(Some(Target::Built(saver))),
            Saver::Removed(saver) if saver == job => Err(FaultKind::OwnArtifact { artifact }),
            Saver::Removed(saver) if if_there || self.drafts[job].removed.is_some() => Ok(Some(Target::Draft(saver))),
            Saver::Removed(saver) => Err(FaultKind::ArtifactOfRemoved { artifact, saver: name(self.drafts, saver) }),
            Saver::Several => Ok(None),
            Saver::Nobody => {
                let nearest = self.savers.nearest(id, &mut self.nearest);
                Err(FaultKind::UnknownArtifact { artifact, nearest })
            }
        }
    }

    /// Whether a job that stays needs one that is removed.
    fn goes(&self, job: usize, target: Option<Target>) -> bool {
        let removed = |job: usize| self.drafts[job].removed.is_some();
        !removed(job) && matches!(target, Some(Target::Draft(needed)) if removed(needed))
    }
}

#[derive(Default)]
struct Found {
    needs: Needs,
    seen: HashSet<Target>,
}

impl Found {
    fn add(&mut self, target: Option<Target>, cause: NeedCause) {
        if let Some(target) = target.filter(|target| self.seen.insert(*target)) {
            self.needs.push((target, cause));
        }
    }
}

/// A job that the build has already needs none that is declared now, so cycles are made of drafts. Removed jobs are on
/// cycles too: what needs them would need, instead, what they need.
fn report_cycles(drafts: &[JobDraft], all: &[Needs], report: &mut Report<'_>) {
    let mut targets = Vec::with_capacity(all.len());
    let mut causes = Vec::with_capacity(all.len());
    for needs in all {
        let draft = |(target, cause): &(Target, NeedCause)| match target {
            Target::Draft(job) => Some((*job, *cause)),
            Target::Built(_) => None,
        };
        let mut needs: Vec<_> = needs.iter().filter_map(draft).collect();
        needs.sort_unstable_by_key(|(job, _)| *job);
        let (of_job, why): (Vec<usize>, Vec<NeedCause>) = needs.into_iter().unzip();
        targets.push(of_job);
        causes.push(why);
    }
    for cycle in cycles(&targets) {
        let cause = |at: usize| {
            let (job, next) = (cycle[at], cycle[(at + 1) % cycle.len()]);
            let place = targets[job].binary_search(&next);
            place.map_or(NeedCause::Needs, |place| causes[job][place])
        };
        let mut why: Vec<NeedCause> = (0..cycle.len()).map(cause).collect();
        if why.iter().all(|cause| *cause == NeedCause::Needs) {
            why.clear();
        }
        let path = cycle.iter().map(|&job| name(drafts, job)).collect();
        report.add(cycle[0], "needs", FaultKind::Cycle { path, causes: why });
    }
}
