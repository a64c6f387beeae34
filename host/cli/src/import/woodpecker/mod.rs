//! Workflow files of Woodpecker, and of Drone where they are the same.
//!
//! Its steps are containers that share one workspace. Here each is a job, and what a step leaves there is handed on as an artifact.

mod step;
mod when;

use std::collections::{BTreeMap, BTreeSet};

use self::step::Step;
use super::condition::Cond;
use super::model::{Fact, Job, Missing, MissingList, Part, Pipeline, Restore, Save, SaveWhen, Text};
use super::rows::{Row, at_most, made, with_axis};
use super::yaml::{Entry, Tree};
use super::{ImportError, System, few, names};

/// The axis that tells the rows of a matrix from each other, in the ids of artifacts.
const ROW: &str = "row";
/// The most rows of a matrix.
const MAX_ROWS: usize = 200;

/// What the file has no place for here.
const WITHOUT: [(&str, &str); 8] = [
    ("clone", "the host checks the code out, with all of its history; jobs that need `.git` say `.with_git()`"),
    ("skip_clone", "each job has the code"),
    ("depends_on", "other workflows are scripts of their own; import them, and share a script if they need each other"),
    ("labels", "jobs run in containers, on the machine of the host"),
    ("workspace", "the code is in the directory where the job begins"),
    ("runs_on", "a job that runs after failures says `.always()` or `.on_failure()`"),
    ("platform", "jobs run on the machine of the host; `.architecture(…)` names another processor"),
    ("volumes", "jobs see no files of the machine"),
];

/// Reads a workflow.
///
/// # Errors
/// When it has no steps.
pub fn read(root: &Tree) -> Result<Pipeline, ImportError> {
    let steps = named(root.get("steps").or_else(|| root.get("pipeline")));
    if steps.is_empty() {
        let reason = "it has no `steps`; a workflow of .woodpecker has";
        return Err(ImportError::NoPipeline { line: root.place().line, system: System::Woodpecker, reason });
    }
    let services: Vec<_> = named(root.get("services")).into_iter().collect();
    few(steps.len() + services.len(), root.place().line)?;
    let mut pipeline = Pipeline::default();
    for (key, why) in WITHOUT {
        if let Some(node) = root.get(key) {
            pipeline.missing.push(Missing::of(node, why));
        }
    }
    let rows = root.get("matrix").map(|matrix| matrix_rows(matrix, &mut pipeline.missing));
    let wanted = root.get("when").map_or(Cond::True, |when| when::read(when, &[], &mut pipeline.missing).cond);
    if wanted != Cond::True {
        pipeline.wanted = Some((wanted, "the workflow does not run for this".to_owned()));
    }
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for (name, node) in &steps {
        let mut job = Job { id: names::distinct(names::id(name), &mut taken), place: node.place(), ..Job::default() };
        if let Some((axes, rows)) = &rows {
            job.matrix = Some(made(&job.id, axes.clone(), rows, &[])).filter(|matrix| !matrix.rows.is_empty());
            let id = job.id.clone();
            if let Some(matrix) = &mut job.matrix {
                matrix.axes.push(ROW.to_owned());
                matrix.rows.iter_mut().for_each(|(row, values)| {
                    values.push(row[id.len().min(row.len())..].trim_start_matches('-').to_owned())
                });
            }
        }
        all.push(step::read(name, node, job, &mut pipeline.missing));
    }
    connect(&mut all, &mut pipeline.missing);
    for one in all.iter_mut().filter(|one| one.detached.is_none()) {
        for (name, node) in &services {
            let service = step::service(name, node, &one.job, &mut pipeline.missing);
            one.job.services.push(service);
        }
    }
    pipeline.jobs = all.into_iter().filter(|one| one.detached.is_none()).map(|one| one.job).collect();
    Ok(pipeline)
}

/// Steps or services and their names: a map, or a list of maps with names.
fn named(node: Option<&Tree>) -> Vec<(String, Tree)> {
    let Some(node) = node else { return Vec::new() };
    if node.is_map() {
        return node.entries().iter().map(|Entry { key, value, .. }| (key.clone(), value.clone())).collect();
    }
    let items = node.items().into_iter().enumerate();
    let name = |item: &Tree| item.get("name").and_then(|name| name.text()).map(str::to_owned);
    items.map(|(at, item)| (name(&item).unwrap_or_else(|| format!("step-{}", at + 1)), item)).collect()
}

/// The axes of a matrix and its rows.
fn matrix_rows(matrix: &Tree, missing: &mut MissingList) -> (Vec<String>, Vec<Row>) {
    let (mut axes, mut rows): (Vec<String>, Vec<Row>) = (Vec::new(), Vec::new());
    let mut pair = |entry: &Entry| {
        if !axes.contains(&entry.key) {
            axes.push(entry.key.clone());
        }
        entry.value.text().map(|value| (entry.key.clone(), value.to_owned()))
    };
    if let Some(include) = matrix.get("include") {
        rows = include.items().iter().map(|item| item.entries().iter().filter_map(&mut pair).collect()).collect();
    } else {
        rows.push(Vec::new());
        for entry in matrix.entries() {
            let values: Vec<String> =
                entry.value.items().iter().filter_map(|value| value.text().map(str::to_owned)).collect();
            if with_axis(&mut rows, entry, &values, MAX_ROWS, missing) {
                axes.push(entry.key.clone());
            }
        }
    }
    at_most(&mut rows, MAX_ROWS, matrix, missing);
    (axes, rows)
}

/// The id of what a step leaves in the workspace.
fn workspace(job: &Job) -> Text {
    let mut id = Text::from(format!("workspace-{}", job.id).chars().take(40).collect::<String>().as_str());
    if job.matrix.is_some() {
        id.push(Part::Literal("-".to_owned()));
        id.push(Part::Axis(ROW.to_owned()));
    }
    id
}

/// Says what each step needs, and hands the workspace on.
fn connect(all: &mut [Step], missing: &mut MissingList) {
    let by_name: BTreeMap<String, usize> = all.iter().enumerate().map(|(at, one)| (one.name.clone(), at)).collect();
    let is_graph = all.iter().any(|one| one.depends_on.is_some());
    let mut handed = BTreeSet::new();
    let mut before: Option<usize> = None;
    for at in 0..all.len() {
        if let Some(service) = all[at].detached.clone() {
            // It goes on beside all that come after it.
            for later in all[at + 1..].iter_mut().filter(|later| later.detached.is_none()) {
                later.job.services.push(service.clone());
            }
            continue;
        }
        let mut needs = Vec::new();
        match all[at].depends_on.take() {
            Some(names) => {
                for (node, name) in names {
                    match by_name.get(&name).filter(|other| all[**other].detached.is_none()) {
                        Some(other) => needs.push(*other),
                        None => missing.push(Missing::of(&node, format!("there is no step `{name}` to wait for"))),
                    }
                }
            }
            None if !is_graph => needs.extend(before),
            None => {}
        }
        for need in needs {
            let (need_id, id) = (all[need].job.id.clone(), workspace(&all[need].job));
            all[at].job.needs.push(need_id);
            if all[need].works {
                handed.insert(need);
                all[at].job.restores.push(Restore { id, path: Text::from("."), at_path: false, if_there: true });
            }
        }
        before = Some(at);
    }
    for at in handed {
        let id = workspace(&all[at].job);
        let when = SaveWhen::Always;
        all[at].job.saves.push(Save { id, path: Text::from("."), files: Vec::new(), when, if_there: false });
        let why = "the steps share one workspace, which is handed on here as an artifact; save less of it, if the others need less";
        missing.push(Missing { place: all[at].job.place.clone(), why: why.to_owned() });
    }
}

/// What Woodpecker sets, as far as a script knows it.
pub fn predefined(name: &str) -> Option<Part> {
    Some(Part::Fact(match name {
        "CI_STEP_NAME" => return Some(Part::Id),
        "CI_COMMIT_SHA" => Fact::Commit,
        "CI_COMMIT_BRANCH" => Fact::Branch,
        "CI_COMMIT_TAG" => Fact::Tag,
        "CI_COMMIT_REF" => Fact::Ref,
        "CI_COMMIT_MESSAGE" => Fact::Message,
        "CI_COMMIT_AUTHOR" => Fact::Author,
        "CI_REPO" => Fact::Slashed,
        "CI_REPO_NAME" => Fact::Repo,
        "CI_REPO_OWNER" => Fact::Org,
        "CI_REPO_DEFAULT_BRANCH" => Fact::MainBranch,
        "CI_REPO_CLONE_URL" => Fact::Url,
        "CI_PIPELINE_NUMBER" => Fact::Build,
        _ => return None,
    }))
}
