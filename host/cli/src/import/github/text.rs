//! Texts with `${{ … }}` in them: as values that a script makes, and as lines for a shell.

use std::collections::BTreeMap;

use super::expression::{Expr, parse, part};
use crate::import::model::{Fact, Job, Missing, Part, Text, Value};
use crate::import::names;
use crate::import::yaml::Node;

/// What texts of a job may speak of.
pub struct Scope<'a> {
    pub job: &'a mut Job,
    pub missing: &'a mut Vec<Missing>,
    /// The ids of jobs here, by those of the file.
    pub ids: &'a BTreeMap<String, String>,
    /// By job and output: what a step of that job calls it.
    pub outputs: &'a BTreeMap<(String, String), String>,
    /// What the inputs of the workflow are if nobody gives them.
    pub defaults: &'a BTreeMap<String, String>,
}

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

    pub fn has_axis(&self, axis: &str) -> bool {
        self.job.matrix.as_ref().is_some_and(|matrix| matrix.axes.iter().any(|known| known == axis))
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
                    Some(Meaning::Env(name)) if matches!(self.job.value(&name), Some(Value::Text(_))) => {
                        if let Some(Value::Text(value)) = self.job.value(&name).cloned() {
                            made.extend(&value);
                        }
                    }
                    _ => {
                        self.miss(
                            node,
                            format!("`{whole}` stays as it is: a script can't know it here; say what it is"),
                        );
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
                Some(Meaning::Part(Part::Fact(fact))) => Some(fact_variable(fact).to_owned()),
                Some(Meaning::Part(part @ Part::Param { .. })) => {
                    let Part::Param { name, .. } = &part else { continue };
                    let name = names::env(name);
                    self.give(&name, Value::Text(part.into()));
                    Some(format!("${{{name}}}"))
                }
                Some(Meaning::Part(part)) => {
                    made.push(part);
                    continue;
                }
                Some(Meaning::Secret(name)) => {
                    self.give(&name, Value::Secret(name.clone()));
                    Some(format!("${{{name}}}"))
                }
                Some(Meaning::Env(name)) => Some(format!("${{{name}}}")),
                Some(Meaning::Output { job, output }) => {
                    let name = names::env(&format!("{job}_{output}"));
                    self.give(&name, Value::Output { job, output });
                    Some(format!("${{{name}}}"))
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

    /// A variable for lines of a shell, if the job has none of that name.
    pub fn give(&mut self, name: &str, value: Value) {
        if self.job.value(name).is_none() {
            self.job.set(name, value);
        }
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
        match (part(&name, &|axis| self.has_axis(axis))?, default) {
            (Part::Param { name, .. }, Some(default)) => Some(Meaning::Part(Part::Param { name, default })),
            (Part::Param { name, default }, None) => {
                let default = self.defaults.get(&name).cloned().unwrap_or(default);
                Some(Meaning::Part(Part::Param { name, default }))
            }
            (part, None) => Some(Meaning::Part(part)),
            (_, Some(_)) => None,
        }
    }
}

/// The variable that each job has for this.
fn fact_variable(fact: Fact) -> &'static str {
    match fact {
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
        Fact::Message | Fact::Author | Fact::Url => "",
    }
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
