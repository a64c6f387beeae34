//! What can be said of a job by looking at nothing but the job.

use std::collections::{BTreeSet, HashMap};

pub(super) use super::container::{MAX_CACHE_KEY, MIN_MEMORY_BYTES};
use super::{FaultKind, Report, container, short, words};
use crate::{JobDraft, LateValue};

/// How often a job may run again.
pub(crate) const MAX_RETRIES: u32 = 10;

/// Reports the faults of one job's fields. A job that is not complete yet may lack what makes it run.
pub(super) fn check(draft: &JobDraft, job: usize, complete: bool, report: &mut Report<'_>) {
    let mut add = |field: &str, kind| report.add(job, field, kind);
    if !is_id(&draft.id) {
        add("id", FaultKind::InvalidId { id: short(&draft.id) });
    }
    if draft.timeout_ms == Some(0) {
        add("timeout", FaultKind::Zero);
    }
    if let Some(word) = draft.run_when.as_deref().filter(|word| words::run_when(word).is_none()) {
        add("run-when", unknown_word(word, words::RUN_WHEN));
    }
    retry(draft, &mut add);
    if let Some(group) = draft.fail_fast.as_deref().filter(|group| !is_id(group)) {
        add("fail-fast", FaultKind::InvalidId { id: short(group) });
    }
    if draft.approval.as_deref().is_some_and(|message| message.trim().is_empty()) {
        add("approval", FaultKind::Empty);
    }
    for (position, _) in draft.labels.iter().enumerate().filter(|(_, (name, _))| name.trim().is_empty()) {
        add(&format!("label(#{})", position + 1), FaultKind::Empty);
    }
    if draft.container {
        container::check(draft, complete, &mut add);
    } else {
        action(draft, &mut add);
    }
}

fn retry(draft: &JobDraft, add: &mut impl FnMut(&str, FaultKind)) {
    match draft.retry {
        Some(count) if !(1..=MAX_RETRIES).contains(&count) => add("retry", FaultKind::RetryCount { count }),
        Some(_) => {}
        None => {
            for (field, given) in
                [("retry-on", !draft.retry_on.is_empty()), ("retry-delay", draft.retry_delay_ms.is_some())]
            {
                if given {
                    add(field, FaultKind::WithoutRetry);
                }
            }
        }
    }
    for word in draft.retry_on.iter().filter(|word| words::retry_on(word).is_none()) {
        add("retry-on", unknown_word(word, words::RETRY_ON));
    }
}

pub(super) fn unknown_word(word: &str, allowed: &str) -> FaultKind {
    FaultKind::UnknownWord { value: short(word), allowed: allowed.to_owned() }
}

/// The field of a variable whose value comes later: the function that sets it, and the variable.
pub(super) fn late_field(name: &str, value: &LateValue, position: usize) -> String {
    let function = match value {
        LateValue::Secret(_) => "secret-env",
        LateValue::SecretFile(_) => "secret-file",
        LateValue::ParamFile(_) => "param-file",
        LateValue::Output { .. } => "output-env",
    };
    keyed(function, name, position)
}

/// Where each id stands first.
pub(super) fn positions(ids: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut positions = HashMap::new();
    for (position, id) in ids.enumerate() {
        positions.entry(id).or_insert(position);
    }
    positions
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
    if draft.calls.as_ref().is_some_and(|call| call.handler.trim().is_empty()) {
        add("calls", FaultKind::Empty);
    }
    for (position, id) in draft.creates_artifacts.iter().enumerate().filter(|(_, id)| !is_id(id)) {
        add(&keyed("creates-artifact", id, position), FaultKind::InvalidId { id: short(id) });
    }
    let late = |is: fn(&LateValue) -> bool| draft.late_env.iter().any(|(_, value)| is(value));
    let given = [
        ("image", draft.image.is_some()),
        ("argv", draft.argv.is_some()),
        ("shell", draft.shell.is_some()),
        ("shell-program", draft.shell_program.is_some()),
        ("shell-each", draft.shell_each),
        ("user", draft.user.is_some()),
        ("architecture", draft.architecture.is_some()),
        ("network", draft.network.is_some()),
        ("network-allow", !draft.network_allow.is_empty()),
        ("env", !draft.env.is_empty()),
        ("secret-env", late(|value| matches!(value, LateValue::Secret(_)))),
        ("secret-file", late(|value| matches!(value, LateValue::SecretFile(_)))),
        ("param-file", late(|value| matches!(value, LateValue::ParamFile(_)))),
        ("output-env", late(|value| matches!(value, LateValue::Output { .. }))),
        ("test-report", !draft.test_reports.is_empty()),
        ("work-dir", draft.work_dir.is_some()),
        ("memory", draft.memory_bytes.is_some()),
        ("cpu", draft.cpu_millis.is_some()),
        ("shm-size", draft.shm_bytes.is_some()),
        ("pull", draft.pull.is_some()),
        ("entrypoint-of-image", draft.entrypoint_of_image),
        ("with-git", draft.with_git),
        ("save-artifact", !draft.save_artifacts.is_empty()),
        ("restore-artifact", !draft.restore_artifacts.is_empty()),
        ("cache", !draft.caches.is_empty()),
        ("service", !draft.services.is_empty()),
    ];
    let options = draft.artifact_options.iter().map(|(_, option)| option.field());
    let options: BTreeSet<_> = options.chain(draft.cache_options.iter().map(|(_, option)| option.field())).collect();
    let given = given.into_iter().filter(|(_, given)| *given).map(|(field, _)| field);
    for field in given.chain(options) {
        add(field, FaultKind::NotForAction);
    }
}
