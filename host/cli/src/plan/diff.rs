//! Two scripts told apart, over one or many events.

use std::collections::BTreeMap;

use monkeyci_build::{ChangedJob, FieldDiff, GoneJob, PermissionsDiff, Plan, PlanDiff};
use serde::Serialize;

use super::text;
use crate::progress::one_line;
use crate::text::harmless;

/// What tells two scripts apart in one event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// Both declare jobs.
    Plans(PlanDiff),
    /// The same error keeps both from it.
    BothFail(String),
    /// An error keeps one of them from it, or each another one: of the old one, and of the new one.
    Fails(Option<String>, Option<String>),
}

/// A script's plan in an event, or why it has none.
pub type Side = Result<Plan, String>;

impl Told {
    pub fn of(old: &Side, new: &Side) -> Self {
        match (old, new) {
            (Ok(old), Ok(new)) => Self::Plans(PlanDiff::of(old, new)),
            (Err(old), Err(new)) if old == new => Self::BothFail(old.clone()),
            (old, new) => Self::Fails(old.as_ref().err().cloned(), new.as_ref().err().cloned()),
        }
    }

    pub fn is_same(&self) -> bool {
        match self {
            Self::Plans(diff) => diff.is_empty(),
            Self::BothFail(_) => true,
            Self::Fails(..) => false,
        }
    }
}

/// The lines of what was told apart in each event, where events in which it is the same are told together.
pub fn lines(events: &[(Option<String>, Told)], new: &[Side]) -> Vec<String> {
    let mut groups: Vec<(&Told, &Side, Vec<&str>)> = Vec::new();
    for ((event, told), side) in events.iter().zip(new) {
        let event = event.as_deref().unwrap_or_default();
        // What stands in the lines of jobs that are new may differ, though it is told apart alike.
        match groups
            .iter_mut()
            .find(|(other, other_side, _)| *other == told && shown(told, other_side) == shown(told, side))
        {
            Some((_, _, events)) => events.push(event),
            None => groups.push((told, side, vec![event])),
        }
    }
    let mut lines = Vec::new();
    for (told, side, of) in &groups {
        if !of[0].is_empty() {
            lines.push(harmless(&format!("{}:", of.join(", ")), false));
        }
        lines.extend(shown(told, side));
    }
    if events.len() > 1 {
        let same = events.iter().filter(|(_, told)| told.is_same()).count();
        lines.push(format!("plan: {} events: {same} same, {} differ", events.len(), events.len() - same));
    }
    lines
}

fn shown(told: &Told, new: &Side) -> Vec<String> {
    match told {
        Told::Plans(diff) => plans(diff, new.as_ref().ok()),
        Told::BothFail(error) => vec![one_line(&format!("plan: the same: both scripts fail: {error}"))],
        Told::Fails(old, new) => {
            let side = |which: &str, error: &Option<String>| {
                let said =
                    error.as_ref().map_or_else(|| "declares its jobs".to_owned(), |error| format!("fails: {error}"));
                one_line(&format!("! the {which} script {said}"))
            };
            vec![side("old", old), side("new", new), "plan: the scripts differ".to_owned()]
        }
    }
}

fn plans(diff: &PlanDiff, new: Option<&Plan>) -> Vec<String> {
    let PlanDiff { added, removed, changed, params, same, permissions } = diff;
    let names = added.iter().chain(removed.iter().map(|gone| &gone.job)).chain(changed.iter().map(|job| &job.job));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let line = |mark: char, job: &str, what: &str| harmless(&format!("{mark} {job:width$}  {what}"), false);
    let mut lines = Vec::new();
    for job in added {
        let what = new.and_then(|plan| plan.job(job)).map(|job| text::what(job).join(" · ")).unwrap_or_default();
        lines.push(line('+', job, &what));
    }
    for ChangedJob { job, fields } in changed {
        lines.push(line('~', job, &fields.iter().map(field).collect::<Vec<_>>().join(" · ")));
    }
    for GoneJob { job, reason } in removed {
        let why = reason.as_ref().map_or_else(|| "not declared any more".to_owned(), |why| format!("removed: {why}"));
        lines.push(line('-', job, &why));
    }
    lines.extend(params.iter().map(|param| harmless(&format!("~ {}", field(param)), false)));
    let mut summary = match diff.is_empty() {
        true => format!("plan: the same: {same} jobs"),
        false => format!("plan: {} new, {} changed, {} gone, {same} same", added.len(), changed.len(), removed.len(),),
    };
    if !permissions.is_empty() {
        summary.push_str(&format!("; permissions: {}", asked(permissions)));
    }
    lines.push(harmless(&summary, false));
    lines
}

fn asked(PermissionsDiff { added, removed }: &PermissionsDiff) -> String {
    let mut kinds: BTreeMap<(char, &str), Vec<&str>> = BTreeMap::new();
    for (mark, names) in [('+', added), ('-', removed)] {
        for (kind, name) in names {
            kinds.entry((mark, kind)).or_default().push(name);
        }
    }
    kinds
        .iter()
        .map(|((mark, kind), names)| format!("{mark} {kind} {}", names.join(", ")))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A field that is not the same. Of a text of several lines, the first that is not.
fn field(FieldDiff { field, old, new }: &FieldDiff) -> String {
    let (old, new) = (old.as_deref(), new.as_deref());
    if let (Some(old), Some(new)) = (old, new)
        && (old.contains('\n') || new.contains('\n'))
    {
        let (before, now): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
        let first = (0..before.len().max(now.len())).find(|at| before.get(*at) != now.get(*at)).unwrap_or(0);
        let lines = (before.get(first).copied(), now.get(first).copied());
        let differ = (0..before.len().max(now.len())).filter(|at| before.get(*at) != now.get(*at)).count();
        let more = if differ > 1 { format!(" (and {} more)", differ - 1) } else { String::new() };
        return format!("{field} line {}: {} → {}{more}", first + 1, quoted(lines.0), quoted(lines.1));
    }
    format!("{field} {} → {}", quoted(old), quoted(new))
}

/// A value, cut where it is long; `none` for one that is not there.
fn quoted(value: Option<&str>) -> String {
    const LONGEST: usize = 120;
    match value {
        None => "none".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(value) => match value.char_indices().nth(LONGEST) {
            None => value.to_owned(),
            Some((end, _)) => format!("{}…", &value[..end]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_first_line_that_differs_is_told() {
        let diff = |old: Option<&str>, new: Option<&str>| {
            field(&FieldDiff { field: "shell".into(), old: old.map(Into::into), new: new.map(Into::into) })
        };
        assert_eq!(diff(Some("a\nb\nc"), Some("a\nx\nc\nd")), "shell line 2: b → x (and 1 more)");
        assert_eq!(diff(Some("a"), Some("a\nb")), "shell line 2: none → b");
        assert_eq!(diff(None, Some("")), "shell none → \"\"");
        assert!(diff(Some("a"), Some(&"é".repeat(500))).ends_with("…"));
    }

    #[test]
    fn events_in_which_two_scripts_are_told_apart_alike_stand_together() {
        let fails = |error: &str| -> Side { Err(error.to_owned()) };
        let sides = [(fails("a"), fails("a")), (fails("a"), fails("b")), (fails("a"), fails("b"))];
        let events: Vec<_> =
            sides.iter().enumerate().map(|(at, (old, new))| (Some(format!("{at}.json")), Told::of(old, new))).collect();
        let new: Vec<Side> = sides.iter().map(|(_, new)| new.clone()).collect();
        assert_eq!(
            lines(&events, &new),
            [
                "0.json:",
                "plan: the same: both scripts fail: a",
                "1.json, 2.json:",
                "! the old script fails: a",
                "! the new script fails: b",
                "plan: the scripts differ",
                "plan: 3 events: 1 same, 2 differ",
            ]
        );
    }
}
