//! What is otherwise about the build of a seed than it was asked to be: branch, tag, changed files, parameters, and whose code it is.

use std::path::Path;

use monkeyci_build::{Changes, EventBody, ParamKind, ParamSpec};

use super::Run;
use super::chance::Chance;
use super::fault::Fault;
use crate::running::BuildRequest;

/// Names of branches and tags that scripts are not always ready for.
const NAMES: [&str; 12] = [
    "main",
    "topic",
    "fix/a",
    "feature/a/b/c",
    "release/1.2",
    "UPPER_Case",
    "dependabot/npm_and_yarn/left-pad-1.3.0",
    "v1.2.3",
    "42",
    "user@host",
    "größe",
    "a-name-that-is-longer-than-what-most-systems-take-for-the-name-of-a-thing-such-as-a-host-a-volume-or-a-label",
];
/// Texts that scripts are not always ready for.
const TEXTS: [&str; 8] = ["", "", " ", "a", "a,b", "with space", "größe", "-x"];
/// Numbers of that kind; an `Integer` may have the first.
const NUMBERS: [&str; 8] = ["0", "1", "-1", "2", "100", "9223372036854775807", "0.5", "-0.0"];
const INTEGERS: u64 = 6;
/// Files that change beside those that are there.
const FILES: [&str; 4] = ["README.md", "src/main.rs", "docs/with space.md", "größe.txt"];
/// So many files are looked at, and so many change, at most.
const LOOKED_AT: usize = 64;
const CHANGED: u64 = 4;
/// When nothing goes wrong any more at the latest, in seeds that have such a moment: in milliseconds.
const HEALED_MS: u64 = 3_600_000;
/// How far another clock is ahead at most: a year, in seconds.
const AHEAD: u64 = 366 * 86_400;

/// What is known of a script before its builds are made up.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    params: Vec<ParamSpec>,
    files: Vec<String>,
}

impl Learnt {
    /// What an ordinary build of it tells, and the directory of its code.
    pub(super) fn of(run: &Run, dir: Option<&Path>) -> Self {
        let declared = run.events.iter().find_map(|event| match &event.body {
            EventBody::ScriptDefined { params, .. } => Some(params.clone()),
            _ => None,
        });
        let entries = dir.and_then(|dir| std::fs::read_dir(dir).ok()).into_iter().flatten().flatten();
        let is_file = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let names = entries.filter(is_file).filter_map(|entry| entry.file_name().into_string().ok());
        let mut files: Vec<String> = names.chain(FILES.map(str::to_owned)).collect();
        files.sort();
        files.dedup();
        files.truncate(LOOKED_AT);
        Self { params: declared.unwrap_or_default(), files }
    }

    /// What the seed makes of the build that is asked for. What that says itself, stays.
    pub(super) fn drawn(&self, chance: &Chance, request: &BuildRequest) -> Vec<Fault> {
        let (given, mut drawn) = (&request.given, Vec::new());
        if chance.unit("heal", "whether") < 0.25 {
            drawn.push(Fault::Heal { at_ms: chance.spread("heal", "when", HEALED_MS) });
        }
        if chance.unit("ordinary", "") < 0.4 {
            return drawn;
        }
        let is = |what: &str, rate: f64| chance.unit("build", what) < rate;
        let of = |what: &str, list: &[&str]| list[chance.below(what, "", list.len() as u64) as usize].to_owned();
        let is_code_given = given.branch.is_some() || given.tag.is_some();
        match chance.unit("build", "code") {
            _ if is_code_given => {}
            part if part < 0.5 => drawn.push(Fault::Branch(of("branch", &NAMES))),
            part if part < 0.65 => drawn.push(Fault::Tag(of("tag", &NAMES))),
            _ => {}
        }
        if given.trigger.is_none() && is("fork", 0.2) {
            drawn.push(Fault::Fork);
        }
        if given.changes.is_none() && is("changes", 0.3) {
            let count = chance.below("changed", "count", CHANGED);
            for number in 0..=count {
                let at = chance.below("changed", &number.to_string(), self.files.len() as u64) as usize;
                drawn.extend(self.files.get(at).cloned().map(Fault::Changed));
            }
        }
        let open = self.params.iter().filter(|param| !request.inputs.params.contains_key(&param.name));
        for param in open.filter(|param| is(&format!("param {}", param.name), 0.4)) {
            drawn.push(Fault::Param { name: param.name.clone(), value: value_of(chance, param) });
        }
        if is("clock", 0.15) {
            drawn.push(Fault::Clock { seconds: chance.below("clock", "seconds", AHEAD) });
        }
        if is("random", 0.15) {
            drawn.push(Fault::Random { number: 1 + chance.below("random", "number", 1000) });
        }
        drawn.sort();
        drawn.dedup();
        drawn
    }
}

/// A value that fits the declaration.
fn value_of(chance: &Chance, param: &ParamSpec) -> String {
    let below = |end: usize| chance.below("value", &param.name, end as u64) as usize;
    match &param.kind {
        ParamKind::Text => TEXTS[below(TEXTS.len())].to_owned(),
        ParamKind::Integer => NUMBERS[below(INTEGERS as usize)].to_owned(),
        ParamKind::Number => NUMBERS[below(NUMBERS.len())].to_owned(),
        ParamKind::Boolean => ["true", "false"][below(2)].to_owned(),
        ParamKind::Choice(choices) => choices.get(below(choices.len().max(1))).cloned().unwrap_or_default(),
    }
}

/// The build that is asked for, with what is otherwise about it.
pub(super) fn with(mut request: BuildRequest, faults: &[Fault]) -> BuildRequest {
    for fault in faults {
        match fault {
            Fault::Branch(name) => (request.given.branch, request.given.tag) = (Some(name.clone()), None),
            Fault::Tag(name) => (request.given.branch, request.given.tag) = (None, Some(name.clone())),
            Fault::Changed(path) => {
                let modified = &mut request.given.changes.get_or_insert_with(Changes::default).modified;
                modified.push(path.clone());
                modified.sort();
                modified.dedup();
            }
            Fault::Param { name, value } => drop(request.inputs.params.insert(name.clone(), value.clone())),
            Fault::Fork => {
                let trigger = "webhook/pull_request".to_owned();
                (request.trigger, request.given.trigger) = (trigger.clone(), Some(trigger));
                request.inputs.secrets.clear();
                request.inputs.reveal.clear();
            }
            _ => {}
        }
    }
    request
}
