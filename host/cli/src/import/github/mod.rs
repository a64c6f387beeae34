//! Workflow files of GitHub Actions, and of Gitea and Forgejo, which have the same.

mod expression;
mod jobs;
mod matrix;
mod starts;
mod steps;
mod text;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use super::condition::Cond;
use super::model::{Missing, MissingList, Pipeline};
use super::yaml::Tree;
use super::{ImportError, System, few, names};

/// Reads a workflow.
///
/// # Errors
/// When it is none.
pub fn read(root: &Tree) -> Result<Pipeline, ImportError> {
    let none = |reason| ImportError::NoPipeline { line: root.place().line, system: System::GitHub, reason };
    let jobs = root.get("jobs").filter(|jobs| !jobs.entries().is_empty());
    let jobs = jobs.ok_or_else(|| none("it has no `jobs`; a workflow of .github/workflows has"))?;
    few(jobs.entries().len(), jobs.place().line)?;
    let mut pipeline =
        Pipeline { name: root.get("name").and_then(|name| name.text()).map(str::to_owned), ..Pipeline::default() };
    without(root, &mut pipeline.missing);
    let starts = starts::read(root.get("on"), &mut pipeline.missing);
    if starts.cond != Cond::True {
        pipeline.wanted = Some((starts.cond.clone(), "the workflow does not run for this".to_owned()));
    }
    let mut taken = BTreeSet::new();
    let ids: BTreeMap<String, String> = jobs
        .entries()
        .iter()
        .map(|entry| (entry.key.clone(), names::distinct(names::id(&entry.key), &mut taken)))
        .collect();
    let outputs = jobs::outputs(jobs, &mut pipeline.missing);
    let workflow = jobs::Workflow { root, ids: &ids, outputs: &outputs, starts: &starts };
    for entry in jobs.entries() {
        if let Some(job) = workflow.job(entry, &mut pipeline.missing) {
            pipeline.jobs.push(job);
        }
    }
    Ok(pipeline)
}

/// Lists what a workflow or a job says that this host has no place for.
fn without(node: &Tree, missing: &mut MissingList) {
    for (key, why) in [
        ("run-name", "a build has the id that the host gives it"),
        ("environment", "the host has no environments; a job that a person has to agree to says `.approval(…)`"),
        ("concurrency", "builds of this host do not stop each other"),
        ("permissions", "jobs get no token of GitHub; give one as a secret to the job that needs it"),
    ] {
        if let Some(node) = node.get(key) {
            missing.push(Missing::of(node, why));
        }
    }
}
