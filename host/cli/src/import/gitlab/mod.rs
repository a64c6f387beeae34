//! Files of GitLab CI.

mod expression;
mod files;
mod job;
mod rules;
mod settings;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use self::job::Layers;
use super::condition::Cond;
use super::model::{Job, Missing, MissingList, Part, Pipeline};
use super::yaml::{Tree, over};
use super::{ImportError, System, few, names};

/// Keys at the top that are no jobs.
const RESERVED: [&str; 12] = [
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "spec",
    "types",
];
/// How deep references, and what jobs extend, may go: so deep GitLab lets them.
const MAX_DEPTH: usize = 10;
/// How many values of the file references, and what jobs extend, may repeat.
const MAX_REPEATED: usize = 500_000;
const TOO_MUCH: &str = "references, and what jobs extend, repeat more than 500000 values of this file";
const STAGES: [&str; 5] = [".pre", "build", "test", "deploy", ".post"];

/// A file, of which jobs are read.
pub struct File<'a> {
    root: &'a Tree,
    stages: Vec<String>,
    /// The ids of jobs here, by their names.
    ids: BTreeMap<String, String>,
    /// How many values may still be repeated.
    left: Cell<usize>,
    /// What of the parts that jobs extend counts for nothing there.
    replaced: RefCell<Vec<Tree>>,
}

/// Reads a file; `root` is its last document.
///
/// # Errors
/// When it has no jobs.
pub fn read(root: &Tree) -> Result<Pipeline, ImportError> {
    let is_job = |key: &str, value: &Tree| !RESERVED.contains(&key) && !key.starts_with('.') && value.is_map();
    let jobs: Vec<_> = root.entries().iter().filter(|entry| is_job(&entry.key, &entry.value)).collect();
    if jobs.is_empty() {
        let reason = "it has no jobs; a .gitlab-ci.yml has jobs at the top, each with a `script`";
        return Err(ImportError::NoPipeline { line: root.place().line, system: System::GitLab, reason });
    }
    few(jobs.len(), root.place().line)?;
    let mut taken = BTreeSet::new();
    let ids = jobs.iter().map(|job| (job.key.clone(), names::distinct(names::id(&job.key), &mut taken))).collect();
    let stages = root.get("stages").map(|stages| {
        let names = stages.items().iter().filter_map(|stage| stage.text().map(str::to_owned)).collect::<Vec<_>>();
        std::iter::once(".pre".to_owned()).chain(names).chain([".post".to_owned()]).collect()
    });
    let stages = stages.unwrap_or_else(|| STAGES.map(str::to_owned).to_vec());
    let file = File { root, stages, ids, left: Cell::new(MAX_REPEATED), replaced: RefCell::default() };
    let mut pipeline = Pipeline::default();
    let workflow = file.workflow(&mut pipeline);
    if workflow != Cond::True {
        pipeline.wanted = Some((workflow, "the pipeline does not run for this".to_owned()));
    }
    if let Some(include) = root.get("include") {
        let why = "what other files say is not here; import them too, or write down what the jobs take from them";
        pipeline.missing.push(Missing::of(include, why));
    }
    let mut read = Vec::new();
    for entry in jobs {
        read.extend(job::read(&file, &entry.key, &entry.value, &mut pipeline.missing));
    }
    file.replaced.take().iter().for_each(|node| node.cover_untouched());
    connect(&file, &mut read, &mut pipeline.missing);
    for entry in root.entries().iter().filter(|entry| entry.key.starts_with('.')) {
        // Jobs that nobody extends are found as unused; of all others it is enough that their parts are used.
        for name in ["stage", "extends"] {
            entry.value.get(name).into_iter().for_each(|node| node.cover());
        }
    }
    pipeline.jobs = read.into_iter().map(|one| one.job).collect();
    Ok(pipeline)
}

/// A job, and what has to be known of all jobs to say what it needs.
pub struct Read {
    pub job: Job,
    pub stage: usize,
    /// Of `needs`: the jobs, and whether their artifacts are wanted.
    pub needs: Option<Vec<(Tree, String, bool)>>,
    pub dependencies: Option<Vec<(Tree, String)>>,
    /// Later stages do not wait for it.
    pub optional: bool,
}

impl File<'_> {
    /// `workflow`: whether there is a pipeline at all.
    fn workflow(&self, pipeline: &mut Pipeline) -> Cond {
        let Some(workflow) = self.root.get("workflow") else { return Cond::True };
        pipeline.name = workflow.get("name").and_then(|name| name.text()).map(str::to_owned);
        let Some(list) = workflow.get("rules") else { return Cond::True };
        let mut variables = Job::default();
        self.variables(self.root, &mut variables, &mut MissingList::default());
        let rules =
            rules::read(&self.lines(list, &mut pipeline.missing), "always", None, &variables, &mut pipeline.missing);
        rules::included(&rules)
    }

    /// The items of a list; what `!reference` names stands in its place.
    fn lines(&self, list: &Tree, missing: &mut MissingList) -> Vec<Tree> {
        let (mut all, mut open) = (Vec::new(), vec![(list.clone(), 0)]);
        while let Some((node, depth)) = open.pop() {
            match node.tag() {
                Some("reference") => {
                    if depth == MAX_DEPTH {
                        let why = format!(
                            "what it names is left out: references name each other more than {MAX_DEPTH} deep here, or one names itself"
                        );
                        missing.push(Missing::of(&node, why));
                        continue;
                    }
                    let keys: Vec<String> =
                        node.items().iter().filter_map(|key| key.text().map(str::to_owned)).collect();
                    let found = keys.iter().try_fold(self.root, |map, key| map.get(key));
                    match found.filter(|_| !keys.is_empty()) {
                        Some(found) if !self.repeats(found.size()) => {
                            missing.push(Missing::of(&node, format!("what it names is left out: {TOO_MUCH}")));
                        }
                        Some(found) => open.push((found.clone(), depth + 1)),
                        // It is in another file: whoever reads the items lists what is no item.
                        None => all.push(node),
                    }
                }
                _ if node.is_list() => open.extend(node.items().into_iter().rev().map(|item| (item, depth))),
                _ if node.is_nothing() => node.cover(),
                _ => all.push(node),
            }
        }
        all
    }

    /// Whether so much of the file may be repeated once more.
    fn repeats(&self, size: usize) -> bool {
        let left = self.left.get().checked_sub(size);
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }

    /// What a job consists of: what `default` and the top say, what it extends, and what it says itself.
    fn layers(&self, own: &Tree, missing: &mut MissingList) -> Layers {
        let own = self.extended(own, 0, &mut BTreeMap::new(), missing);
        Layers { top: self.root.clone(), default: self.root.get("default").cloned(), own }
    }

    /// A part of the file over what it extends: of several, the later counts before the earlier. `known` are those that have been made
    /// already; `None` of one that is being made.
    fn extended(
        &self,
        own: &Tree,
        depth: usize,
        known: &mut BTreeMap<String, Option<Tree>>,
        missing: &mut MissingList,
    ) -> Tree {
        let mut below: Option<Tree> = None;
        for name in own.get("extends").map(|node| node.items()).unwrap_or_default() {
            let text = name.text().unwrap_or_default().to_owned();
            let base = match (known.get(&text).cloned(), self.root.get(&text)) {
                (Some(Some(made)), _) => made,
                (_, None) => {
                    let why = format!("`{text}` is in another file: what it says is not here");
                    missing.push(Missing::of(&name, why));
                    continue;
                }
                (Some(None), _) => {
                    let why = format!("what `{text}` says is left out here: it extends itself");
                    missing.push(Missing::of(&name, why));
                    continue;
                }
                (None, Some(_)) if depth == MAX_DEPTH => {
                    let why = format!("what `{text}` says is left out here: more than {MAX_DEPTH} extend each other");
                    missing.push(Missing::of(&name, why));
                    continue;
                }
                (None, Some(base)) => {
                    known.insert(text.clone(), None);
                    let made = self.extended(base, depth + 1, known, missing);
                    known.insert(text.clone(), Some(made.clone()));
                    made
                }
            };
            let size = base.size() + below.as_ref().map_or(own.size(), |below| below.size());
            if !self.repeats(size) {
                missing.push(Missing::of(&name, format!("what `{text}` says is left out here: {TOO_MUCH}")));
                continue;
            }
            below = Some(match below {
                Some(below) => over(&base, &below, &mut self.replaced.borrow_mut()),
                None => base,
            });
        }
        below.map_or_else(|| own.clone(), |below| over(own, &below, &mut self.replaced.borrow_mut()))
    }
}

/// Says what each job needs, and which artifacts it begins with.
fn connect(file: &File<'_>, all: &mut [Read], missing: &mut MissingList) {
    let saved: BTreeMap<String, Vec<String>> = all
        .iter()
        .map(|one| {
            let ids = one.job.saves.iter().flat_map(|save| match (save.id.literal(), &one.job.matrix) {
                (Some(id), _) => vec![id.to_owned()],
                (None, Some(matrix)) => matrix.rows.iter().map(|(id, _)| id.clone()).collect(),
                (None, None) => Vec::new(),
            });
            (one.job.id.clone(), ids.collect())
        })
        .collect();
    let stages: Vec<(String, usize, bool)> =
        all.iter().map(|one| (one.job.id.clone(), one.stage, one.optional)).collect();
    let stage_of: BTreeMap<&str, usize> = stages.iter().map(|(id, stage, _)| (id.as_str(), *stage)).collect();
    // Who says what it needs may begin before the stages before it are over.
    let early: BTreeSet<usize> = all.iter().filter(|one| one.needs.is_some()).map(|one| one.stage).collect();
    for one in all.iter_mut() {
        let mut sources = Vec::new();
        match one.needs.take() {
            Some(needs) => {
                for (node, name, artifacts) in needs {
                    match file.ids.get(&name).filter(|id| saved.contains_key(*id)) {
                        Some(id) => {
                            one.job.needs.push(id.clone());
                            if artifacts {
                                sources.push(id.clone());
                            }
                        }
                        None => missing.push(Missing::of(&node, format!("the job `{name}` is not here"))),
                    }
                }
            }
            None => {
                for (id, _, optional) in stages.iter().filter(|(_, stage, _)| *stage < one.stage) {
                    sources.push(id.clone());
                    if !optional {
                        one.job.needs.push(id.clone());
                    }
                }
                // All of the stage before have waited for all of the stages before that, if none of them was early.
                let last = stages
                    .iter()
                    .filter(|(_, stage, optional)| *stage < one.stage && !optional)
                    .map(|(_, stage, _)| *stage)
                    .max();
                if last.is_some_and(|last| !early.contains(&last)) {
                    one.job.needs.retain(|need| stage_of.get(need.as_str()).copied() == last);
                }
            }
        }
        if let Some(dependencies) = one.dependencies.take() {
            sources.clear();
            for (node, name) in dependencies {
                match file.ids.get(&name).filter(|id| saved.contains_key(*id)) {
                    Some(id) => sources.push(id.clone()),
                    None => missing.push(Missing::of(&node, format!("the job `{name}` is not here"))),
                }
            }
        }
        for id in sources.iter().filter_map(|source| saved.get(source)).flatten() {
            let (id, path) = (id.as_str().into(), ".".into());
            one.job.restores.push(super::model::Restore { id, path, at_path: false, if_there: true });
        }
    }
}

/// What GitLab sets, as far as a script knows it.
pub fn predefined(name: &str) -> Option<Part> {
    use super::model::Fact;
    Some(Part::Fact(match name {
        "CI_JOB_NAME" | "CI_JOB_NAME_SLUG" => return Some(Part::Id),
        "CI_COMMIT_SHA" => Fact::Commit,
        "CI_COMMIT_SHORT_SHA" => Fact::ShortCommit,
        "CI_COMMIT_BRANCH" => Fact::Branch,
        "CI_COMMIT_TAG" => Fact::Tag,
        "CI_COMMIT_REF_NAME" => Fact::RefName,
        "CI_COMMIT_REF_SLUG" => Fact::Slug,
        "CI_COMMIT_MESSAGE" => Fact::Message,
        "CI_COMMIT_AUTHOR" => Fact::Author,
        "CI_DEFAULT_BRANCH" => Fact::MainBranch,
        "CI_PROJECT_NAME" => Fact::Repo,
        "CI_PROJECT_NAMESPACE" => Fact::Org,
        "CI_PROJECT_PATH" => Fact::Slashed,
        "CI_REPOSITORY_URL" => Fact::Url,
        "CI_PIPELINE_ID" | "CI_PIPELINE_IID" => Fact::Build,
        _ => return None,
    }))
}
