//! What can be said of a job by looking at nothing but the job.

use std::collections::HashSet;

use super::{FaultKind, Report, short};
use crate::{JobDraft, ServiceDraft};

/// The least memory limit that Docker takes; other engines fail at such limits in worse words.
pub(super) const MIN_MEMORY_BYTES: u64 = 6 * 1024 * 1024;

/// Host names that mean something else in a job's network.
const RESERVED: [&str; 3] = ["localhost", "job", "sidecar"];

/// Reports the faults of one job's fields.
pub(super) fn check(draft: &JobDraft, job: usize, report: &mut Report<'_>) {
    let mut add = |field: &str, kind| report.add(job, field, kind);
    if !is_id(&draft.id) {
        add("id", FaultKind::InvalidId { id: short(&draft.id) });
    }
    if draft.timeout_ms == Some(0) {
        add("timeout", FaultKind::Zero);
    }
    if draft.container {
        container(draft, &mut add);
    } else {
        action(draft, &mut add);
    }
}

/// Whether this can be the id of a job, an artifact or a cache.
pub(super) fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The field `name(key)`; the key is the position of an element whose own key can't stand there.
pub(super) fn keyed(name: &str, key: &str, position: usize) -> String {
    if is_id(key) { format!("{name}({key})") } else { format!("{name}(#{})", position + 1) }
}

/// An action job has nothing of what makes a container job.
fn action(draft: &JobDraft, add: &mut impl FnMut(&str, FaultKind)) {
    let given = [
        ("image", draft.image.is_some()),
        ("argv", draft.argv.is_some()),
        ("shell", draft.shell.is_some()),
        ("env", !draft.env.is_empty()),
        ("work-dir", draft.work_dir.is_some()),
        ("memory", draft.memory_bytes.is_some()),
        ("cpu", draft.cpu_millis.is_some()),
        ("save-artifact", !draft.save_artifacts.is_empty()),
        ("restore-artifact", !draft.restore_artifacts.is_empty()),
        ("cache", !draft.caches.is_empty()),
        ("service", !draft.services.is_empty()),
    ];
    for (field, _) in given.into_iter().filter(|(_, given)| *given) {
        add(field, FaultKind::NotForAction);
    }
}

fn container(draft: &JobDraft, add: &mut impl FnMut(&str, FaultKind)) {
    image("image", draft.image.as_deref().unwrap_or_default(), add);
    match (&draft.argv, &draft.shell) {
        (None, None) => add("argv", FaultKind::MissingCommand),
        (Some(_), Some(_)) => add("argv", FaultKind::TwoCommands),
        (Some(words), None) => argv("argv", words, add),
        (None, Some(lines)) if lines.iter().all(|line| line.trim().is_empty()) => add("shell", FaultKind::EmptyCommand),
        (None, Some(lines)) => nul("shell", lines.iter(), add),
    }
    env("env", &draft.env, add);
    if let Some(work_dir) = &draft.work_dir {
        path("work-dir", work_dir, add);
    }
    match draft.memory_bytes {
        Some(bytes) if bytes < MIN_MEMORY_BYTES => add("memory", FaultKind::MemoryTooSmall { bytes }),
        // Engines count in signed numbers, in some of which -1 means "no limit".
        Some(bytes) if i64::try_from(bytes).is_err() => add("memory", FaultKind::MemoryTooLarge { bytes }),
        _ => {}
    }
    if draft.cpu_millis == Some(0) {
        add("cpu", FaultKind::Zero);
    }
    for (position, artifact) in draft.save_artifacts.iter().enumerate() {
        stored(&keyed("save-artifact", &artifact.id, position), &artifact.id, &artifact.path, add);
    }
    for (position, artifact) in draft.restore_artifacts.iter().enumerate() {
        stored(&keyed("restore-artifact", &artifact.id, position), &artifact.id, &artifact.path, add);
    }
    let mut caches = HashSet::new();
    for (position, (id, path)) in draft.caches.iter().enumerate() {
        let field = keyed("cache", id, position);
        stored(&field, id, path, add);
        if !caches.insert(id) {
            add(&field, FaultKind::DuplicateCache { cache: short(id) });
        }
    }
    let mut names = HashSet::new();
    for (position, draft) in draft.services.iter().enumerate() {
        let field = keyed("service", &draft.name, position);
        service(&field, draft, add);
        if !names.insert(&draft.name) {
            add(&field, FaultKind::DuplicateService { name: short(&draft.name) });
        }
    }
}

fn service(field: &str, draft: &ServiceDraft, add: &mut impl FnMut(&str, FaultKind)) {
    let name = draft.name.as_str();
    if RESERVED.contains(&name) {
        add(field, FaultKind::ReservedServiceName { name: name.to_owned() });
    } else if !is_host_name(name) {
        add(field, FaultKind::InvalidServiceName { name: short(name) });
    }
    image(&format!("{field}.image"), &draft.image, add);
    if let Some(words) = &draft.argv {
        argv(&format!("{field}.argv"), words, add);
    }
    env(&format!("{field}.env"), &draft.env, add);
    if draft.ready_port == Some(0) {
        add(&format!("{field}.ready-port"), FaultKind::Zero);
    }
    if let Some(words) = &draft.ready_command {
        argv(&format!("{field}.ready-command"), words, add);
    }
    if draft.ready_timeout_ms == Some(0) {
        add(&format!("{field}.ready-timeout"), FaultKind::Zero);
    }
}

/// A DNS label that every resolver takes: RFC 1035, in small letters.
fn is_host_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn image(field: &str, image: &str, add: &mut impl FnMut(&str, FaultKind)) {
    if image.trim().is_empty() {
        add(field, FaultKind::MissingImage);
    }
    nul(field, [image], add);
}

fn argv(field: &str, words: &[String], add: &mut impl FnMut(&str, FaultKind)) {
    if words.first().is_none_or(|program| program.is_empty()) {
        add(field, FaultKind::EmptyCommand);
    }
    nul(field, words, add);
}

fn env(field: &str, variables: &[(String, String)], add: &mut impl FnMut(&str, FaultKind)) {
    for (position, (name, value)) in variables.iter().enumerate() {
        let field = keyed(field, name, position);
        if name.is_empty() || name.contains(['=', '\0']) {
            add(&field, FaultKind::InvalidEnvName { name: short(name) });
        }
        nul(&field, [value], add);
    }
}

/// An artifact or a cache.
fn stored(field: &str, id: &str, at: &str, add: &mut impl FnMut(&str, FaultKind)) {
    if !is_id(id) {
        add(field, FaultKind::InvalidId { id: short(id) });
    }
    path(field, at, add);
}

fn path(field: &str, path: &str, add: &mut impl FnMut(&str, FaultKind)) {
    if path.is_empty() {
        add(field, FaultKind::EmptyPath);
    }
    if path.starts_with('/') {
        add(field, FaultKind::AbsolutePath { path: short(path) });
    }
    if path.split('/').any(|part| part == "..") {
        add(field, FaultKind::ParentPath { path: short(path) });
    }
    nul(field, [path], add);
}

fn nul(field: &str, texts: impl IntoIterator<Item = impl AsRef<str>>, add: &mut impl FnMut(&str, FaultKind)) {
    if texts.into_iter().any(|text| text.as_ref().contains('\0')) {
        add(field, FaultKind::ContainsNul);
    }
}
