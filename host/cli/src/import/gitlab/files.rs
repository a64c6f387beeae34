//! What a job of GitLab CI leaves to others, and to later pipelines.

use super::job::{Layers, text};
use crate::import::model::{Cache, Job, Missing, MissingList, Part, Save, SaveWhen, Text};
use crate::import::names;
use crate::import::yaml::Tree;

/// A path of the workspace; `None` for one outside of it.
fn inside(node: &Tree, job: &Job, missing: &mut MissingList) -> Option<Text> {
    let mut made = text(node, job, missing);
    let literal = made.literals();
    let literal = literal.trim();
    if literal.starts_with(['/', '~', '$']) || literal.split('/').any(|part| part == "..") {
        missing.push(Missing::of(
            node,
            "the path is left out: it is not in the workspace; have the tool keep its files there",
        ));
        return None;
    }
    if made.literal().is_some() {
        let path = literal.trim_start_matches("./").trim_end_matches('/');
        made = Text::from(if path.is_empty() { "." } else { path });
    }
    Some(made)
}

/// `artifacts`: what is saved, under the id of the job, and what is a test report.
pub fn artifacts(layers: &Layers, job: &mut Job, missing: &mut MissingList) {
    let Some(node) = layers.get("artifacts") else { return };
    let mut paths = Vec::new();
    let mut when = SaveWhen::Success;
    for entry in node.entries() {
        match entry.key.as_str() {
            "paths" => paths = entry.value.items().iter().filter_map(|path| inside(path, job, missing)).collect(),
            "when" => match entry.value.text() {
                Some("always") => when = SaveWhen::Always,
                Some("on_failure") => when = SaveWhen::Failure,
                _ => {}
            },
            "expire_in" => missing.push(Missing::of(
                &entry.value,
                "all of a build is kept for as long as `monkeyci-host gc --older-than` says",
            )),
            "name" | "expose_as" => missing.push(Missing::of(&entry.value, "the artifact has the id of its job")),
            "reports" => reports(&entry.value, job, missing),
            _ => missing.push(Missing::of(&entry.value, "artifacts have no such option")),
        }
    }
    let id = if job.matrix.is_some() { Part::Id.into() } else { Text::from(job.id.as_str()) };
    let globs = |path: &Text| path.literals().contains(['*', '?', '[']);
    let (path, files) = match paths.as_slice() {
        [] => return,
        [only] if !globs(only) => (only.clone(), Vec::new()),
        // A path may be a directory or a file: nobody knows before the job has run.
        all => {
            let both = all.iter().flat_map(|path| match globs(path) {
                true => vec![path.clone()],
                false => vec![path.clone(), path.within("", "/**")],
            });
            (Text::from("."), both.collect())
        }
    };
    job.saves.push(Save { id, path, files, when, if_there: false });
}

fn reports(node: &Tree, job: &mut Job, missing: &mut MissingList) {
    for report in node.entries() {
        match report.key.as_str() {
            "junit" => {
                for path in report.value.items() {
                    job.test_reports.extend(inside(&path, job, missing));
                }
            }
            "dotenv" => {
                let why = "jobs hand values on by name: write the lines to `$MONKEYCI_OUTPUTS`, and take each with `.output_env(…)`";
                missing.push(Missing::of(&report.value, why));
            }
            _ => missing.push(Missing::of(&report.value, "the host reads test reports of JUnit, and no others")),
        }
    }
}

/// `cache`: one, or a list of them.
pub fn caches(layers: &Layers, job: &mut Job, missing: &mut MissingList) {
    for node in layers.get("cache").map(|node| node.items()).unwrap_or_default() {
        cache(&node, job, missing);
    }
}

fn cache(node: &Tree, job: &mut Job, missing: &mut MissingList) {
    let mut cache = Cache { id: String::new(), paths: Vec::new(), key: None, fallbacks: Vec::new(), save: None };
    for entry in node.entries() {
        match entry.key.as_str() {
            "paths" => {
                for path in entry.value.items() {
                    let made = inside(&path, job, missing);
                    if made.as_ref().is_some_and(|made| made.literals().contains('*')) {
                        missing.push(Missing::of(
                            &path,
                            "the path is left out: a cache keeps files and directories, and no globs",
                        ));
                    } else {
                        cache.paths.extend(made);
                    }
                }
            }
            "key" => cache.key = key(&entry.value, job, missing),
            "fallback_keys" => {
                cache.fallbacks = entry.value.items().iter().map(|key| text(key, job, missing)).collect();
            }
            "policy" => match entry.value.text() {
                Some("pull") => cache.save = Some("Never"),
                Some("push") => missing.push(Missing::of(&entry.value, "what is kept is restored too")),
                _ => {}
            },
            "when" => match entry.value.text() {
                Some("always") => cache.save = Some("Always"),
                Some("on_success") => {}
                _ => missing.push(Missing::of(&entry.value, "a cache is saved when the commands have succeeded")),
            },
            _ => missing.push(Missing::of(&entry.value, "caches have no such option")),
        }
    }
    let Some(first) = cache.paths.first() else {
        if !node.entries().is_empty() {
            let why = "the cache is left out: it has no path that can be kept";
            missing.push(Missing { place: node.place(), why: why.to_owned() });
        }
        return;
    };
    let id = names::id(&first.literals());
    let same = job.caches.iter().filter(|other| other.id == id).count();
    cache.id = if same > 0 { format!("{id}-{}", job.caches.len() + 1) } else { id };
    job.caches.push(cache);
}

/// A key: a text, or a digest of files.
fn key(node: &Tree, job: &Job, missing: &mut MissingList) -> Option<Text> {
    if !node.is_map() {
        return Some(text(node, job, missing));
    }
    let mut made = node.get("prefix").map(|prefix| text(prefix, job, missing).within("", "-")).unwrap_or_default();
    let files: Vec<String> = node
        .get("files")
        .map(|node| node.items())
        .unwrap_or_default()
        .iter()
        .filter_map(|file| file.text().map(str::to_owned))
        .collect();
    if !files.is_empty() {
        made.push(Part::Hash(files));
    }
    Some(made).filter(|made| !made.is_empty())
}
