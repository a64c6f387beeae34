//! What differs between what was recorded and what a script does now.

use monkeyci_build::{Ending, FieldDiff, JobSpec, Results};
use monkeyci_script::{Acted, ScriptError};
use serde::Serialize;
use serde_json::Value;

use super::recorded::{Declared, End};

/// How much a difference matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing differs.
    #[default]
    Same,
    /// Only what people read: messages, reports, labels, descriptions. The build goes the same way.
    Cosmetic,
    /// The build goes another way.
    Divergent,
}

/// A place where a script does something else than was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How much it matters.
    pub class: Class,
    /// The number of the call, over all of the replay; `None` for what is no call, a declared job say.
    pub call: Option<u64>,
    /// The job whose action it is, or that is declared otherwise.
    pub job: Option<String>,
    /// The function of the script that makes the call now, where the script has names.
    pub function: Option<String>,
    /// What differs: `call`, `job`, `removed jobs`, `parameters`, `end` or `results`.
    pub what: &'static str,
    /// What was recorded.
    pub recorded: String,
    /// What is so now.
    pub now: String,
    /// The fields that differ, where there are any: `old` is what was recorded.
    pub fields: Vec<FieldDiff>,
}

/// Fields of jobs and parameters that people read, and nothing else.
const COSMETIC: [&str; 3] = ["labels", "description", "approval"];

impl Difference {
    fn of(what: &'static str, job: Option<&str>, class: Class, recorded: String, now: String) -> Self {
        let (job, fields) = (job.map(str::to_owned), Vec::new());
        Self { class, call: None, job, function: None, what, recorded, now, fields }
    }

    /// Two values that have fields; none if they are the same.
    fn of_fields<T: Serialize>(what: &'static str, job: Option<&str>, recorded: &T, now: &T) -> Option<Self> {
        let value = |value: &T| serde_json::to_value(value).unwrap_or_default();
        let mut fields = Vec::new();
        compare("", Some(&value(recorded)), Some(&value(now)), &mut fields);
        if fields.is_empty() {
            return None;
        }
        let is_cosmetic = |field: &FieldDiff| {
            // Whether there is one decides whether somebody is asked.
            field.old.is_some()
                && field.new.is_some()
                && field.field.split(['.', '[']).any(|part| COSMETIC.contains(&part))
        };
        let class = if fields.iter().all(is_cosmetic) { Class::Cosmetic } else { Class::Divergent };
        let (recorded, now) = sides(&fields);
        Some(Self { fields, ..Self::of(what, job, class, recorded, now) })
    }
}

/// The fields of each side, in a line.
fn sides(fields: &[FieldDiff]) -> (String, String) {
    let side = |of: fn(&FieldDiff) -> &Option<String>| {
        let words =
            fields.iter().map(|field| format!("{} {}", field.field, of(field).as_deref().unwrap_or("not there")));
        words.collect::<Vec<_>>().join(", ")
    };
    (side(|field| &field.old), side(|field| &field.new))
}

/// Takes down what differs between two values.
fn compare(path: &str, recorded: Option<&Value>, now: Option<&Value>, fields: &mut Vec<FieldDiff>) {
    if recorded == now {
        return;
    }
    match (recorded, now) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, before.get(key), after.get(key), fields);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for at in 0..before.len().max(after.len()) {
                compare(&format!("{path}[{at}]"), before.get(at), after.get(at), fields);
            }
        }
        _ => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"));
            let (old, new) = (recorded.map(text), now.map(text));
            fields.push(FieldDiff { field: path.to_owned(), old, new });
        }
    }
}

/// What `define` declares otherwise than it did.
pub(crate) fn declared(recorded: &Declared, now: &Declared) -> Vec<Difference> {
    let mut found = Vec::new();
    let not = |is: bool| if is { "declared" } else { "not declared" }.to_owned();
    let find = |jobs: &[JobSpec], id: &str| jobs.iter().find(|job| job.id == id).cloned();
    for before in &recorded.jobs {
        match find(&now.jobs, &before.id) {
            Some(after) => found.extend(Difference::of_fields("job", Some(&before.id), before, &after)),
            None => found.push(Difference::of("job", Some(&before.id), Class::Divergent, not(true), not(false))),
        }
    }
    for after in now.jobs.iter().filter(|job| find(&recorded.jobs, &job.id).is_none()) {
        found.push(Difference::of("job", Some(&after.id), Class::Divergent, not(false), not(true)));
    }
    let order = |declared: &Declared| declared.jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
    if found.iter().all(|difference| difference.class == Class::Cosmetic) && order(recorded) != order(now) {
        let (recorded, now) = (order(recorded).join(", "), order(now).join(", "));
        found.push(Difference::of("order of jobs", None, Class::Divergent, recorded, now));
    }
    if let Some(removed) = Difference::of_fields("removed jobs", None, &recorded.removed, &now.removed) {
        // Of the same jobs only the reasons differ.
        let same = recorded.removed.iter().map(|(job, _)| job).eq(now.removed.iter().map(|(job, _)| job));
        found.push(if same { Difference { class: Class::Cosmetic, ..removed } } else { removed });
    }
    found.extend(Difference::of_fields("parameters", None, &recorded.params, &now.params));
    found
}

/// What a late job came to otherwise than it did.
pub(crate) fn refined(job: &str, recorded: Option<&End>, now: Result<JobSpec, Ending>) -> Option<Difference> {
    match (recorded?, &now) {
        (End::Refined(before), Ok(after)) => Difference::of_fields("job", Some(job), &**before, after),
        (End::Ended(before), Err(after)) => ends(job, before, after),
        (before, _) => {
            let before = match before {
                End::Refined(_) => "completed".to_owned(),
                End::Ended(ending) => ending.to_string(),
            };
            let now = now.map_or_else(|ending| ending.to_string(), |_| "completed".to_owned());
            Some(Difference::of("end", Some(job), Class::Divergent, before, now))
        }
    }
}

/// How an action ends otherwise than it did, and what it says otherwise of its result.
pub(crate) fn acted(job: &str, (end, said): (Option<&End>, &Results), now: &Acted) -> Vec<Difference> {
    let Some(End::Ended(before)) = end else { return Vec::new() };
    let after = match (&now.ended, &now.said.skip) {
        (Ok(()), Some(reason)) => Ending::NotNeeded { reason: reason.clone() },
        (Ok(()), None) => Ending::Succeeded,
        (Err(ScriptError::Trapped(message)), _) => Ending::ActionTrapped { message: message.clone() },
        (Err(error), _) => Ending::ActionFailed { message: error.to_string() },
    };
    let mut found: Vec<Difference> = ends(job, before, &after).into_iter().collect();
    if found.iter().any(|end| end.class == Class::Divergent) {
        return found;
    }
    // Test reports are handed in by calls.
    let (before, after) = (said, &Results { tests: None, ..now.said.results.clone() });
    if let Some(results) = Difference::of_fields("results", Some(job), before, after) {
        let words = ["message", "warning"];
        let class = match results.fields.iter().all(|field| words.contains(&field.field.as_str())) {
            true => Class::Cosmetic,
            false => Class::Divergent,
        };
        found.push(Difference { class, ..results });
    }
    found
}

/// Two ends; none if they are the same, or can't be compared.
fn ends(job: &str, before: &Ending, after: &Ending) -> Option<Difference> {
    let kind = |ending: &Ending| match ending {
        // What the host makes of an action that came to its end: that is no more the script's doing.
        Ending::Succeeded | Ending::Warned { .. } | Ending::ArtifactMissing { .. } => Some("it came to its end"),
        Ending::NotNeeded { .. } => Some("not needed"),
        Ending::ActionFailed { .. } => Some("failed"),
        Ending::ActionTrapped { .. } => Some("trapped"),
        Ending::RefineFailed { .. } => Some("not completed"),
        _ => None,
    };
    let (before_kind, after_kind) = (kind(before)?, kind(after)?);
    let is_same = before_kind == after_kind && (before == after || before_kind == "it came to its end");
    let class = if before_kind == after_kind { Class::Cosmetic } else { Class::Divergent };
    let words = |ending: &Ending| ending.to_string();
    (!is_same).then(|| Difference::of("end", Some(job), class, words(before), words(after)))
}
