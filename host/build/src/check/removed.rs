//! Jobs that a condition removes, and what those that need them need instead.

use std::collections::HashSet;

use super::needs::{Needs, Target};
use crate::JobDraft;

/// The most needs that may come about in place of removed jobs. A few thousand jobs that all need a few thousand removed
/// ones would fill the memory otherwise, and the journal.
const MOST: usize = 2_000_000;

/// Finds what jobs need when removed jobs are gone. Only for needs without circle.
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
    pub(super) fn of(&mut self, job: usize) -> Option<Vec<Target>> {
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
