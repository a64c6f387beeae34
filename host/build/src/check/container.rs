//! What can be said of a container job by looking at nothing but the job.

use std::collections::HashSet;

use super::fields::{is_id, keyed, late_field, unknown_word};
use super::params::is_param_name;
use super::{FaultKind, image, short, words};
use crate::{ArtifactOption, CacheOption, Destination, JobDraft, LateValue, ServiceDraft, is_output_name};

/// The least memory limit that Docker takes; other engines fail at such limits in worse words.
pub(super) const MIN_MEMORY_BYTES: u64 = 6 * 1024 * 1024;

/// The most bytes of a cache key: it becomes part of a name in the store, with room for more.
pub(crate) const MAX_CACHE_KEY: usize = 512;

/// The most bytes of an argument, or of a variable with its name and the `=`.
pub(crate) const MAX_ARGUMENT: usize = 128 * 1024 - 1;

/// The most destinations that a job may be let reach: each is a rule that its packets go through.
pub(crate) const MAX_DESTINATIONS: usize = 64;

/// Host names that mean something else in a job's network.
const RESERVED: [&str; 3] = ["localhost", "job", "sidecar"];

/// Reports the faults of what makes a container job. A job that is not complete yet may lack image and command.
pub(super) fn check(draft: &JobDraft, complete: bool, add: &mut impl FnMut(&str, FaultKind)) {
    for (field, given) in [("calls", draft.calls.is_some()), ("creates-artifact", !draft.creates_artifacts.is_empty())]
    {
        if given {
            add(field, FaultKind::NotForContainer);
        }
    }
    if complete || draft.image.is_some() {
        image_name("image", draft.image.as_deref().unwrap_or_default(), add);
    }
    let no_command_yet = !complete && draft.argv.is_none() && draft.shell.is_none();
    match (&draft.argv, &draft.shell) {
        (None, None) if !complete => {}
        (None, None) => add("argv", FaultKind::MissingCommand),
        (Some(_), Some(_)) => add("argv", FaultKind::TwoCommands),
        (Some(words), None) => argv("argv", words, add),
        (None, Some(lines)) if lines.iter().all(|line| line.trim().is_empty()) => add("shell", FaultKind::EmptyCommand),
        (None, Some(lines)) => {
            nul("shell", lines.iter(), add);
            lines.iter().for_each(|line| in_one_piece("shell", line.len(), add));
        }
    }
    if let Some(words) = &draft.shell_program {
        argv("shell-program", words, add);
    }
    for (field, given) in [("shell-program", draft.shell_program.is_some()), ("shell-each", draft.shell_each)] {
        if given && draft.shell.is_none() && !no_command_yet {
            add(field, FaultKind::WithoutShell);
        }
    }
    for (field, text) in [("user", &draft.user), ("architecture", &draft.architecture)] {
        filled(field, text, add);
    }
    network(draft, add);
    filled("test-report", &draft.test_reports, add);
    env("env", &draft.env, add);
    late_env(draft, add);
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
    match draft.shm_bytes {
        Some(0) => add("shm-size", FaultKind::Zero),
        Some(bytes) if i64::try_from(bytes).is_err() => add("shm-size", FaultKind::MemoryTooLarge { bytes }),
        _ => {}
    }
    if let Some(word) = draft.pull.as_deref().filter(|word| words::pull(word).is_none()) {
        add("pull", unknown_word(word, words::PULL));
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
    options(draft, add);
    let mut names = HashSet::new();
    for (position, draft) in draft.services.iter().enumerate() {
        let field = keyed("service", &draft.name, position);
        service(&field, draft, add);
        if !names.insert(&draft.name) {
            add(&field, FaultKind::DuplicateService { name: short(&draft.name) });
        }
    }
}

/// What is said of what the job reaches. Whether it may be let reach it is the host's to say, when the job starts.
fn network(draft: &JobDraft, add: &mut impl FnMut(&str, FaultKind)) {
    if let Some(mode) = draft.network.as_deref().filter(|mode| words::network(mode).is_none()) {
        add("network", unknown_word(mode, words::NETWORK));
    }
    for (position, text) in draft.network_allow.iter().enumerate() {
        if position == MAX_DESTINATIONS {
            add("network-allow", FaultKind::TooManyDestinations);
            break;
        }
        if text.parse::<Destination>().is_err() {
            add(&keyed("network-allow", text, position), FaultKind::InvalidDestination { destination: short(text) });
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
    image_name(&format!("{field}.image"), &draft.image, add);
    if let Some(words) = &draft.argv {
        argv(&format!("{field}.argv"), words, add);
    }
    env(&format!("{field}.env"), &draft.env, add);
    env(&format!("{field}.secret-env"), &draft.secret_env, add);
    twice(&draft.env, draft.secret_env.iter().map(|(name, _)| name), |name, position| {
        add(&keyed(&format!("{field}.secret-env"), name, position), FaultKind::EnvTwice);
    });
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

/// What is said of variables whose values come later. Whether the jobs whose outputs they are exist is checked elsewhere.
fn late_env(draft: &JobDraft, add: &mut impl FnMut(&str, FaultKind)) {
    for (position, (name, value)) in draft.late_env.iter().enumerate() {
        let field = late_field(name, value, position);
        env_name(&field, name, add);
        match value {
            LateValue::Secret(text) | LateValue::SecretFile(text) => nul(&field, [text], add),
            LateValue::ParamFile(param) if !is_param_name(param) => {
                add(&field, FaultKind::InvalidParamName { name: short(param) });
            }
            LateValue::Output { output, .. } if !is_output_name(output) => {
                add(&field, FaultKind::InvalidOutputName { name: short(output) });
            }
            LateValue::ParamFile(_) | LateValue::Output { .. } => {}
        }
    }
    twice(&draft.env, draft.late_env.iter().map(|(name, _)| name), |name, position| {
        add(&late_field(name, &draft.late_env[position].1, position), FaultKind::EnvTwice);
    });
}

/// Names that stand among the variables too, and their positions.
fn twice<'a>(
    variables: &[(String, String)],
    names: impl Iterator<Item = &'a String>,
    mut found: impl FnMut(&str, usize),
) {
    let variables: HashSet<&String> = variables.iter().map(|(name, _)| name).collect();
    for (position, name) in names.enumerate().filter(|(_, name)| variables.contains(name)) {
        found(name, position);
    }
}

/// What is said of artifacts and caches beside where they are.
fn options(draft: &JobDraft, add: &mut impl FnMut(&str, FaultKind)) {
    let saved: HashSet<&String> = draft.save_artifacts.iter().map(|artifact| &artifact.id).collect();
    for (position, (id, option)) in draft.artifact_options.iter().enumerate() {
        let field = keyed(option.field(), id, position);
        if !saved.contains(id) {
            add(&field, FaultKind::NotSaved { artifact: short(id) });
        }
        if let ArtifactOption::Files(globs) = option {
            filled(&field, globs, add);
        }
    }
    let kept: HashSet<&String> = draft.caches.iter().map(|(id, _)| id).collect();
    for (position, (id, option)) in draft.cache_options.iter().enumerate() {
        let field = keyed(option.field(), id, position);
        if !kept.contains(id) {
            add(&field, FaultKind::NotCached { cache: short(id) });
        }
        match option {
            CacheOption::Key(key) | CacheOption::Fallback(key) => {
                if key.len() > MAX_CACHE_KEY {
                    add(&field, FaultKind::CacheKeyTooLong { bytes: key.len() });
                }
                if key.contains(char::is_control) {
                    add(&field, FaultKind::ControlCharacter);
                }
            }
            CacheOption::Save(policy) if words::save_policy(policy).is_none() => {
                add(&field, unknown_word(policy, words::SAVE_POLICY));
            }
            CacheOption::Save(_) => {}
            CacheOption::Path(more) => path(&field, more, add),
        }
    }
}

/// A DNS label that every resolver takes: RFC 1035, in small letters.
fn is_host_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn image_name(field: &str, name: &str, add: &mut impl FnMut(&str, FaultKind)) {
    if name.trim().is_empty() {
        add(field, FaultKind::MissingImage);
    } else if name.contains('\0') {
        add(field, FaultKind::ContainsNul);
    } else if let Err(problem) = image::reference(name) {
        add(field, FaultKind::InvalidImage { image: short(name), problem: problem.to_owned() });
    }
}

fn argv(field: &str, words: &[String], add: &mut impl FnMut(&str, FaultKind)) {
    if words.first().is_none_or(|program| program.is_empty()) {
        add(field, FaultKind::EmptyCommand);
    }
    nul(field, words, add);
    words.iter().for_each(|word| in_one_piece(field, word.len(), add));
}

/// Linux takes no argument and no variable of more than 128 KiB, with the NUL at its end, and the container's start would
/// fail with hardly a word.
fn in_one_piece(field: &str, bytes: usize, add: &mut impl FnMut(&str, FaultKind)) {
    if bytes > MAX_ARGUMENT {
        add(field, FaultKind::TooLongArgument { bytes });
    }
}

fn env(field: &str, variables: &[(String, String)], add: &mut impl FnMut(&str, FaultKind)) {
    for (position, (name, value)) in variables.iter().enumerate() {
        let field = keyed(field, name, position);
        env_name(&field, name, add);
        nul(&field, [value], add);
        in_one_piece(&field, name.len() + 1 + value.len(), add);
    }
}

fn env_name(field: &str, name: &str, add: &mut impl FnMut(&str, FaultKind)) {
    if name.is_empty() || name.contains(['=', '\0']) {
        add(field, FaultKind::InvalidEnvName { name: short(name) });
    }
}

/// Texts each of which has to say something to the operating system.
fn filled<'a>(field: &str, texts: impl IntoIterator<Item = &'a String> + Clone, add: &mut impl FnMut(&str, FaultKind)) {
    if texts.clone().into_iter().any(|text| text.trim().is_empty()) {
        add(field, FaultKind::Empty);
    }
    nul(field, texts, add);
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
    // A shell would make a home directory of it; here it would be a file of this name, which nobody means.
    if path == "~" || path.starts_with("~/") {
        add(field, FaultKind::HomePath { path: short(path) });
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
