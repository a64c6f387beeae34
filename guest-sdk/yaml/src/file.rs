//! Whole files, each one job, a list of jobs, or a map with `jobs`, `params` and `defaults`; together they are one graph.

use std::collections::BTreeMap;

use monkeyci_sdk::prelude::*;

use crate::job;
use crate::keys::{DOCUMENT, JOB, MATRIX_REFUSED, PARAM, meant};
use crate::reader::{Context, Map, Reader};
use crate::tree::{At, Entry, Fault, Kind, Node, Tree};

/// What begins with this at the top of a file is the author's own: what anchors are for, say.
const OWN: &str = "x-";

/// The most jobs that a matrix may be.
const COMBINATIONS: usize = 1000;

/// A job of a file before it is read.
struct Found<'t> {
    file: usize,
    id: String,
    at: At,
    map: Map<'t>,
    /// The values of the matrix, for each job that it stands for; one without values if it has none.
    jobs: Vec<(String, Vec<(String, String)>)>,
    is_matrix: bool,
}

/// The jobs of all files of a script, as one graph; or all that is wrong with them.
pub fn jobs(build: &Build, roots: &[Tree]) -> std::result::Result<Vec<ContainerJob>, Vec<Fault>> {
    let mut context = Context::new(build);
    let (mut tops, mut params, mut declared) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (file, root) in roots.iter().enumerate() {
        context.reads(file);
        let Some(top) = top(&context, root) else { continue };
        let reader = Reader { context: &context, matrix: None };
        for entry in top.params.map_or(&[][..], |params| reader.names(params)) {
            if let Some((first, at)) = declared.insert(entry.key.clone(), (file, entry.at)) {
                let message = format!("the parameter `{}` is declared twice", entry.key);
                context.fault(Fault::new(entry.at, message).with_in(first, at));
            } else {
                params.insert(entry.key.clone(), parameter(reader, entry));
            }
        }
        tops.push((file, top));
    }
    context.params = params;
    let mut found = Vec::new();
    for (file, top) in &tops {
        context.reads(*file);
        find(&context, *file, top, &mut found);
    }
    context.jobs =
        found.iter().map(|job| (job.id.clone(), job.jobs.iter().map(|(id, _)| id.clone()).collect())).collect();
    each_once(&context, &found);
    let mut jobs = Vec::new();
    for Found { file, at, map, jobs: several, is_matrix, .. } in found.drain(..) {
        context.reads(file);
        for (id, values) in several {
            let reader = Reader { context: &context, matrix: is_matrix.then_some(values.as_slice()) };
            let Some(job) = job::job(reader, &id, at, &map) else { continue };
            jobs.push(values.iter().fold(job, |job, (axis, value)| job.label(axis, value)));
        }
    }
    match context.faults() {
        faults if faults.is_empty() => Ok(jobs),
        faults => Err(faults),
    }
}

/// The parts of a file.
struct Top<'t> {
    params: Option<&'t Tree>,
    defaults: Option<Map<'t>>,
    /// Each with its id, if that is a key.
    jobs: Vec<(Option<&'t Entry>, &'t Node)>,
}

fn top<'t>(context: &Context<'_>, root: &'t Tree) -> Option<Top<'t>> {
    let reader = Reader { context, matrix: None };
    let list = |items: &'t [Tree]| items.iter().map(|item| (None, &**item)).collect();
    let entries = match &root.kind {
        Kind::List(items) => return Some(Top { params: None, defaults: None, jobs: list(items) }),
        Kind::Map(entries) => entries,
        _ => {
            let message =
                format!("a script is a job, a list of jobs, or a map that has `jobs`, and not {}", root.what());
            reader.fault(root.at, message);
            return None;
        }
    };
    // A single job, as MonkeyCI has it.
    let is_document = entries.iter().any(|entry| DOCUMENT.find(&entry.key).is_ok());
    if !is_document && entries.iter().any(|entry| JOB.is_near(&entry.key)) {
        return Some(Top { params: None, defaults: None, jobs: vec![(None, root)] });
    }
    let (mut params, mut defaults, mut jobs) = (None, None, None);
    for entry in entries.iter().filter(|entry| !entry.key.starts_with(OWN)) {
        match DOCUMENT.find(&entry.key) {
            Ok("params") => params = Some(&entry.value),
            Ok("defaults") => defaults = reader.map(&entry.value, &JOB),
            Ok(_) => jobs = Some(&entry.value),
            Err(message) if JOB.find(&entry.key).is_ok() => {
                reader
                    .fault(entry.at, format!("{message}; a job's keys stand in a job, or in `defaults` for all jobs"));
            }
            Err(message) => {
                reader.fault(entry.at, format!("{message}; what begins with `{OWN}` is your own"));
            }
        }
    }
    for key in ["id", "matrix", "needs", "requires"] {
        if let Some(entry) = defaults.as_ref().and_then(|map| map.entry(key)) {
            reader.fault(entry.at, format!("`{key}` is a job's own, and no default"));
        }
    }
    let jobs = match jobs.map(|jobs| (jobs, &jobs.kind)) {
        Some((_, Kind::List(items))) => list(items),
        Some((_, Kind::Map(entries))) => entries.iter().map(|entry| (Some(entry), &*entry.value)).collect(),
        Some((jobs, _)) => {
            reader.fault(
                jobs.at,
                format!("`jobs` is a list of jobs, or a map of them by their ids, and not {}", jobs.what()),
            );
            return None;
        }
        None => {
            reader.fault(root.at, "the script has no `jobs`");
            return None;
        }
    };
    Some(Top { params, defaults, jobs })
}

/// Declares a parameter, and returns its value.
fn parameter(reader: Reader<'_>, Entry { key: name, at, value: node }: &Entry) -> Option<String> {
    let build = reader.context.build;
    match &node.kind {
        Kind::Map(_) => reader.map(node, &PARAM).and_then(|map| typed(reader, name, *at, &map)),
        Kind::Nothing => told(reader, *at, build.declare(param(name))),
        _ => told(reader, *at, build.declare(param(name).default(reader.plain(node)?)).map(Some)),
    }
}

fn typed(reader: Reader<'_>, name: &str, at: At, map: &Map<'_>) -> Option<String> {
    let build = reader.context.build;
    let default = map.get("default").and_then(|node| reader.plain(node));
    let described = |declared: monkeyci_sdk::Param<String>| match map.get("description").and_then(|it| reader.plain(it))
    {
        Some(text) => declared.description(text),
        None => declared,
    };
    let kind = match map.get("type") {
        Some(node) => reader.parsed(node, "text, integer, number, boolean or choice", |kind| {
            ["text", "integer", "number", "boolean", "choice"].contains(&kind).then(|| kind.to_owned())
        })?,
        None if map.get("choices").is_some() => "choice".to_owned(),
        None => "text".to_owned(),
    };
    let is_required = reader.is(map, "required");
    // The declaration looks after the value; what stands in jobs is the value as it was given.
    macro_rules! declare {
        ($declared:expr, $type:ty) => {{
            let declared = $declared;
            let declared = match (&default, is_required) {
                (Some(default), _) => match default.parse::<$type>() {
                    Ok(value) => build.declare(declared.default(value)).map(drop),
                    Err(_) => {
                        reader.fault(at, format!("the default of the parameter `{name}`, {default:?}, is no {kind}"));
                        return None;
                    }
                },
                (None, true) => build.declare(declared.required()).map(drop),
                (None, false) => build.declare(declared).map(drop),
            };
            told(reader, at, declared.and_then(|()| build.param(name)))
        }};
    }
    let declared = described(param(name));
    let given = match kind.as_str() {
        "integer" => declare!(declared.integer(), i64),
        "number" => declare!(declared.number(), f64),
        "boolean" => declare!(declared.boolean(), bool),
        "choice" => {
            let choices = map.get("choices").map(|choices| reader.texts(choices)).unwrap_or_default();
            declare!(declared.choice(choices), String)
        }
        _ => declare!(declared, String),
    };
    given.or(default)
}

/// The value, or a fault.
fn told(reader: Reader<'_>, at: At, value: Result<Option<String>>) -> Option<String> {
    value.unwrap_or_else(|error| {
        reader.fault(at, format!("{error:#}"));
        None
    })
}

/// Finds the jobs of a file, with their ids and their matrices.
fn find<'t>(context: &Context<'_>, file: usize, top: &Top<'t>, found: &mut Vec<Found<'t>>) {
    let reader = Reader { context, matrix: None };
    for (key, node) in &top.jobs {
        let Some(map) = job::entries(reader, node) else { continue };
        let id = match (key, map.get("id")) {
            (Some(key), Some(id)) => {
                reader.fault(id.at, format!("the id of this job is its key, `{}`", key.key));
                Some(key.key.clone())
            }
            (Some(key), None) => Some(key.key.clone()),
            (None, Some(id)) => reader.plain(id),
            // As MonkeyCI calls them.
            (None, None) => Some(format!("job-{}", found.len() + 1)),
        };
        let Some(id) = id else { continue };
        let at = key.map_or(node.at, |key| key.at);
        let matrix = map.get("matrix");
        let jobs = match matrix {
            Some(matrix) => combinations(reader, &id, matrix),
            None => vec![(id.clone(), Vec::new())],
        };
        let map = match &top.defaults {
            Some(defaults) => map.or(defaults),
            None => map,
        };
        found.push(Found { file, id, at, map, jobs, is_matrix: matrix.is_some() });
    }
}

/// The jobs that a matrix stands for.
fn combinations(reader: Reader<'_>, id: &str, node: &Node) -> Vec<(String, Vec<(String, String)>)> {
    let mut axes = matrix();
    let (mut names, mut excluded, mut many) = (Vec::new(), Vec::new(), 1_usize);
    for entry in reader.names(node) {
        if let Some((_, reason)) = MATRIX_REFUSED.iter().find(|(key, _)| *key == entry.key) {
            reader.fault(entry.at, format!("`{}` is not supported: {reason}", entry.key));
        } else if entry.key == "exclude" {
            excluded = reader.items(&entry.value).iter().collect();
        } else {
            let values: Vec<String> = reader.items(&entry.value).iter().filter_map(|it| reader.plain(it)).collect();
            many = many.saturating_mul(values.len());
            names.push(entry.key.as_str());
            axes = axes.axis(&entry.key, values);
        }
    }
    if many > COMBINATIONS {
        reader.fault(node.at, format!("this matrix has {many} combinations, and may have {COMBINATIONS}"));
        return Vec::new();
    }
    for node in excluded {
        let mut wanted = Vec::new();
        for entry in reader.names(node) {
            if !names.contains(&entry.key.as_str()) {
                let like = meant(&entry.key, names.iter().copied());
                reader.fault(entry.at, format!("the matrix has no `{}`{like}", entry.key));
            }
            wanted.extend(reader.plain(&entry.value).map(|value| (entry.key.clone(), value)));
        }
        axes = axes.exclude(move |combination| {
            wanted.iter().all(|(axis, value)| combination.get(axis).is_some_and(|is| is == value))
        });
    }
    let owned = |(axis, value): (&str, &str)| (axis.to_owned(), value.to_owned());
    let jobs: Vec<_> = axes.combinations().iter().map(|it| (it.id(id), it.values().map(owned).collect())).collect();
    if jobs.is_empty() {
        reader.fault(node.at, "this matrix has no combination");
    }
    jobs
}

/// Two jobs of one name are a fault, with both places.
fn each_once(context: &Context<'_>, found: &[Found<'_>]) {
    let mut known = BTreeMap::new();
    for job in found {
        for (id, _) in &job.jobs {
            if let Some((file, first)) = known.insert(id, (job.file, job.at)) {
                context.reads(job.file);
                context.fault(Fault::new(job.at, format!("there are two jobs `{id}`")).with_in(file, first));
            }
        }
    }
}
