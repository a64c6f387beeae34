//! Who saves an artifact, and whether it is there for those who restore it.

use std::collections::{BTreeMap, HashMap};

use super::fields::keyed;
use super::nearest::Nearest;
use super::upstream::{Question, not_upstream};
use super::{FaultKind, Report, name, short};
use crate::JobDraft;

/// Reports artifacts that are saved twice, that nobody saves, and that are restored before they are surely saved.
/// `needs` has the needs of each job, each list sorted.
///
/// An action job that says it saves an artifact counts as its saver here: that it can't is a fault of its own, and one
/// mistake should not be reported as two.
pub(super) fn check(drafts: &[JobDraft], needs: &[Vec<usize>], nearest: &mut Nearest, report: &mut Report<'_>) {
    let savers = savers(drafts, report);
    let mut names: Vec<&str> = savers.keys().copied().collect();
    names.sort_unstable();

    // Each question, and where it comes from: the positions of the restores in their job.
    let mut questions: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (job, draft) in drafts.iter().enumerate().filter(|(_, draft)| draft.container) {
        for (position, restore) in draft.restore_artifacts.iter().enumerate() {
            let artifact = short(&restore.id);
            let fault = match savers.get(restore.id.as_str()) {
                None => {
                    FaultKind::UnknownArtifact { nearest: nearest.of(&restore.id, names.iter().copied()), artifact }
                }
                Some(Saver { jobs: 1, first }) if *first == job => FaultKind::OwnArtifact { artifact },
                Some(Saver { jobs: 1, first }) => {
                    questions.entry((job, *first)).or_default().push(position);
                    continue;
                }
                // Which of its savers is meant? That there are several is the fault to mend first.
                Some(_) => continue,
            };
            report.add(job, keyed("restore-artifact", &restore.id, position), fault);
        }
    }

    let asked: Vec<Question> = questions.keys().map(|&(job, needed)| Question { job, needed }).collect();
    for Question { job, needed } in not_upstream(needs, &asked) {
        for &position in questions.get(&(job, needed)).into_iter().flatten() {
            let id = &drafts[job].restore_artifacts[position].id;
            let kind = FaultKind::ArtifactNotUpstream { artifact: short(id), saver: name(drafts, needed) };
            report.add(job, keyed("restore-artifact", id, position), kind);
        }
    }
}

/// Who saves an artifact.
struct Saver {
    first: usize,
    jobs: usize,
}

fn savers<'a>(drafts: &'a [JobDraft], report: &mut Report<'_>) -> HashMap<&'a str, Saver> {
    let mut savers: HashMap<&str, Saver> = HashMap::new();
    for (job, draft) in drafts.iter().enumerate() {
        for (position, save) in draft.save_artifacts.iter().enumerate() {
            let saver = savers.entry(&save.id).or_insert(Saver { first: job, jobs: 0 });
            if saver.jobs > 0 {
                let kind = FaultKind::DuplicateArtifact { artifact: short(&save.id), saver: name(drafts, saver.first) };
                report.add(job, keyed("save-artifact", &save.id, position), kind);
            }
            if saver.jobs == 0 || saver.first != job {
                saver.jobs += 1;
            }
        }
    }
    savers
}
