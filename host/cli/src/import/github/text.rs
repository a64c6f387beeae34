//! Texts with `${{ … }}` in them: as values that a script makes, and as lines for a shell.

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Expr, parse, part};
use crate::import::model::{Fact, Job, Missing, MissingList, Part, Text, Value};
use crate::import::names;
use crate::import::variables::{MAX_TEXT, SHELL};
use crate::import::yaml::Node;

/// What texts of a job may speak of.
pub struct Scope<'a> {
    pub job: &'a mut Job,
    pub missing: &'a mut MissingList,
    /// The ids of jobs here, by those of the file.
    pub ids: &'a BTreeMap<String, String>,
    /// By job and output: what a step of that job calls it.
    pub outputs: &'a BTreeMap<(String, String), String>,
    /// What the inputs of the workflow are if nobody gives them.
    pub defaults: &'a BTreeMap<String, String>,
    /// The variables that the lines of the step set themselves.
    pub exported: BTreeSet<String>,
    /// No other step of the job runs commands.
    pub alone: bool,
}

/// What is said of a value that a step alone has there.
pub const SEEN: &str =
    "a variable of the job, and all of its steps see it; make the step a job of its own if the others must not";

/// A piece of a text.
enum Piece<'a> {
    Literal(&'a str),
    /// What stands between the braces, and all of it.
    Expr(&'a str, &'a str),
}

/// What an expression is.
enum Meaning {
    Part(Part),
    Secret(String),
    Env(String),
    Output { job: String, output: String },
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find("${{") {
        let Some(length) = rest[start..].find("}}").map(|end| end + 2) else { break };
        pieces.push(Piece::Literal(&rest[..start]));
        let whole = &rest[start..start + length];
        pieces.push(Piece::Expr(whole[3..length - 2].trim(), whole));
        rest = &rest[start + length..];
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

impl Scope<'_> {
    pub fn miss(&mut self, node: &Node, why: impl Into<String>) {
        self.missing.push(Missing::of(node, why));
    }

    /// A value that the job's script can have.
    pub fn part(&self, name: &[String]) -> Option<Part> {
        part(name, &|axis| self.job.has_axis(axis), self.defaults)
    }

    /// A text that the script makes. What it can't know stays as it is, and is listed.
    pub fn text(&mut self, node: &Node) -> Text {
        let text = node.text().unwrap_or_default().to_owned();
        let mut made = Text::default();
        for piece in pieces(&text) {
            match piece {
                Piece::Literal(text) => made.push(Part::Literal(text.to_owned())),
                Piece::Expr(expr, whole) => match self.meaning(expr) {
                    Some(Meaning::Part(part)) => made.push(part),
                    meaning => {
                        let value = match meaning {
                            Some(Meaning::Env(name)) => self.job.value(&name),
                            _ => None,
                        };
                        let why = match value {
                            Some(Value::Text(value)) if made.size() + value.size() <= MAX_TEXT => {
                                made.extend(value);
                                continue;
                            }
                            Some(Value::Text(_)) => {
                                "with what it is, the text would be longer than 64 KiB; write it down shorter"
                            }
                            _ => "a script can't know it here; say what it is",
                        };
                        self.miss(node, format!("`{whole}` stays as it is: {why}"));
                        made.push(Part::Literal(whole.to_owned()));
                    }
                },
            }
        }
        made
    }

    /// The value of a variable: a text, a secret, or an output of another job.
    pub fn value(&mut self, node: &Node) -> Value {
        let text = node.peek().unwrap_or_default().to_owned();
        if let [Piece::Literal(""), Piece::Expr(expr, _), Piece::Literal("")] = pieces(&text).as_slice() {
            match self.meaning(expr) {
                Some(Meaning::Secret(name)) => {
                    node.cover();
                    return Value::Secret(name);
                }
                Some(Meaning::Output { job, output }) => {
                    node.cover();
                    return Value::Output { job, output };
                }
                Some(Meaning::Env(name)) => {
                    if let Some(value) = self.job.value(&name).cloned() {
                        node.cover();
                        return value;
                    }
                }
                _ => {}
            }
        }
        Value::Text(self.text(node))
    }

    /// Lines for a shell. What comes from outside is a variable there, and no part of the lines.
    pub fn shell(&mut self, node: &Node) -> Text {
        let text = node.text().unwrap_or_default().to_owned();
        let mut made = Text::default();
        let mut line = String::new();
        for piece in pieces(text.trim_end()) {
            let (expr, whole) = match piece {
                Piece::Literal(text) => {
                    line = text
                        .rsplit('\n')
                        .next()
                        .map(|last| match text.contains('\n') {
                            true => last.to_owned(),
                            false => format!("{line}{last}"),
                        })
                        .unwrap_or_default();
                    made.push(Part::Literal(text.to_owned()));
                    continue;
                }
                Piece::Expr(expr, whole) => (expr, whole),
            };
            let variable = match self.meaning(expr) {
                Some(Meaning::Part(Part::Fact(fact))) => fact_variable(fact).map(str::to_owned),
                Some(Meaning::Part(Part::Param { name, default })) => {
                    let value = |name: &str| Value::Text(Part::Param { name: name.to_owned(), default }.into());
                    Some(match expr.starts_with("vars") {
                        true => self.give_seen(node, whole, &names::env(&name), value(&name)),
                        false => self.give(&names::env(&format!("INPUT_{name}")), value(&name)),
                    })
                }
                Some(Meaning::Part(part)) => {
                    made.push(part);
                    continue;
                }
                Some(Meaning::Secret(name)) => Some(self.give_seen(node, whole, &name.clone(), Value::Secret(name))),
                Some(Meaning::Env(name)) => Some(format!("${{{name}}}")),
                Some(Meaning::Output { job, output }) => {
                    let name = names::env(&format!("{job}_{output}"));
                    Some(self.give(&name, Value::Output { job, output }))
                }
                None => None,
            };
            match variable {
                Some(variable) => {
                    // The shell takes no variable's value between single quotes.
                    if line.matches('\'').count() % 2 == 1 {
                        self.miss(node, format!(
                            "`{whole}` became the variable `{variable}`, and stands between single quotes, where a shell leaves it as it is; use double ones"
                        ));
                    }
                    made.push(Part::Literal(variable));
                }
                None => {
                    self.miss(
                        node,
                        format!("`{whole}` stays as it is, and no shell takes it: a job can't know it; say what it is"),
                    );
                    made.push(Part::Literal(whole.to_owned()));
                }
            }
        }
        made
    }

    /// A variable with this value for lines of a shell, as they name it. It has this name, or that with a number if another one has it.
    fn give(&mut self, name: &str, value: Value) -> String {
        let mut own = name.to_owned();
        let mut number = 1;
        loop {
            let is_free = !SHELL.contains(&own.as_str()) && !self.exported.contains(&own);
            match self.job.value(&own) {
                Some(known) if is_free && *known == value => break,
                None if is_free => {
                    self.job.set(&own, value);
                    break;
                }
                _ => {
                    number += 1;
                    own = format!("{name}_{number}");
                }
            }
        }
        format!("${{{own}}}")
    }

    /// The same; that the other steps see it, too, is listed.
    fn give_seen(&mut self, node: &Node, whole: &str, name: &str, value: Value) -> String {
        let known = self.job.env.len();
        let variable = self.give(name, value);
        if self.job.env.len() > known && !self.alone {
            self.miss(node, format!("`{whole}` became `{variable}`, {SEEN}"));
        }
        variable
    }

    fn meaning(&self, text: &str) -> Option<Meaning> {
        let (expr, default) = match parse(text).ok()? {
            Expr::Or(mut parts) if parts.len() == 2 => match (parts.remove(0), parts.remove(0)) {
                (first, Expr::Text(default)) => (first, Some(default)),
                _ => return None,
            },
            one => (one, None),
        };
        let name = match expr {
            Expr::Text(text) if default.is_none() => return Some(Meaning::Part(Part::Literal(text))),
            Expr::Call(name, patterns) if name == "hashFiles" && default.is_none() => {
                let patterns: Option<Vec<String>> = patterns
                    .into_iter()
                    .map(|pattern| match pattern {
                        Expr::Text(text) => Some(text),
                        _ => None,
                    })
                    .collect();
                return Some(Meaning::Part(Part::Hash(patterns?)));
            }
            Expr::Name(name) => name,
            _ => return None,
        };
        let parts: Vec<&str> = name.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["secrets", name] if default.is_none() => return Some(Meaning::Secret((*name).to_owned())),
            ["github", "token"] if default.is_none() => return Some(Meaning::Secret("GITHUB_TOKEN".to_owned())),
            ["env", name] if default.is_none() => return Some(Meaning::Env((*name).to_owned())),
            ["needs", job, "outputs", output] if default.is_none() => {
                let id = self.ids.get(*job)?;
                let output = self.outputs.get(&((*job).to_owned(), (*output).to_owned()))?;
                return Some(Meaning::Output { job: id.clone(), output: output.clone() });
            }
            _ => {}
        }
        match (self.part(&name)?, default) {
            // An input that nobody gives has the default of its declaration first.
            (Part::Param { name, default: own }, Some(default)) => {
                Some(Meaning::Part(Part::Param { name, default: if own.is_empty() { default } else { own } }))
            }
            (part, None) => Some(Meaning::Part(part)),
            (_, Some(_)) => None,
        }
    }
}

/// What lines of a shell name for this, if each job has it.
fn fact_variable(fact: Fact) -> Option<&'static str> {
    Some(match fact {
        Fact::Commit => "${MONKEYCI_COMMIT}",
        Fact::ShortCommit => "$(printf %.8s \"$MONKEYCI_COMMIT\")",
        Fact::Branch | Fact::MainBranch => "${MONKEYCI_BRANCH}",
        Fact::Tag => "${MONKEYCI_TAG}",
        Fact::Ref => "${MONKEYCI_REF}",
        Fact::RefName | Fact::Slug => "${MONKEYCI_TAG:-${MONKEYCI_BRANCH}}",
        Fact::Org => "${MONKEYCI_REPO%%/*}",
        Fact::Repo => "${MONKEYCI_REPO##*/}",
        Fact::Slashed => "${MONKEYCI_REPO}",
        Fact::Build => "${MONKEYCI_BUILD##*/}",
        Fact::Message | Fact::Author | Fact::Url => return None,
    })
}

/// What GitHub sets in each job's environment.
pub fn default_variable(name: &str) -> Option<Text> {
    let fact = match name {
        "GITHUB_SHA" => Fact::Commit,
        "GITHUB_REF" => Fact::Ref,
        "GITHUB_REF_NAME" => Fact::RefName,
        "GITHUB_HEAD_REF" => Fact::Branch,
        "GITHUB_REPOSITORY" => Fact::Slashed,
        "GITHUB_REPOSITORY_OWNER" => Fact::Org,
        "GITHUB_RUN_ID" => Fact::Build,
        "RUNNER_OS" => return Some(Text::from("Linux")),
        _ => return None,
    };
    Some(Part::Fact(fact).into())
}
