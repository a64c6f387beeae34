//! Jobs that a condition removes, and what those that need them need instead.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::needs::{Needs, Target};
use super::spec::distinct;
use super::{short, words};
use crate::{JobDraft, LateValue, RunWhen};

/// The most needs that may come about in place of removed jobs. A few thousand jobs that all need a few thousand removed
/// ones would fill the memory otherwise, and the journal.
pub(crate) const MOST: usize = 2_000_000;

/// Finds what jobs need when removed jobs are gone. Only for needs without cycle.
pub(super) struct Replacement<'a> {
    drafts: &'a [JobDraft],
    needs: &'a [Needs],
    /// What each removed job needs when those that it needs are gone, once somebody wanted to know.
    known: Vec<Option<Vec<Target>>>,
    left: usize,
}

impl<'a> Replacement<'a> {
    pub(super) fn new(drafts: &'a [JobDraft], needs: &'a [Needs]) -> Self {
        Self { drafts, needs, known: vec![None; drafts.len()], left: MOST }
    }

    /// What a job needs, without repetition: instead of a removed job, what that one needs. None when there are too many.
    ///
    /// A job that runs on a failure takes nothing in place of a removed one: it would run on the failure of a job that it never
    /// named, and roll back what was never done.
    pub(super) fn of(&mut self, job: usize) -> Option<Vec<Target>> {
        if runs_on_failure(&self.drafts[job]) {
            let removed: HashSet<usize> = self.removed_needs(job).collect();
            let stays = |target: &Target| !matches!(target, Target::Draft(needed) if removed.contains(needed));
            return Some(self.needs[job].iter().map(|(target, _)| *target).filter(stays).collect());
        }
        let mut open: Vec<usize> = self.removed_needs(job).collect();
        while let Some(&removed) = open.last() {
            if self.known[removed].is_some() {
                open.pop();
                continue;
            }
            let before = open.len();
            let unknown: Vec<usize> =
                self.removed_needs(removed).filter(|&needed| self.known[needed].is_none()).collect();
            open.extend(unknown);
            if open.len() == before {
                self.known[removed] = Some(self.put_together(removed)?);
                open.pop();
            }
        }
        self.put_together(job)
    }

    /// The removed jobs that a job needs itself.
    pub(super) fn removed_needs(&self, job: usize) -> impl Iterator<Item = usize> {
        self.needs[job].iter().filter_map(|(target, _)| match target {
            Target::Draft(needed) if self.drafts[*needed].removed.is_some() => Some(*needed),
            _ => None,
        })
    }

    /// The needs of a job all of whose removed needs are known.
    fn put_together(&mut self, job: usize) -> Option<Vec<Target>> {
        let mut seen = HashSet::new();
        let mut together = Vec::new();
        for (target, _) in &self.needs[job] {
            let instead = match target {
                Target::Draft(needed) => self.known[*needed].as_deref(),
                Target::Built(_) => None,
            };
            if let Some(instead) = instead {
                self.left = self.left.checked_sub(instead.len() + 1)?;
                together.extend(instead.iter().copied().filter(|target| seen.insert(*target)));
            } else if seen.insert(*target) {
                together.push(*target);
            }
        }
        Some(together)
    }
}

/// The drafts, where those are removed too that run on a failure of nothing but removed jobs.
pub(super) fn without_causes<'a>(drafts: &'a [JobDraft], ids: &HashMap<&str, usize>) -> Cow<'a, [JobDraft]> {
    /// A job that runs on a failure: what it needs, and how much of that stays.
    struct Waiting {
        first: usize,
        needs: usize,
        stay: usize,
    }
    let mut waiting: HashMap<usize, Waiting> = HashMap::new();
    let mut by_need: HashMap<usize, Vec<usize>> = HashMap::new();
    for (job, draft) in drafts.iter().enumerate() {
        if draft.removed.is_some() || !runs_on_failure(draft) || !needs_by_name_only(draft) {
            continue;
        }
        // A need that there is not is a fault of its own.
        let Some(needs) =
            distinct(&draft.needs).map(|need| ids.get(need.as_str()).copied()).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let Some(&first) = needs.first() else { continue };
        waiting.insert(job, Waiting { first, needs: needs.len(), stay: needs.len() });
        needs.into_iter().for_each(|need| by_need.entry(need).or_default().push(job));
    }
    let mut gone: Vec<usize> = by_need.keys().copied().filter(|&need| drafts[need].removed.is_some()).collect();
    let mut all = Cow::Borrowed(drafts);
    while let Some(need) = gone.pop() {
        for job in by_need.get(&need).into_iter().flatten() {
            let Some(Waiting { first, needs, stay }) = waiting.get_mut(job) else { continue };
            *stay -= 1;
            if *stay == 0 {
                let first = short(&drafts[*first].id);
                let reason = match *needs - 1 {
                    0 => format!("it runs on a failure of {first:?}, which is removed"),
                    more => format!("it runs on a failure of {first:?} or {more} more, which are all removed"),
                };
                all.to_mut()[*job].removed = Some(reason);
                gone.push(*job);
            }
        }
    }
    all
}

fn runs_on_failure(draft: &JobDraft) -> bool {
    draft.run_when.as_deref().and_then(words::run_when) == Some(RunWhen::Failure)
}

/// Whether nothing but `needs` says what a job needs. The others can't be removed without a fault.
fn needs_by_name_only(draft: &JobDraft) -> bool {
    draft.requires.is_empty()
        && draft.restore_artifacts.iter().all(|restore| restore.if_there)
        && !draft.late_env.iter().any(|(_, value)| matches!(value, LateValue::Output { .. }))
}
