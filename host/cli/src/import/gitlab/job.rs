//! Jobs of GitLab CI.

use super::{File, Read, files, predefined, rules, settings};
use crate::import::condition::Cond;
use crate::import::model::{Command, Job, Missing, MissingList, Part, Policy, Text, Value};
use crate::import::rows::{Row, at_most, made, with_axis};
use crate::import::variables;
use crate::import::yaml::{Node, Tree};

/// The most jobs that `parallel` makes.
const MAX_ROWS: usize = 200;
/// What of `default` and of the top holds for each job.
const INHERITED: [&str; 11] = [
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "artifacts",
    "retry",
    "timeout",
    "tags",
    "interruptible",
    "hooks",
];

/// What a job consists of.
pub struct Layers {
    pub top: Tree,
    pub default: Option<Tree>,
    /// What the job says itself, over what it extends.
    pub own: Tree,
}

impl Layers {
    /// What a key has for the job.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        let inherited = || self.default.as_ref().and_then(|default| default.get(key)).or_else(|| self.top.get(key));
        self.own.get(key).or_else(|| INHERITED.contains(&key).then(inherited).flatten())
    }
}

/// Reads a job; `None` if nothing of it can be a job here.
pub fn read(file: &File<'_>, name: &str, node: &Tree, missing: &mut MissingList) -> Option<Read> {
    let layers = file.layers(node, missing);
    for (key, what) in [("trigger", "it starts another pipeline"), ("run", "its steps are GitLab's")] {
        if layers.get(key).is_some() {
            missing.push(Missing::of(node, format!("the job is left out: {what}; run that one's script by itself")));
            return None;
        }
    }
    let id = file.ids.get(name)?.clone();
    let mut job = Job { id: id.clone(), place: node.place(), ..Job::default() };
    if name != id {
        job.title = Some(Text::from(name));
    }
    if let Some(parallel) = layers.get("parallel") {
        self::parallel(parallel, &id, &mut job, missing);
    }
    file.variables(&layers.top, &mut job, missing);
    file.variables(&layers.own, &mut job, missing);
    let stage = layers.get("stage").and_then(|stage| stage.text()).unwrap_or("test").to_owned();
    let stage = file.stages.iter().position(|known| *known == stage).unwrap_or_else(|| {
        let why = format!("there is no stage `{stage}`: the job is in the first one");
        missing.push(Missing { place: node.place(), why });
        0
    });
    settings::image(layers.get("image"), node, &mut job, missing);
    for service in layers.get("services").map(|node| node.items()).unwrap_or_default() {
        settings::service(&service, &mut job, missing);
    }
    commands(file, &layers, node, &mut job, missing);
    let allowed = settings::allow_failure(&layers, &mut job, missing);
    let optional = when(file, &layers, allowed, &mut job, missing);
    settings::limits(&layers, &mut job, missing);
    files::artifacts(&layers, &mut job, missing);
    files::caches(&layers, &mut job, missing);
    for (key, why) in settings::WITHOUT {
        if let Some(node) = layers.get(key) {
            missing.push(Missing::of(node, why));
        }
    }
    variables::used(&mut job, predefined, node, missing);
    Some(Read { needs: needs(&layers, missing), dependencies: dependencies(&layers), job, stage, optional })
}

/// A text of the file with variables in it.
pub fn text(node: &Node, job: &Job, missing: &mut MissingList) -> Text {
    variables::text(node, job, predefined, missing)
}

impl File<'_> {
    /// Sets the variables that a part of the file has.
    pub fn variables(&self, layer: &Tree, job: &mut Job, missing: &mut MissingList) {
        for entry in layer.get("variables").map(|variables| variables.entries()).unwrap_or_default() {
            let (value, more) = match entry.value.get("value") {
                Some(value) => (value.clone(), true),
                None => (entry.value.clone(), false),
            };
            if entry.value.is_nothing() {
                entry.value.cover();
            }
            if more {
                for part in entry.value.entries().iter().filter(|part| part.key != "value") {
                    let why = "that of a parameter is said with `build.declare(param(…))`";
                    missing.push(Missing::of(&part.value, why));
                }
            }
            let made = text(&value, job, missing);
            let made = match more {
                // It is there for whoever starts the pipeline.
                true => made
                    .literal()
                    .map(|default| Text::from(Part::Param { name: entry.key.clone(), default: default.to_owned() }))
                    .unwrap_or(made),
                false => made,
            };
            job.set(&entry.key, Value::Text(made));
        }
    }
}

fn commands(file: &File<'_>, layers: &Layers, node: &Tree, job: &mut Job, missing: &mut MissingList) {
    for key in ["before_script", "script"] {
        for line in layers.get(key).map(|list| file.lines(list, missing)).unwrap_or_default() {
            let Some(text) = line.text() else {
                missing.push(Missing::of(&line, "this line is left out: it is no text, or stands in another file"));
                continue;
            };
            let text = Text::from(text.trim_end());
            job.commands.push(Command { line: line.place().line, title: None, text, when: Cond::True });
        }
    }
    if let Some(after) = layers.get("after_script") {
        missing.push(Missing::of(
            after,
            "no line of a job runs after one that failed; make it a job that needs this one, with `.always()`",
        ));
    }
    if job.commands.is_empty() {
        let line = node.place().line;
        let text = Text::from("echo 'nothing of this job could be translated' >&2; exit 1");
        job.commands.push(Command { line, title: None, text, when: Cond::True });
        let why = "the job has no `script` in this file: it fails until it has commands";
        missing.push(Missing { place: node.place(), why: why.to_owned() });
    }
}

/// When the job is there, and how it starts; `true` if later stages do not wait for it.
fn when(file: &File<'_>, layers: &Layers, allowed: Option<bool>, job: &mut Job, missing: &mut MissingList) -> bool {
    let said = layers.get("when").and_then(|when| when.text()).unwrap_or("on_success").to_owned();
    if let Some(list) = layers.get("rules") {
        let items = file.lines(list, missing);
        let rules = rules::read(&items, &said, allowed, job, missing);
        rules::apply(&rules, job);
        return rules::holds_up_nothing(&rules, list, missing);
    }
    for (key, negative) in [("only", false), ("except", true)] {
        if let Some(node) = layers.get(key) {
            let cond = rules::only(node, negative, job, missing);
            if cond != Cond::True {
                job.only_if.push((cond, format!("`{key}` of the job says so")));
            }
        }
    }
    let policy = match said.as_str() {
        "manual" => Policy::Manual,
        "delayed" => {
            if let Some(start) = layers.get("start_in") {
                missing.push(Missing::of(start, "no job starts by itself after a time: a person starts this one"));
            }
            Policy::Manual
        }
        "always" => Policy::Always,
        "on_failure" => Policy::OnFailure,
        "never" => {
            job.only_if.push((Cond::False, "it is never there".to_owned()));
            return false;
        }
        _ => return false,
    };
    job.policies.push((Cond::True, policy));
    // By hand and in no rule, it holds nothing up.
    policy == Policy::Manual && allowed != Some(false)
}

fn needs(layers: &Layers, missing: &mut MissingList) -> Option<Vec<(Tree, String, bool)>> {
    let mut all = Vec::new();
    for item in layers.get("needs")?.items() {
        let name = item.text().or_else(|| item.get("job").and_then(|job| job.text())).map(str::to_owned);
        let Some(name) = name.filter(|_| item.get("project").is_none() && item.get("pipeline").is_none()) else {
            missing.push(Missing::of(&item, "what it needs is of another pipeline"));
            continue;
        };
        let artifacts = item.get("artifacts").and_then(|artifacts| artifacts.text()) != Some("false");
        // A job that is not there is dropped from what others need, in any case.
        item.get("optional").into_iter().for_each(|optional| optional.cover());
        all.push((item.clone(), name, artifacts));
    }
    Some(all)
}

fn dependencies(layers: &Layers) -> Option<Vec<(Tree, String)>> {
    let items = layers.get("dependencies")?.items();
    Some(items.into_iter().filter_map(|item| item.text().map(str::to_owned).map(|name| (item.clone(), name))).collect())
}

/// `parallel`: how many of the job there are, or with which variables.
fn parallel(node: &Tree, id: &str, job: &mut Job, missing: &mut MissingList) {
    if let Some(count) = node.text() {
        match count.parse::<usize>().ok().filter(|count| (1..=MAX_ROWS).contains(count)) {
            Some(count) => {
                let axes = ["CI_NODE_INDEX", "CI_NODE_TOTAL"].map(str::to_owned);
                let row = |number: usize| axes.iter().cloned().zip([number.to_string(), count.to_string()]).collect();
                let rows: Vec<Row> = (1..=count).map(row).collect();
                job.matrix = Some(made(id, axes.to_vec(), &rows, &axes[..1]));
            }
            None => missing.push(Missing::of(node, format!("there is one job: this is no number up to {MAX_ROWS}"))),
        }
    } else if let Some(list) = node.get("matrix") {
        let (mut axes, mut rows) = (Vec::<String>::new(), Vec::new());
        for item in list.items() {
            let mut some = vec![Vec::new()];
            for entry in item.entries() {
                let values: Vec<String> =
                    entry.value.items().iter().filter_map(|value| value.text().map(str::to_owned)).collect();
                if !axes.contains(&entry.key) {
                    axes.push(entry.key.clone());
                }
                with_axis(&mut some, entry, &values, MAX_ROWS, missing);
            }
            rows.extend(some);
        }
        at_most(&mut rows, MAX_ROWS, list, missing);
        job.matrix = Some(made(id, axes, &rows, &[])).filter(|matrix| !matrix.rows.is_empty());
    }
    // Jobs see what their row is.
    let axes: Vec<String> = job.matrix.iter().flat_map(|matrix| matrix.axes.clone()).collect();
    for axis in axes {
        job.set(&axis, Value::Text(Part::Axis(axis.clone()).into()));
    }
}
