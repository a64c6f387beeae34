//! `when`: for what a step or a workflow runs.

use crate::import::condition::{Cond, glob};
use crate::import::model::{Missing, MissingList, Part, Policy};
use crate::import::yaml::Tree;

/// A condition, and when a step runs, seen from those before it.
pub struct When {
    pub cond: Cond,
    pub policy: Option<Policy>,
}

/// Reads `when`: a map, all of which has to hold, or a list of them, of which one has to.
pub fn read(when: &Tree, axes: &[String], missing: &mut MissingList) -> When {
    let mut policy = None;
    let maps = when.items();
    let conds: Vec<Cond> = maps.iter().map(|map| one(map, axes, &mut policy, missing)).collect();
    When { cond: if conds.is_empty() { Cond::True } else { Cond::any(conds) }, policy }
}

fn one(map: &Tree, axes: &[String], policy: &mut Option<Policy>, missing: &mut MissingList) -> Cond {
    let mut all = Vec::new();
    // Without a word, it is for all events.
    let events = map.get("event").map(|events| events.items());
    let of_pulls = events.is_none_or(|events| events.iter().any(|event| event.peek() == Some("pull_request")));
    for entry in map.entries() {
        let node = &entry.value;
        match entry.key.as_str() {
            "branch" if of_pulls => {
                let why = "a script does not know which branch a pull request goes to: this holds for all of them";
                missing.push(Missing { place: node.place(), why: why.to_owned() });
                all.push(Cond::any(event("pull_request").into_iter().chain([names(node, Cond::Branch, missing)])));
            }
            "event" => all.push(any(node, missing, |name| event(name).map(|cond| (cond, false)))),
            "branch" => all.push(names(node, Cond::Branch, missing)),
            "path" => all.push(names(node, Cond::Touched, missing)),
            "ref" => all.push(any(node, missing, |name| {
                let made = glob(name, false);
                let branch = made.text.strip_prefix("refs/heads/").map(|name| Cond::Branch(name.to_owned()));
                let cond =
                    branch.or_else(|| made.text.strip_prefix("refs/tags/").map(|name| Cond::Tag(name.to_owned())));
                cond.map(|cond| (cond, made.wider))
            })),
            "status" => {
                let said: Vec<String> =
                    node.items().iter().filter_map(|status| status.text().map(str::to_owned)).collect();
                let has = |status: &str| said.iter().any(|known| known == status);
                *policy = match (has("failure"), has("success")) {
                    (true, true) => Some(Policy::Always),
                    (true, false) => Some(Policy::OnFailure),
                    _ => *policy,
                };
            }
            "matrix" => {
                for value in node.entries() {
                    match value.value.text().filter(|_| axes.contains(&value.key)) {
                        Some(text) => all.push(Cond::Is(Part::Axis(value.key.clone()), text.to_owned())),
                        None => missing.push(Missing::of(&value.value, "the matrix has no such axis")),
                    }
                }
            }
            _ => missing.push(Missing::of(node, "a script can't ask for this; what it stands for holds without it")),
        }
    }
    Cond::all(all)
}

/// Whether any of these holds. What nobody knows is listed, and nothing holds of which nobody knows anything.
fn any(node: &Tree, missing: &mut MissingList, of: impl Fn(&str) -> Option<(Cond, bool)>) -> Cond {
    let mut all = Vec::new();
    for item in node.items() {
        let name = item.text().unwrap_or_default().to_owned();
        match of(&name) {
            Some((cond, wider)) => {
                if wider {
                    missing.push(Missing {
                        place: item.place(),
                        why: format!("the pattern `{name}` became one that matches more"),
                    });
                }
                all.push(cond);
            }
            None => {
                missing.push(Missing::of(&item, format!("builds of this host are not told from others by `{name}`")))
            }
        }
    }
    Cond::any(all)
}

/// Names that match: patterns, or a map with those that have to and those that must not.
fn names(node: &Tree, of: fn(String) -> Cond, missing: &mut MissingList) -> Cond {
    let matching = |node: &Tree, missing: &mut MissingList| {
        any(node, missing, |name| {
            let made = glob(name, false);
            Some((of(made.text), made.wider))
        })
    };
    if !node.is_map() {
        return matching(node, missing);
    }
    let mut all = Vec::new();
    for entry in node.entries() {
        match entry.key.as_str() {
            "include" => all.push(matching(&entry.value, missing)),
            "exclude" if of(String::new()) == Cond::Touched(String::new()) => {
                missing.push(Missing::of(&entry.value, "a change of these files counts too"));
            }
            "exclude" => all.push(matching(&entry.value, missing).not()),
            _ => missing
                .push(Missing::of(&entry.value, "a script can't ask for this; what it stands for holds without it")),
        }
    }
    Cond::all(all)
}

fn event(name: &str) -> Option<Cond> {
    let trigger = |what: &str| Cond::Trigger(what.to_owned());
    match name {
        // Whoever starts a build by hand builds a push too.
        "push" => Some(Cond::all([Cond::Branch("**".to_owned()), trigger("webhook/pull_request").not()])),
        "pull_request" => Some(trigger("webhook/pull_request")),
        "tag" => Some(Cond::Tag("**".to_owned())),
        "cron" => Some(trigger("schedule")),
        "manual" => Some(Cond::any([trigger("cli"), trigger("api")])),
        _ => None,
    }
}
