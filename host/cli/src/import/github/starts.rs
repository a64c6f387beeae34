//! `on`: for what a workflow runs.

use std::collections::BTreeMap;

use super::expression::event;
use crate::import::condition::{Cond, glob};
use crate::import::model::Missing;
use crate::import::yaml::{Node, Tree};

/// For what a workflow runs, and what its inputs are if nobody gives them.
pub struct Starts {
    pub cond: Cond,
    pub defaults: BTreeMap<String, String>,
}

/// Reads `on`: a word, a list of words, or a map.
pub fn read(on: Option<&Tree>, missing: &mut Vec<Missing>) -> Starts {
    let mut starts = Starts { cond: Cond::True, defaults: BTreeMap::new() };
    let Some(on) = on else { return starts };
    let mut conds = Vec::new();
    if on.is_map() {
        for entry in on.entries() {
            conds.extend(one(&entry.key, &entry.value, &mut starts.defaults, missing));
        }
    } else {
        for item in on.items() {
            let name = item.text().unwrap_or_default().to_owned();
            match by_name(&name) {
                Some(cond) => conds.push(cond),
                None => missing.push(unknown(&item, &name)),
            }
        }
    }
    if !conds.is_empty() {
        starts.cond = Cond::any(conds);
    }
    starts
}

fn by_name(name: &str) -> Option<Cond> {
    // Whoever starts a build by hand builds a push too.
    if name == "push" { Some(Cond::True) } else { event(name) }
}

fn unknown(node: &Node, name: &str) -> Missing {
    Missing::of(
        node,
        format!(
            "builds of this host are not started by `{name}`; whoever sees it may run `monkeyci-host run --trigger api`"
        ),
    )
}

fn one(name: &str, value: &Tree, defaults: &mut BTreeMap<String, String>, missing: &mut Vec<Missing>) -> Option<Cond> {
    if value.is_nothing() {
        value.cover();
        let cond = by_name(name);
        if cond.is_none() {
            missing.push(unknown(value, name));
        }
        return cond;
    }
    match name {
        "push" | "pull_request" | "pull_request_target" => {
            let filter = filter(value, missing);
            let cond = by_name(name)?;
            Some(if name == "push" { filter } else { Cond::all([cond, filter]) })
        }
        "workflow_dispatch" => {
            for input in value.get("inputs").map(|inputs| inputs.entries()).unwrap_or_default() {
                if let Some(default) = input.value.get("default").and_then(|default| default.text()) {
                    defaults.insert(input.key.clone(), default.to_owned());
                }
                let why =
                    "it is a parameter here, and its value is any text; say more of it with `build.declare(param(…))`";
                missing.push(Missing::of(&input.value, why));
            }
            event(name)
        }
        "schedule" => {
            let why = "the host starts no builds by the clock; let cron run `monkeyci-host run --trigger schedule` at these times";
            missing.push(Missing::of(value, why));
            event(name)
        }
        _ => {
            missing.push(unknown(value, name));
            None
        }
    }
}

/// Branches, tags and paths.
fn filter(value: &Tree, missing: &mut Vec<Missing>) -> Cond {
    let mut refs = Vec::new();
    for (key, ignored, any) in
        [("branches", "branches-ignore", Cond::Branch as fn(String) -> Cond), ("tags", "tags-ignore", Cond::Tag)]
    {
        if let Some(patterns) = value.get(key) {
            refs.push(matching(patterns, any, missing));
        }
        if let Some(patterns) = value.get(ignored) {
            refs.push(Cond::all([any("**".to_owned()), matching(patterns, any, missing).not()]));
        }
    }
    let refs = if refs.is_empty() { Cond::True } else { Cond::any(refs) };
    let paths = value.get("paths").map_or(Cond::True, |paths| matching(paths, Cond::Touched, missing));
    if let Some(ignored) = value.get("paths-ignore") {
        missing.push(Missing::of(ignored, "jobs run whatever changed; say with `build.touched(…)` what they are for"));
    }
    Cond::all([refs, paths])
}

/// Whether any of these patterns matches, and none after it that begins with `!`.
fn matching(patterns: &Tree, of: fn(String) -> Cond, missing: &mut Vec<Missing>) -> Cond {
    let mut cond = Cond::False;
    for item in patterns.items() {
        let pattern = item.text().unwrap_or_default().to_owned();
        let (negative, plain) = pattern.strip_prefix('!').map_or((false, pattern.as_str()), |rest| (true, rest));
        let glob = glob(plain, true);
        if glob.wider {
            missing.push(Missing::of(
                &item,
                format!("the pattern `{pattern}` became `{}`, which matches more", glob.text),
            ));
        }
        if negative && of(String::new()) == Cond::Touched(String::new()) {
            missing.push(Missing::of(&item, "a change of these files counts too"));
            continue;
        }
        cond = match negative {
            true => Cond::all([cond, of(glob.text).not()]),
            false => Cond::any([cond, of(glob.text)]),
        };
    }
    cond
}
