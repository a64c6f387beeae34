//! The parts of a job: variables, artifacts, caches and services.

use monkeyci_sdk::SavedArtifact;
use monkeyci_sdk::prelude::*;

use crate::job::clean;
use crate::keys::{CACHE, RESTORED, SAVED, SERVICE, VARIABLE};
use crate::reader::{Map, Reader};
use crate::tree::{Entry, Kind, Node};

/// Adds an environment variable.
pub fn variable(reader: Reader<'_>, entry: &Entry, job: ContainerJob) -> ContainerJob {
    let Entry { key: name, value: node, .. } = entry;
    if !matches!(node.kind, Kind::Map(_)) {
        // Nothing is the empty text, as in a shell.
        let value = if matches!(node.kind, Kind::Nothing) { Some(String::new()) } else { reader.text(node) };
        return value.map_or(job.clone(), |value| job.env(name, value));
    }
    let Some(map) = reader.map(node, &VARIABLE) else { return job };
    let given: Vec<&str> =
        ["secret", "secret-file", "param-file", "output"].into_iter().filter(|key| map.get(key).is_some()).collect();
    let ([one], Some(value)) = (given.as_slice(), given.first().and_then(|key| map.get(key))) else {
        reader.fault(node.at, "a variable has one of `secret`, `secret-file`, `param-file` and `output`");
        return job;
    };
    let told = match *one {
        "secret" => reader.secret(value).map(|secret| job.clone().secret_env(name, &secret)),
        "secret-file" => reader.secret(value).map(|secret| job.clone().secret_file(name, &secret)),
        "param-file" => reader.text(value).map(|param| job.clone().param_file(name, param)),
        _ => {
            let from = map.get("job").and_then(|from| reader.text(from));
            if from.is_none() {
                reader.fault(node.at, "say which `job` has the output");
            }
            reader.text(value).zip(from).map(|(output, from)| job.clone().output_env(name, from, output))
        }
    };
    told.unwrap_or(job)
}

/// A text that has to be there.
fn needed(reader: Reader<'_>, map: &Map<'_>, node: &Node, what: &str, key: &str) -> Option<String> {
    match map.get(key) {
        Some(value) => reader.text(value),
        None => {
            reader.fault(node.at, format!("{what} has no `{key}`"));
            None
        }
    }
}

pub fn saved(reader: Reader<'_>, node: &Node) -> Option<SavedArtifact> {
    let map = reader.map(node, &SAVED)?;
    let id = needed(reader, &map, node, SAVED.what, "id");
    let path = needed(reader, &map, node, SAVED.what, "path");
    let mut saved = artifact(id?, clean(&path?));
    if let Some(files) = map.get("files") {
        saved = saved.files(reader.texts(files));
    }
    saved = if reader.is(&map, "always") { saved.always() } else { saved };
    saved = if reader.is(&map, "on-failure") { saved.on_failure() } else { saved };
    Some(if reader.is(&map, "if-there") { saved.if_there() } else { saved })
}

/// Adds an artifact that is restored: it is at `path` then, wherever it was saved from.
pub fn restored(reader: Reader<'_>, node: &Node, job: ContainerJob) -> ContainerJob {
    let Some(map) = reader.map(node, &RESTORED) else { return job };
    let id = needed(reader, &map, node, RESTORED.what, "id");
    let path = needed(reader, &map, node, RESTORED.what, "path");
    match id.zip(path) {
        Some((id, path)) if reader.is(&map, "if-there") => job.restore_artifact_as_if_there(id, clean(&path)),
        Some((id, path)) => job.restore_artifact_as(id, clean(&path)),
        None => job,
    }
}

pub fn cache(reader: Reader<'_>, node: &Node) -> Option<Cache> {
    let map = reader.map(node, &CACHE)?;
    let id = needed(reader, &map, node, CACHE.what, "id");
    let mut paths = map.get("path").map(|paths| reader.texts(paths)).unwrap_or_default().into_iter();
    let Some(path) = paths.next() else {
        reader.fault(node.at, "a cache has no `path`");
        return None;
    };
    let mut kept = monkeyci_sdk::cache(id?, clean(&path));
    kept = paths.fold(kept, |kept, path| kept.and(clean(&path)));
    let key = map.get("key").and_then(|key| reader.text(key));
    let hash = map.get("hash-files").and_then(|globs| reader.hash(globs));
    let key: Vec<String> = key.into_iter().chain(hash).collect();
    if !key.is_empty() {
        kept = kept.key(key.join("-"));
    }
    for prefix in map.get("fallback").map(|all| reader.texts(all)).unwrap_or_default() {
        kept = kept.fallback(prefix);
    }
    let policy = map.get("save").and_then(|policy| {
        reader.parsed(policy, "success, always, miss or never", |policy| {
            Some(match policy {
                "success" => SavePolicy::Success,
                "always" => SavePolicy::Always,
                "miss" => SavePolicy::Miss,
                "never" => SavePolicy::Never,
                _ => return None,
            })
        })
    });
    Some(policy.map_or(kept.clone(), |policy| kept.save(policy)))
}

/// A service; its name stands in it, or is that of the key that has it.
pub fn service(reader: Reader<'_>, node: &Node, name: Option<&str>) -> Option<Service> {
    let map = reader.map(node, &SERVICE)?;
    let name = name.map(str::to_owned).or_else(|| needed(reader, &map, node, SERVICE.what, "name"));
    let image = needed(reader, &map, node, SERVICE.what, "image");
    let mut service = monkeyci_sdk::service(name?, image?);
    if let Some(argv) = map.get("argv") {
        service = service.argv(reader.texts(argv));
    }
    for entry in map.get("env").map_or(&[][..], |env| reader.names(env)) {
        service = match &entry.value.kind {
            Kind::Map(_) => match reader.map(&entry.value, &VARIABLE)?.get("secret") {
                Some(secret) => service.secret_env(&entry.key, &reader.secret(secret)?),
                None => {
                    reader.fault(entry.value.at, "a service's variable is a text, or has a `secret`");
                    return None;
                }
            },
            _ => service.env(&entry.key, reader.text(&entry.value)?),
        };
    }
    if let Some(port) = map.get("ready-port") {
        service = service.ready_port(reader.parsed(port, "a port", |port| port.parse().ok())?);
    }
    if let Some(argv) = map.get("ready-command") {
        service = service.ready_command(reader.texts(argv));
    }
    if let Some(limit) = map.get("ready-timeout") {
        service = service.ready_timeout(reader.duration(limit)?);
    }
    Some(service)
}
