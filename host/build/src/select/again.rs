//! Which jobs of an earlier build run again, and which results are reused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Again, Earlier, EarlierJob, Rerun, ReusedJob, SelectError, Selection, Submitted, all_there};
use crate::{Ending, JobKind, JobSpec, RunWhen, Status};

/// Which of the declared jobs run when an earlier build is run again, and what is reused for the others. `gone` has the jobs of which an
/// artifact is not in the store any more, with the artifact.
///
/// - A job runs that is asked for: that did not succeed, or that is named. So does a job that the earlier build did not have, or that is
///   declared otherwise than it was, and one whose artifact is gone.
/// - What needs a job that runs again runs too, unless jobs are asked for alone, or the job only makes its artifacts again.
/// - What a job needs to succeed and has no result to reuse runs too.
/// - A manual job is started when it is named, or needed by one that is, and again when it was started before.
/// - The action that submitted a job runs again when the job does. What it submits then and declared so before is reused, if it
///   succeeded. An action that is asked for, or that needs a job that runs again, does all of its work again.
/// - All others are reused as they ended: also one that failed and is not asked for. One that did not run then is left out, and what
///   was left out then stays so, unless it is named or comes after what is.
///
/// # Errors
/// When a job is not there, or no job is to run.
pub fn select_again(
    earlier: &Earlier,
    declared: &[JobSpec],
    removed: &[(String, String)],
    rerun: &Rerun,
    gone: &BTreeMap<String, String>,
) -> Result<Selection, SelectError> {
    let plan = Plan::new(earlier, declared, rerun, gone);
    if let Again::From(jobs) | Again::Jobs(jobs) = &rerun.what {
        all_there(jobs, removed, plan.nodes.iter().map(|node| node.spec.id.as_str()))?;
    }
    let plan = plan.chosen();
    if plan.runs.iter().all(Option::is_none) && rerun.what == Again::Failed && !declared.is_empty() {
        return Err(SelectError::NothingFailed { build: earlier.build.clone() });
    }
    Ok(plan.selection())
}

/// A job that may run again.
struct Node<'a> {
    spec: &'a JobSpec,
    /// What the earlier build has of it.
    old: Option<&'a EarlierJob>,
    /// Whose action submitted it.
    by: Option<usize>,
    needs: Vec<usize>,
    dependents: Vec<usize>,
    children: Vec<usize>,
}

/// Why a job runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Asked,
    Unsuccessful,
    New,
    Changed,
    Gone,
    /// It needs this one.
    Needs(usize),
    /// This one needs it, and it has no result to reuse.
    NeededBy(usize),
    /// Its action has submitted this one.
    ActionOf(usize),
    /// The action of this one submits it.
    WorkOf(usize),
}

/// A job that runs again.
#[derive(Clone, Copy, Debug)]
struct Run {
    why: Why,
    /// Whether it only makes again what is gone: then what needs it keeps its results.
    quietly: bool,
}

struct Plan<'a> {
    earlier: &'a Earlier,
    rerun: &'a Rerun,
    gone: &'a BTreeMap<String, String>,
    nodes: Vec<Node<'a>>,
    runs: Vec<Option<Run>>,
    open: Vec<usize>,
}

impl<'a> Plan<'a> {
    fn new(
        earlier: &'a Earlier,
        declared: &'a [JobSpec],
        rerun: &'a Rerun,
        gone: &'a BTreeMap<String, String>,
    ) -> Self {
        let (mut nodes, mut index) = (Vec::<Node<'a>>::new(), HashMap::<&str, usize>::new());
        let mut add = |spec: &'a JobSpec, old: Option<&'a EarlierJob>| {
            let by = old.and_then(|old| old.submitted_by.as_deref());
            // An action that is not there any more submits nothing.
            let Some(by) = by.map(|by| index.get(by).copied()).map_or(Some(None), |by| by.map(Some)) else { return };
            if index.insert(&spec.id, nodes.len()).is_none() {
                nodes.push(Node { spec, old, by, needs: Vec::new(), dependents: Vec::new(), children: Vec::new() });
            }
        };
        for spec in declared {
            add(spec, earlier.job(&spec.id).filter(|old| old.submitted_by.is_none()));
        }
        let ids: BTreeSet<&str> = declared.iter().map(|spec| spec.id.as_str()).collect();
        let submitted = earlier.jobs.iter().filter(|old| old.submitted_by.is_some());
        submitted.filter(|old| !ids.contains(old.spec.id.as_str())).for_each(|old| add(&old.spec, Some(old)));
        for at in 0..nodes.len() {
            let needs = nodes[at].spec.needs.iter().filter_map(|need| index.get(need.as_str()).copied());
            nodes[at].needs = needs.collect();
            for need in nodes[at].needs.clone() {
                nodes[need].dependents.push(at);
            }
            if let Some(by) = nodes[at].by {
                nodes[by].children.push(at);
            }
        }
        Self { earlier, rerun, gone, runs: vec![None; nodes.len()], nodes, open: Vec::new() }
    }

    /// Chooses what runs, with all that follows.
    fn chosen(mut self) -> Self {
        for job in 0..self.nodes.len() {
            if let Some(why) = self.first_reason(job) {
                self.run(job, why, why == Why::Gone);
            }
        }
        while let Some(job) = self.open.pop() {
            self.follow(job);
        }
        self
    }

    /// Why a job runs, whatever becomes of the others.
    fn first_reason(&self, job: usize) -> Option<Why> {
        let node = &self.nodes[job];
        let id = node.spec.id.as_str();
        let asked = match &self.rerun.what {
            Again::From(jobs) | Again::Jobs(jobs) => jobs.contains(id),
            Again::Failed => false,
            Again::All => true,
        };
        let alone = matches!(self.rerun.what, Again::Jobs(_));
        let was_left_out = self.was_left_out(job);
        match node.old {
            _ if asked && !(was_left_out && self.rerun.what == Again::All) => Some(Why::Asked),
            _ if alone || was_left_out => None,
            None => Some(Why::New),
            Some(old) if self.differs(node, old) => Some(Why::Changed),
            Some(old) if self.rerun.what == Again::Failed && !succeeded(old) && !old.excused => Some(Why::Unsuccessful),
            Some(_) if self.gone.contains_key(id) => Some(Why::Gone),
            Some(_) => None,
        }
    }

    fn run(&mut self, job: usize, why: Why, quietly: bool) {
        match &mut self.runs[job] {
            // It makes more than what is gone.
            Some(run) if run.quietly && !quietly => *run = Run { why, quietly },
            Some(_) => return,
            none => *none = Some(Run { why, quietly }),
        }
        self.open.push(job);
    }

    /// What follows from it that a job runs.
    fn follow(&mut self, job: usize) {
        let Some(Run { why, quietly }) = self.runs[job] else { return };
        let node = &self.nodes[job];
        let alone = matches!(self.rerun.what, Again::Jobs(_));
        let mut follow = Vec::new();
        if !alone && !quietly {
            // What was left out stays so, unless it is what was asked for.
            let stays = |next: &usize| self.rerun.what == Again::Failed && self.was_left_out(*next);
            let dependents = node.dependents.iter().filter(|next| !stays(next));
            follow.extend(dependents.map(|next| (*next, Why::Needs(job), false)));
        }
        for need in node.needs.iter().copied().filter(|need| self.is_lacking(node.spec, *need)) {
            match self.has_result(need) {
                true => follow.push((need, Why::Gone, true)),
                false => follow.push((need, Why::NeededBy(job), quietly)),
            }
        }
        follow.extend(node.by.map(|by| (by, Why::ActionOf(job), quietly)));
        if matches!(why, Why::Asked | Why::New | Why::Changed | Why::Needs(_) | Why::WorkOf(_)) {
            follow.extend(node.children.iter().map(|next| (*next, Why::WorkOf(job), quietly)));
        }
        for (next, why, quietly) in follow {
            self.run(next, why, quietly);
        }
    }

    /// Whether a job that runs can't run because of what there is of one that it needs.
    fn is_lacking(&self, spec: &JobSpec, need: usize) -> bool {
        match spec.run_when {
            RunWhen::Success => !self.is_usable(need),
            // It takes the other as it ended, if it did.
            RunWhen::Always | RunWhen::Failure => self.nodes[need].old.is_none_or(|old| old.ending.is_none()),
        }
    }

    fn was_left_out(&self, job: usize) -> bool {
        self.earlier.left_out.contains_key(&self.nodes[job].spec.id)
    }

    /// Whether a job succeeded, and all that it saved is there.
    fn is_usable(&self, job: usize) -> bool {
        self.has_result(job) && !self.gone.contains_key(&self.nodes[job].spec.id)
    }

    /// Whether a job succeeded as it is declared.
    fn has_result(&self, job: usize) -> bool {
        let node = &self.nodes[job];
        !self.was_left_out(job) && node.old.is_some_and(|old| succeeded(old) && !self.differs(node, old))
    }

    /// Whether a job is declared otherwise than it was. Where nothing has changed that it could come from, what differs is what differs
    /// in each build, its id, say.
    fn differs(&self, node: &Node<'_>, old: &EarlierJob) -> bool {
        let (now, before) = (node.spec, &old.spec);
        if self.rerun.may_differ() {
            return now != before;
        }
        let saved = |spec: &JobSpec| -> BTreeSet<String> {
            let saved = spec.container().into_iter().flat_map(|container| &container.save_artifacts);
            saved.map(|save| save.id.clone()).chain(spec.creates_artifacts.iter().cloned()).collect()
        };
        let is_action = |spec: &JobSpec| matches!(spec.kind, JobKind::Action);
        now.needs != before.needs || is_action(now) != is_action(before) || saved(now) != saved(before)
    }

    fn selection(&self) -> Selection {
        let mut selection = Selection::default();
        // Whether each job runs, or is reused: what was submitted is in the build with its action only.
        let mut there = vec![false; self.nodes.len()];
        let after = self.after_those_that_run();
        for (job, node) in self.nodes.iter().enumerate() {
            let id = node.spec.id.clone();
            there[job] = true;
            if let Some(run) = self.runs[job] {
                if node.spec.manual && self.starts(node, run.why) {
                    selection.started.push(id.clone());
                }
                selection.again.extend(self.reason(job, run.why).map(|reason| (id, reason)));
                continue;
            }
            let action_runs = node.by.is_some_and(|by| self.runs[by].is_some());
            match self.reused(node).filter(|_| node.by.is_none_or(|by| there[by])) {
                // Its action submits it again, and it runs.
                Some(_) if action_runs && !self.is_usable(job) => {}
                Some(reused) => selection.reused.push(reused),
                // What comes of it comes of the rules, as it did then.
                None if self.is_still_excused(job, &after) => {}
                None => {
                    there[job] = false;
                    if node.by.is_none() {
                        selection.left_out.push((id, self.left_out(node)));
                    }
                }
            }
        }
        selection
    }

    /// Whether a manual job is started: one that is asked for, with what it needs; and one that was started before.
    fn starts(&self, node: &Node<'_>, why: Why) -> bool {
        let named = matches!(self.rerun.what, Again::From(_) | Again::Jobs(_));
        node.old.is_some_and(|old| old.ran) || (named && matches!(why, Why::Asked | Why::NeededBy(_)))
    }

    /// Whether a job was not to run, and is not now either: nothing that it waits for, however far, runs again.
    fn is_still_excused(&self, job: usize, after: &BTreeSet<usize>) -> bool {
        let node = &self.nodes[job];
        let is_it = node.old.is_some_and(|old| old.excused && !old.ran && !self.differs(node, old));
        is_it && !self.was_left_out(job) && !after.contains(&job)
    }

    /// The jobs that need, however far, one that runs again.
    fn after_those_that_run(&self) -> BTreeSet<usize> {
        let mut open: Vec<usize> = (0..self.nodes.len()).filter(|job| self.runs[*job].is_some()).collect();
        let mut after = BTreeSet::new();
        while let Some(job) = open.pop() {
            open.extend(self.nodes[job].dependents.iter().copied().filter(|next| after.insert(*next)));
        }
        after
    }

    /// What is reused of a job; none where there is nothing.
    fn reused(&self, node: &Node<'_>) -> Option<ReusedJob> {
        let old = node.old.filter(|old| !self.differs(node, old))?;
        if self.earlier.left_out.contains_key(&node.spec.id) {
            return None;
        }
        let ending = match old.ending.clone()? {
            ending @ Ending::Reused { .. } => ending,
            ending if old.ran && ending.status() != Status::Cancelled => {
                let (build, duration_ms) = (self.earlier.build.clone(), old.duration_ms);
                Ending::Reused { build, duration_ms, ending: Box::new(ending) }
            }
            // It came to that without having run: there is nothing of it that could be made again.
            ending if ending.is_ok() => ending,
            _ => return None,
        };
        let submitted = old.submitted_by.clone().map(|by| Box::new(Submitted { by, spec: old.spec.clone() }));
        Some(ReusedJob {
            job: node.spec.id.clone(),
            ending,
            results: old.results.clone(),
            // Where it does not run to make them again, it is reused without them.
            artifacts: match self.gone.contains_key(&node.spec.id) {
                false => old.artifacts.iter().map(|(artifact, _)| artifact.clone()).collect(),
                true => Vec::new(),
            },
            submitted,
        })
    }

    /// Why a job does not run of which nothing is reused.
    fn left_out(&self, node: &Node<'_>) -> String {
        let build = &self.earlier.build;
        if let Some(reason) = self.earlier.left_out.get(&node.spec.id) {
            return reason.clone();
        }
        let what = &self.rerun.what;
        match node.old {
            None => format!("left out: the build {build} does not have it, and {what} was to run again"),
            Some(old) if self.differs(node, old) => {
                format!("left out: it is declared otherwise than in the build {build}, and {what} was to run again")
            }
            Some(_) => format!("left out: it has no result in the build {build}, and {what} was to run again"),
        }
    }

    /// Why a job runs again, in words; none for one that the earlier build does not have.
    fn reason(&self, job: usize, why: Why) -> Option<String> {
        let node = &self.nodes[job];
        let old = node.old?;
        let id = |job: usize| &self.nodes[job].spec.id;
        Some(match why {
            Why::New => return None,
            Why::Asked => "it is asked for".to_owned(),
            Why::Unsuccessful => match &old.ending {
                None => "it did not come to its end".to_owned(),
                Some(ending) if old.ran => format!("it {}", verb(ending)),
                Some(_) => "it did not run".to_owned(),
            },
            Why::Changed => "it is declared otherwise than it was".to_owned(),
            Why::Gone => match self.gone.get(&node.spec.id) {
                Some(artifact) => format!("its artifact {artifact:?} is not in the store any more"),
                None => "its artifacts are not in the store any more".to_owned(),
            },
            Why::Needs(other) => format!("it needs {}, which runs again", id(other)),
            Why::NeededBy(other) => format!("{} needs it, and it has no result to reuse", id(other)),
            Why::ActionOf(other) => format!("it submits {}, which runs again", id(other)),
            Why::WorkOf(other) => format!("{} submits it, and does all of its work again", id(other)),
        })
    }
}

/// How a job ended, as a verb.
fn verb(ending: &Ending) -> &'static str {
    match ending.status() {
        Status::Cancelled => "was stopped",
        _ => "failed",
    }
}

/// Whether a job ended so that others went on.
fn succeeded(job: &EarlierJob) -> bool {
    job.ending.as_ref().is_some_and(Ending::is_ok)
}
