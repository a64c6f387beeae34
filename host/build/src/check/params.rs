//! What can be wrong with the declaration of a parameter, and with the value it was given.

use std::collections::HashMap;

use super::fields::unknown_word;
use super::{Fault, FaultKind, Place, short, words};
use crate::{ParamDraft, ParamKind, ParamSpec};

/// The parameters, each once, in the order of declaration; all faults of them are added to `found`.
pub(super) fn check(drafts: &[ParamDraft], found: &mut Vec<Fault>) -> Vec<ParamSpec> {
    let mut first: HashMap<&str, &ParamDraft> = HashMap::with_capacity(drafts.len());
    let mut specs = Vec::with_capacity(drafts.len());
    for (position, draft) in drafts.iter().enumerate() {
        let place = || {
            let name = if draft.name.is_empty() { format!("#{}", position + 1) } else { short(&draft.name) };
            Place::Parameter(name)
        };
        let mut add = |field: &str, kind| found.push(Fault { place: place(), field: field.to_owned(), kind });
        if let Some(first) = first.get(draft.name.as_str()) {
            // What is wrong with a declaration is reported once, however often it stands there.
            if let Some(field) = difference(first, draft) {
                add(field, FaultKind::DeclaredOtherwise);
            }
            continue;
        }
        first.insert(&draft.name, draft);
        let faults = faults(draft);
        if let (true, Ok(spec)) = (faults.is_empty(), spec(draft)) {
            specs.push(spec);
        }
        for (field, kind) in faults {
            add(field, kind);
        }
    }
    specs
}

/// The value of a parameter: the one that was given, or else the default; none where there is neither.
///
/// # Errors
///
/// What does not fit, in a sentence: the value, or the declaration itself. [`check`](super::check) finds the same.
pub fn param_value(draft: &ParamDraft) -> Result<Option<String>, String> {
    match faults(draft).into_iter().next() {
        Some((field, kind)) => Err(format!("parameter {:?}, {field}: {kind}", short(&draft.name))),
        None => Ok(draft.given.clone().or_else(|| draft.default.clone())),
    }
}

/// Whether this can be the name of a parameter.
pub(super) fn is_param_name(name: &str) -> bool {
    // No more bytes than the longest name can have are looked at: a hostile name may have a megabyte.
    name.len() <= 128 * 4
        && (1..=128).contains(&name.chars().count())
        && !name.contains(|character: char| character == '=' || character.is_control())
}

/// The first property in which two declarations differ.
fn difference(one: &ParamDraft, other: &ParamDraft) -> Option<&'static str> {
    let kind = |draft: &ParamDraft| draft.kind.clone().unwrap_or_else(|| "text".to_owned());
    let differ = [
        ("kind", kind(one) != kind(other)),
        ("choices", one.choices != other.choices),
        ("default", one.default != other.default),
        ("required", one.required != other.required),
        ("description", one.description != other.description),
    ];
    differ.into_iter().find(|(_, differs)| *differs).map(|(field, _)| field)
}

fn faults(draft: &ParamDraft) -> Vec<(&'static str, FaultKind)> {
    let mut found = Vec::new();
    if !is_param_name(&draft.name) {
        found.push(("name", FaultKind::InvalidParamName { name: short(&draft.name) }));
    }
    match spec(draft) {
        Err((field, kind)) => found.push((field, kind)),
        Ok(spec) => {
            for (field, value) in [("default", &draft.default), ("value", &draft.given)] {
                if let Some(Err(problem)) = value.as_ref().map(|value| spec.accepts(value)) {
                    found.push((field, FaultKind::UnfitValue { problem }));
                }
            }
        }
    }
    if draft.required && draft.given.is_none() {
        found.push(("value", FaultKind::MissingValue));
    }
    found
}

/// The declaration, if its kind makes sense; else what is wrong with that.
fn spec(draft: &ParamDraft) -> Result<ParamSpec, (&'static str, FaultKind)> {
    let kind = match draft.kind.as_deref() {
        None | Some("text") => ParamKind::Text,
        Some("integer") => ParamKind::Integer,
        Some("number") => ParamKind::Number,
        Some("boolean") => ParamKind::Boolean,
        Some("choice") if draft.choices.is_empty() => return Err(("choices", FaultKind::MissingChoices)),
        Some("choice") => ParamKind::Choice(draft.choices.clone()),
        Some(other) => return Err(("kind", unknown_word(other, words::PARAM_KIND))),
    };
    if !draft.choices.is_empty() && !matches!(kind, ParamKind::Choice(_)) {
        return Err(("choices", FaultKind::ChoicesWithoutChoice));
    }
    Ok(ParamSpec {
        name: draft.name.clone(),
        kind,
        default: draft.default.clone(),
        required: draft.required,
        description: draft.description.clone(),
    })
}
