//! What the end of a job means for those that need it, and for those of its fail-fast group.

use std::collections::BTreeSet;
use std::ops::Range;

use super::book::Stage;
use super::schedule::Schedule;
use super::{Effect, StopReason};
use crate::{Ending, JobSpec, LateValue, RunWhen};

impl Schedule {
    /// Looks whether a job's turn has come: whether all that it needs is over, and the condition it runs under is true.
    pub(super) fn settle(&mut self, job: usize, effects: &mut Vec<Effect>) {
        if self.books[job].open > 0 || self.books[job].stage != Stage::Needs {
            return;
        }
        // A job that runs on success has been skipped when the first of its needs did not succeed.
        if self.spec(job).run_when == RunWhen::Failure {
            let mut needs = self.graph.needs_of(job).iter().flatten();
            if !needs.any(|&need| self.has_failed(need)) {
                let reason = "it runs on a failure, and no job that it needs has failed".to_owned();
                return self.decide(job, Ending::NotNeeded { reason }, effects);
            }
        }
        self.clear(job, effects);
    }

    /// Skips the jobs that can't do without one that has ended.
    pub(super) fn skip_without(&mut self, job: usize, effects: &mut Vec<Effect>) {
        let Some(ending) = &self.states[job].ending else { return };
        let excused = ending.is_intended_skip() || self.books[job].excused;
        let mut doomed = BTreeSet::new();
        for &dependent in self.graph.dependents_of(job) {
            if self.can_be_skipped(dependent) && self.lacks(dependent, job) {
                doomed.insert(dependent);
            }
        }
        self.skip(doomed, excused, effects);
    }

    /// Skips those of some new jobs whose needs can never come true: because one is over and did not succeed, does not
    /// exist, or lies on a cycle. Checked jobs have needs of the first kind only.
    pub(super) fn skip_hopeless(&mut self, new: Range<usize>, effects: &mut Vec<Effect>) {
        let mut lost = self.lost(new.clone());
        let mut excused = BTreeSet::new();
        for job in new.filter(|&job| self.can_be_skipped(job)) {
            let lacking = |need: &&usize| self.lacks(job, **need);
            match self.graph.needs_of(job).iter().flatten().find(lacking) {
                _ if lost.contains(&job) => {}
                Some(&need) if self.is_excused(need) => _ = excused.insert(job),
                Some(_) => _ = lost.insert(job),
                None => {}
            }
        }
        self.skip(lost, false, effects);
        excused.retain(|&job| self.books[job].stage == Stage::Needs);
        self.skip(excused, true, effects);
    }

    /// Ends the other jobs of the fail-fast group of a job that has failed.
    pub(super) fn fail_fast(&mut self, job: usize, effects: &mut Vec<Effect>) {
        let (because, name) = (self.spec(job).id.clone(), self.spec(job).fail_fast.clone());
        let Some((name, group)) = name.and_then(|name| Some((name.clone(), self.groups.get_mut(&name)?))) else {
            return;
        };
        if group.failed.is_some() {
            return;
        }
        group.failed = Some(because.clone());
        for other in group.jobs.clone() {
            // It may have left the group when the script completed it.
            if self.spec(other).fail_fast.as_ref() != Some(&name) {
                continue;
            }
            if self.books[other].is_going() {
                self.stop(other, StopReason::FailedFast { group: name.clone(), because: because.clone() }, effects);
            } else if self.books[other].is_waiting() {
                self.decide(other, Ending::FailedFast { group: name.clone(), because: because.clone() }, effects);
            }
        }
    }

    /// The job's fail-fast group and the job of it that failed, if one has.
    pub(super) fn failed_group(&self, job: usize) -> Option<(String, String)> {
        let name = self.spec(job).fail_fast.as_ref()?;
        let failed = self.groups.get(name)?.failed.as_ref()?;
        Some((name.clone(), failed.clone()))
    }

    /// Lets jobs end as skipped, and with them all that need them in order to succeed. All of them are decided before the
    /// reasons are looked up, so that a reason does not depend on who was looked at first.
    fn skip(&mut self, mut doomed: BTreeSet<usize>, excused: bool, effects: &mut Vec<Effect>) {
        let mut open: Vec<usize> = doomed.iter().copied().collect();
        while let Some(job) = open.pop() {
            for &dependent in self.graph.dependents_of(job) {
                if self.can_be_skipped(dependent) && doomed.insert(dependent) {
                    open.push(dependent);
                }
            }
        }
        for &job in &doomed {
            self.books[job].stage = Stage::Ending(Ending::Skipped { because: String::new() });
            self.books[job].excused = excused;
        }
        for job in doomed {
            let lacks = |need: &Option<usize>| need.is_none_or(|need| self.lacks(job, need));
            let first = self.graph.needs_of(job).iter().position(lacks);
            let because = first.map(|first| self.spec(job).needs[first].clone()).unwrap_or_default();
            self.decide(job, Ending::Skipped { because }, effects);
        }
    }

    /// Whether a job is skipped when one that it needs does not succeed.
    fn can_be_skipped(&self, job: usize) -> bool {
        self.books[job].stage == Stage::Needs && self.spec(job).run_when == RunWhen::Success
    }

    /// Whether a job that runs on success can't run because of how one that it needs ended, or is about to end.
    pub(super) fn lacks(&self, job: usize, need: usize) -> bool {
        match self.ending(need).map(Ending::itself) {
            None => false,
            Some(Ending::NotNeeded { .. }) => self.takes_from(job, need),
            Some(ending) => !ending.is_ok(),
        }
    }

    /// Whether a job restores an artifact of another one, and can't do without, or reads an output of it.
    fn takes_from(&self, job: usize, need: usize) -> bool {
        let Some(container) = self.spec(job).container() else { return false };
        let id = &self.spec(need).id;
        container.restore_artifacts.iter().any(|it| !it.if_there && self.graph.saver(&it.id) == Some(need))
            || container.late_env.values().any(|value| matches!(value, LateValue::Output { job, .. } if job == id))
    }

    /// Whether a job counts as failed for those that run on failure.
    pub(super) fn has_failed(&self, job: usize) -> bool {
        !self.is_excused(job) && self.ending(job).is_some_and(|ending| !ending.is_ok())
    }

    fn is_excused(&self, job: usize) -> bool {
        self.books[job].excused || self.ending(job).is_some_and(Ending::is_intended_skip)
    }

    /// How a job ended, or is to end.
    fn ending(&self, job: usize) -> Option<&Ending> {
        match &self.books[job].stage {
            Stage::Ending(ending) => Some(ending),
            _ => self.states[job].ending.as_ref(),
        }
    }

    /// Those of some new jobs that have a need that does not exist, lie on a cycle, or need one that does.
    fn lost(&self, new: Range<usize>) -> BTreeSet<usize> {
        let first = new.start;
        let is_new = |need: &&Option<usize>| need.is_some_and(|need| need >= first);
        let mut unmet: Vec<usize> =
            new.clone().map(|job| self.graph.needs_of(job).iter().filter(is_new).count()).collect();
        let mut open: Vec<usize> = new.clone().filter(|&job| unmet[job - first] == 0).collect();
        while let Some(job) = open.pop() {
            for &dependent in self.graph.dependents_of(job) {
                unmet[dependent - first] -= 1;
                if unmet[dependent - first] == 0 {
                    open.push(dependent);
                }
            }
        }
        let missing = |job: usize| self.graph.needs_of(job).contains(&None);
        let waits = |job: &usize| self.books[*job].stage == Stage::Needs;
        new.filter(|&job| unmet[job - first] > 0 || missing(job)).filter(waits).collect()
    }

    fn spec(&self, job: usize) -> &JobSpec {
        &self.graph.jobs()[job]
    }
}
