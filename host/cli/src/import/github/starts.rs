//! `on`: for what a workflow runs.

use std::collections::BTreeMap;

use super::expression::event;
use crate::import::condition::{Cond, glob};
use crate::import::model::{Missing, MissingList};
use crate::import::yaml::{Node, Tree};

/// For what a workflow runs, and what its inputs are if nobody gives them.
pub struct Starts {
    pub cond: Cond,
    pub defaults: BTreeMap<String, String>,
}

/// Reads `on`: a word, a list of words, or a map.
pub fn read(on: Option<&Tree>, missing: &mut MissingList) -> Starts {
    let mut starts = Starts { cond: Cond::True, defaults: BTreeMap::new() };
    let Some(on) = on else { return starts };
    let mut conds = Vec::new();
    if on.is_map() {
        for entry in on.entries() {
            conds.push(one(&entry.key, &entry.value, &mut starts.defaults, missing));
        }
    } else {
        for item in on.items() {
            let name = item.text().unwrap_or_default().to_owned();
            conds.push(by_name(&name).unwrap_or_else(|| unknown(&item, &name, missing)));
        }
    }
    // What names nothing at all names no limit.
    if !conds.is_empty() {
        starts.cond = Cond::any(conds);
    }
    starts
}

fn by_name(name: &str) -> Option<Cond> {
    // Whoever starts a build by hand builds a push too.
    if name == "push" { Some(Cond::True) } else { event(name) }
}

/// What starts a build in place of an event that this host does not have.
fn unknown(node: &Node, name: &str, missing: &mut MissingList) -> Cond {
    let why = format!(
        "builds of this host are not started by `{name}`; whoever sees it may run `monkeyci-host run --trigger api`"
    );
    missing.push(Missing::of(node, why));
    Cond::Trigger("api".to_owned())
}

fn one(name: &str, value: &Tree, defaults: &mut BTreeMap<String, String>, missing: &mut MissingList) -> Cond {
    let Some(cond) = by_name(name) else { return unknown(value, name, missing) };
    if value.is_nothing() {
        value.cover();
        return cond;
    }
    match name {
        "push" => Cond::all([refs(value, missing), paths(value, missing)]),
        "pull_request" | "pull_request_target" => {
            for key in ["branches", "branches-ignore"] {
                if let Some(node) = value.get(key) {
                    let why = "a script does not know which branch a pull request goes to: it runs for all";
                    missing.push(Missing::of(node, why));
                }
            }
            Cond::all([cond, paths(value, missing)])
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
            cond
        }
        "schedule" => {
            let why = "the host starts no builds by the clock; let cron run `monkeyci-host run --trigger schedule` at these times";
            missing.push(Missing::of(value, why));
            cond
        }
        // What it says more is found as unused.
        _ => cond,
    }
}

/// Branches and tags.
fn refs(value: &Tree, missing: &mut MissingList) -> Cond {
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
    if refs.is_empty() { Cond::True } else { Cond::any(refs) }
}

fn paths(value: &Tree, missing: &mut MissingList) -> Cond {
    let paths = value.get("paths").map_or(Cond::True, |paths| matching(paths, Cond::Touched, missing));
    if let Some(ignored) = value.get("paths-ignore") {
        missing.push(Missing::of(ignored, "jobs run whatever changed; say with `build.touched(…)` what they are for"));
    }
    paths
}

/// Whether any of these patterns matches, and none after it that begins with `!`.
fn matching(patterns: &Tree, of: fn(String) -> Cond, missing: &mut MissingList) -> Cond {
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
