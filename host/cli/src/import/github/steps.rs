//! Steps of a job: commands, and what actions of GitHub's stand for.

use std::collections::BTreeSet;

use super::expression::{If, of_if};
use super::text::{SEEN, Scope, default_variable};
use super::uses;
use crate::import::condition::Cond;
use crate::import::model::{Command, Part, Policy, Text, Value};
use crate::import::yaml::{Entry, Node, Tree};

/// A step, and when it runs.
pub struct Step<'a> {
    pub node: &'a Tree,
    pub cond: Cond,
    pub when: Option<Policy>,
}

/// Reads the steps of a job. `defaults` is what is said of all that run commands.
pub fn read(job: &Tree, defaults: &[&Tree], scope: &mut Scope<'_>) {
    let steps = job.get("steps").map(|node| node.items()).unwrap_or_default();
    scope.alone = steps.iter().filter(|step| step.get("run").is_some()).count() == 1;
    for step in &steps {
        scope.exported.clear();
        let known = If { cond: Cond::True, when: None };
        let found = match step.get("if") {
            None => known,
            Some(condition) => {
                let text = condition.text().unwrap_or_default().to_owned();
                match of_if(&text, &|name| scope.part(name)) {
                    Ok(found) => found,
                    Err(wrong) => {
                        scope.miss(step, format!("the step is left out, because of its condition `{text}`: {wrong}"));
                        continue;
                    }
                }
            }
        };
        let step = Step { node: step, cond: found.cond, when: found.when };
        if let Some(name) = step.node.get("uses") {
            let name = name.text().unwrap_or_default().to_owned();
            uses::read(&step, &name, scope);
        } else if let Some(run) = step.node.get("run") {
            command(&step, run, defaults, scope);
        } else {
            scope.miss(step.node, "it is no step");
        }
    }
}

/// The name of a step.
pub fn title(step: &Node) -> Option<String> {
    step.get("name").and_then(|name| name.text()).map(str::to_owned)
}

fn command(step: &Step<'_>, run: &Tree, defaults: &[&Tree], scope: &mut Scope<'_>) {
    let node = step.node;
    let said = |key: &str| node.get(key).or_else(|| defaults.iter().find_map(|defaults| defaults.get(key)));
    match said("shell").and_then(|shell| shell.text()) {
        None => {}
        Some(shell) if shell.starts_with("bash") => scope.job.shell = Some("/bin/bash".to_owned()),
        Some("sh") => {}
        Some(shell) => {
            let why = format!(
                "the step is left out: its shell is `{shell}`, and a job's lines are for a POSIX shell; call that program"
            );
            scope.miss(node, why);
            return;
        }
    }
    match step.when {
        None => {}
        Some(Policy::OnFailure) => {
            let why = "the step is left out: no line of a job runs after one that failed; make it a job that needs this one, with `.on_failure()`";
            scope.miss(node, why);
            return;
        }
        Some(_) => {
            if let Some(condition) = node.get("if") {
                scope.miss(condition, "no line of a job runs after one that failed: this one does not run then either");
            }
        }
    }
    let title = title(node);
    if let Some(id) = node.get("id") {
        // What it is for is read with the outputs of the job.
        id.cover();
    }
    let before = environment(step.node, scope);
    if let Some(dir) = said("working-directory") {
        let dir = scope.shell(dir);
        let quoted = dir.literals().contains([' ', '$', '\'']);
        let text = if quoted { dir.within("\"", "\"") } else { dir };
        let mut change = Text::from("cd ");
        change.extend(&text);
        change.push(Part::Literal("\n".to_owned()));
        // The directory first; what is exported holds there too.
        let mut all = Text::from(before.as_str());
        all.extend(&change);
        push(step, title, all, run, scope);
    } else {
        push(step, title, Text::from(before.as_str()), run, scope);
    }
    if let Some(allowed) = node.get("continue-on-error").filter(|allowed| allowed.text() != Some("false")) {
        scope.miss(allowed, "a line that fails ends the job; end it with `|| true` where it may fail");
    }
}

/// The variables of a step: its lines set those whose values are known here, the job has the others.
fn environment(step: &Node, scope: &mut Scope<'_>) -> String {
    let mut lines = String::new();
    for Entry { key: name, value: node, .. } in step.get("env").map(|env| env.entries()).unwrap_or_default() {
        let value = scope.value(node);
        if node.is_nothing() {
            node.cover();
        }
        let known = scope.job.value(name);
        if known == Some(&value) {
            continue;
        }
        let literal = match &value {
            Value::Text(text) => text.literal().filter(|_| is_name(name)),
            _ => None,
        };
        if let Some(text) = literal {
            lines.push_str(&format!("export {name}='{}'\n", text.replace('\'', r"'\''")));
            scope.exported.insert(name.clone());
        } else if known.is_some() {
            let why = "the job has another variable of this name, and keeps that one; name one of them otherwise";
            scope.miss(node, why);
        } else {
            scope.job.set(name, value);
            if !scope.alone {
                scope.miss(node, format!("it is {SEEN}"));
            }
        }
    }
    lines
}

/// Whether lines of a shell can set a variable of this name.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn push(step: &Step<'_>, title: Option<String>, mut text: Text, run: &Tree, scope: &mut Scope<'_>) {
    let lines = outputs(scope.shell(run));
    variables(&lines, run, scope);
    text.extend(&lines);
    let line = run.place().line.max(step.node.place().line);
    scope.job.commands.push(Command { line, title, text, when: step.cond.clone() });
}

/// Lines that write outputs, to where this host reads them.
fn outputs(text: Text) -> Text {
    let mut made = Text::default();
    for part in text.0 {
        made.push(match part {
            Part::Literal(text) => Part::Literal(text.replace("GITHUB_OUTPUT", "MONKEYCI_OUTPUTS")),
            part => part,
        });
    }
    made
}

/// The variables of GitHub that lines name: those that are known here are set, the others listed.
fn variables(lines: &Text, node: &Node, scope: &mut Scope<'_>) {
    for name in named(&lines.literals(), &["GITHUB_", "RUNNER_"]) {
        if scope.job.value(&name).is_some() || scope.exported.contains(&name) {
            continue;
        }
        match default_variable(&name) {
            Some(value) => scope.job.set(&name, Value::Text(value)),
            None => {
                let why = match name.as_str() {
                    "GITHUB_ENV" | "GITHUB_PATH" => format!("nobody reads `${name}`: each step has a shell of its own; set what they share with `.env(…)`"),
                    "GITHUB_STEP_SUMMARY" => "nobody reads `$GITHUB_STEP_SUMMARY`; say what came out with `monkeyci.message=…` in `$MONKEYCI_OUTPUTS`".to_owned(),
                    _ => format!("nobody sets `${name}` here"),
                };
                scope.missing.push(crate::import::model::Missing { place: node.place(), why });
            }
        }
    }
}

/// The names in a text that begin so, and stand there as variables.
pub fn named(text: &str, begins: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices('$') {
        let rest = text[at + 1..].trim_start_matches('{');
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        if begins.iter().any(|begin| name.starts_with(begin)) {
            names.insert(name.to_owned());
        }
    }
    names
}
