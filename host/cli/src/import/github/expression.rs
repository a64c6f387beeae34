//! Expressions of GitHub, `${{ … }}`: read, and told as conditions.

use std::collections::BTreeMap;

use crate::import::condition::Cond;
use crate::import::model::{Fact, Part, Policy};

/// How deeply expressions may stand in each other.
const MAX_DEPTH: usize = 32;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A text, a number or a truth value.
    Text(String),
    /// `github.ref`, by its parts.
    Name(Vec<String>),
    Call(String, Vec<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Is(Box<Expr>, Box<Expr>),
}

/// What can't be read or told, in words.
pub type Wrong = String;

/// Reads an expression, without the braces round it.
pub fn parse(text: &str) -> Result<Expr, Wrong> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let expr = parser.or(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some(token) => Err(format!("{token:?} is not expected there")),
    }
}

/// What stands between `${{` and `}}`, if that is all of the text; else the text itself.
pub fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inner.filter(|inner| !inner.contains("}}")).map_or(text, str::trim)
}

fn tokens(text: &str) -> Result<Vec<String>, Wrong> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => {
                let mut end = 1;
                loop {
                    end += 1 + rest[end..].find('\'').ok_or("a text has no end")?;
                    // Two quotes are one quote of the text.
                    match rest[end..].starts_with('\'') {
                        true => end += 1,
                        false => break end,
                    }
                }
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(rest.len())
            }
            _ if ["&&", "||", "==", "!=", "<=", ">="].iter().any(|operator| rest.starts_with(operator)) => 2,
            c => c.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn take(&mut self, wanted: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token == wanted);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Expr, Wrong> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let mut all = vec![self.and(depth)?];
        while self.take("||") {
            all.push(self.and(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Or(all) })
    }

    fn and(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let mut all = vec![self.comparison(depth)?];
        while self.take("&&") {
            all.push(self.comparison(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
    }

    fn comparison(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let left = self.not(depth)?;
        if self.take("==") {
            return Ok(Expr::Is(Box::new(left), Box::new(self.not(depth)?)));
        }
        if self.take("!=") {
            return Ok(Expr::Not(Box::new(Expr::Is(Box::new(left), Box::new(self.not(depth)?)))));
        }
        Ok(left)
    }

    fn not(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let mut times = 0;
        while self.take("!") {
            times += 1;
        }
        let inner = self.one(depth)?;
        Ok(if times % 2 == 1 { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn one(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let Some(token) = self.tokens.get(self.at).cloned() else { return Err("it ends too early".to_owned()) };
        self.at += 1;
        if token == "(" {
            let inner = self.or(depth + 1)?;
            return if self.take(")") { Ok(inner) } else { Err("a bracket is not closed".to_owned()) };
        }
        if let Some(text) = token.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            return Ok(Expr::Text(text.replace("''", "'")));
        }
        if !token.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{token:?} is not expected there"));
        }
        if token.starts_with(|c: char| c.is_ascii_digit()) || ["true", "false", "null"].contains(&token.as_str()) {
            return Ok(Expr::Text(token));
        }
        if self.take("(") {
            let mut arguments = Vec::new();
            while !self.take(")") {
                arguments.push(self.or(depth + 1)?);
                if !self.take(",") && self.tokens.get(self.at).is_none_or(|token| token != ")") {
                    return Err("a bracket is not closed".to_owned());
                }
            }
            return Ok(Expr::Call(token, arguments));
        }
        let mut name: Vec<String> = token.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        while self.take("[") {
            let index = self.tokens.get(self.at).cloned().unwrap_or_default();
            self.at += 1;
            if !self.take("]") {
                return Err("a bracket is not closed".to_owned());
            }
            name.push(index.trim_matches('\'').to_owned());
            if let Some(rest) = self.tokens.get(self.at).and_then(|token| token.strip_prefix('.')).map(str::to_owned) {
                self.at += 1;
                name.extend(rest.split('.').filter(|part| !part.is_empty()).map(str::to_owned));
                // The tokens are `.` and the name.
                if rest.is_empty()
                    && self.tokens.get(self.at).is_some_and(|token| token.starts_with(char::is_alphabetic))
                {
                    name.extend(self.tokens[self.at].split('.').map(str::to_owned));
                    self.at += 1;
                }
            }
        }
        Ok(Expr::Name(name))
    }
}

/// A condition, and when a job or step runs, seen from those before it.
#[derive(Debug, PartialEq, Eq)]
pub struct If {
    pub cond: Cond,
    pub when: Option<Policy>,
}

/// What a name stands for, if a script can have its value.
pub type Lookup<'a> = &'a dyn Fn(&[String]) -> Option<Part>;

/// What an `if:` says.
pub fn of_if(text: &str, known: Lookup<'_>) -> Result<If, Wrong> {
    let parts = match parse(unwrapped(text))? {
        Expr::And(parts) => parts,
        one => vec![one],
    };
    let (mut conds, mut when) = (Vec::new(), None);
    for part in parts {
        let status = match &part {
            Expr::Call(name, arguments) if arguments.is_empty() => status(name),
            Expr::Not(inner) if matches!(inner.as_ref(), Expr::Call(name, _) if name == "cancelled") => {
                Some(Some(Policy::Always))
            }
            _ => None,
        };
        match status {
            Some(policy) => when = policy.or(when),
            None => conds.push(condition(&part, known)?),
        }
    }
    Ok(If { cond: Cond::all(conds), when })
}

fn status(name: &str) -> Option<Option<Policy>> {
    match name {
        "always" => Some(Some(Policy::Always)),
        "failure" => Some(Some(Policy::OnFailure)),
        "success" => Some(None),
        _ => None,
    }
}

fn condition(expr: &Expr, known: Lookup<'_>) -> Result<Cond, Wrong> {
    let all = |parts: &[Expr]| parts.iter().map(|part| condition(part, known)).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::Text(text) => {
            Ok(if ["false", "", "0", "null"].contains(&text.as_str()) { Cond::False } else { Cond::True })
        }
        Expr::Not(inner) => Ok(condition(inner, known)?.not()),
        Expr::And(parts) => Ok(Cond::all(all(parts)?)),
        Expr::Or(parts) => Ok(Cond::any(all(parts)?)),
        Expr::Is(left, right) => match (left.as_ref(), right.as_ref()) {
            (Expr::Name(name), Expr::Text(text)) | (Expr::Text(text), Expr::Name(name)) => is(name, text, known),
            _ => Err("what it compares is not known to a script".to_owned()),
        },
        Expr::Call(name, arguments) => match (name.as_str(), arguments.as_slice()) {
            ("startsWith", [Expr::Name(name), Expr::Text(text)]) => begins(name, text),
            ("endsWith", [Expr::Name(name), Expr::Text(text)])
                if *name == ["github", "ref"] || *name == ["github", "ref_name"] =>
            {
                Ok(Cond::any([Cond::Branch(format!("**{text}")), Cond::Tag(format!("**{text}"))]))
            }
            ("contains", [Expr::Name(name), Expr::Text(text)])
                if *name == ["github", "ref"] || *name == ["github", "ref_name"] =>
            {
                let glob =
                    if text.starts_with("refs/tags/") { return begins(name, text) } else { format!("**{text}**") };
                Ok(Cond::any([Cond::Branch(glob.clone()), Cond::Tag(glob)]))
            }
            _ => Err(format!("`{name}(…)` can't be asked by a script in this way")),
        },
        Expr::Name(name) => match known(name) {
            // A value that is there.
            Some(value @ Part::Param { .. }) => {
                Ok(Cond::any([Cond::Is(value.clone(), String::new()), Cond::Is(value, "false".to_owned())]).not())
            }
            Some(value @ Part::Axis(_)) => Ok(Cond::Is(value, "true".to_owned())),
            _ => Err(unknown(name)),
        },
    }
}

fn unknown(name: &[String]) -> Wrong {
    format!("a script does not know `{}`", name.join("."))
}

fn is(name: &[String], text: &str, known: Lookup<'_>) -> Result<Cond, Wrong> {
    let parts: Vec<&str> = name.iter().map(String::as_str).collect();
    let no_glob = |cond: Cond| match text.contains(['*', '?']) {
        true => Err("the name has a * in it".to_owned()),
        false => Ok(cond),
    };
    match parts.as_slice() {
        ["github", "ref"] => match (text.strip_prefix("refs/heads/"), text.strip_prefix("refs/tags/")) {
            (Some(branch), _) => no_glob(Cond::Branch(branch.to_owned())),
            (_, Some(tag)) => no_glob(Cond::Tag(tag.to_owned())),
            _ => Err(format!("{text:?} is neither a branch (refs/heads/…) nor a tag (refs/tags/…)")),
        },
        ["github", "ref_name"] => no_glob(Cond::any([Cond::Branch(text.to_owned()), Cond::Tag(text.to_owned())])),
        ["github", "ref_type"] => {
            Ok(if text == "tag" { Cond::Tag("**".to_owned()) } else { Cond::Branch("**".to_owned()) })
        }
        ["github", "event_name"] => {
            event(text).ok_or_else(|| format!("builds of this host are not started by {text:?}"))
        }
        _ => match known(name) {
            Some(Part::Literal(value)) => Ok(if value == text { Cond::True } else { Cond::False }),
            Some(value) => Ok(Cond::Is(value, text.to_owned())),
            None => Err(unknown(name)),
        },
    }
}

fn begins(name: &[String], text: &str) -> Result<Cond, Wrong> {
    let both = |text: &str| Cond::any([Cond::Branch(format!("{text}**")), Cond::Tag(format!("{text}**"))]);
    match name.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["github", "ref"] => match (text.strip_prefix("refs/heads/"), text.strip_prefix("refs/tags/")) {
            (Some(branch), _) => Ok(Cond::Branch(format!("{branch}**"))),
            (_, Some(tag)) => Ok(Cond::Tag(format!("{tag}**"))),
            _ => Err(format!("{text:?} begins neither a branch (refs/heads/…) nor a tag (refs/tags/…)")),
        },
        ["github", "ref_name"] => Ok(both(text)),
        _ => Err(unknown(name)),
    }
}

/// What starts a build, for an event of GitHub.
pub fn event(name: &str) -> Option<Cond> {
    let trigger = |what: &str| Cond::Trigger(what.to_owned());
    match name {
        "push" => Some(trigger("webhook/push")),
        "pull_request" | "pull_request_target" => Some(trigger("webhook/pull_request")),
        "workflow_dispatch" | "repository_dispatch" => Some(Cond::any([trigger("cli"), trigger("api")])),
        "schedule" => Some(trigger("schedule")),
        _ => None,
    }
}

/// A value that a script can have; `defaults` are those of the workflow's inputs.
pub fn part(name: &[String], has_axis: &dyn Fn(&str) -> bool, defaults: &BTreeMap<String, String>) -> Option<Part> {
    let parts: Vec<&str> = name.iter().map(String::as_str).collect();
    let param = |name: &str, default: String| Part::Param { name: name.to_owned(), default };
    Some(match parts.as_slice() {
        ["matrix", axis] if has_axis(axis) => Part::Axis((*axis).to_owned()),
        ["inputs", name] | ["github", "event", "inputs", name] => {
            param(name, defaults.get(*name).cloned().unwrap_or_default())
        }
        ["vars", name] => param(name, String::new()),
        ["runner", "os"] => Part::Literal("Linux".to_owned()),
        ["github", "job"] => Part::Id,
        ["github", name] => Part::Fact(match *name {
            "sha" => Fact::Commit,
            "ref" => Fact::Ref,
            "ref_name" => Fact::RefName,
            "head_ref" => Fact::Branch,
            "repository" => Fact::Slashed,
            "repository_owner" => Fact::Org,
            "run_id" => Fact::Build,
            _ => return None,
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<If, Wrong> {
        let defaults = BTreeMap::from([("deploy".to_owned(), "yes".to_owned())]);
        of_if(text, &|name| part(name, &|axis| axis == "os", &defaults))
    }

    #[test]
    fn conditions_are_those_of_the_script() {
        let branch = |name: &str| Cond::Branch(name.to_owned());
        let tag = |name: &str| Cond::Tag(name.to_owned());
        let param = |name: &str, default: &str| Part::Param { name: name.to_owned(), default: default.to_owned() };
        for (text, cond) in [
            ("github.ref == 'refs/heads/main'", branch("main")),
            ("${{ startsWith(github.ref, 'refs/tags/v') }}", tag("v**")),
            (
                "github.ref_type == 'tag' && !(github.event_name == 'push')",
                Cond::all([tag("**"), Cond::Trigger("webhook/push".to_owned()).not()]),
            ),
            (
                "matrix.os == 'a' || github['ref'] != 'refs/heads/it''s'",
                Cond::any([Cond::Is(Part::Axis("os".to_owned()), "a".to_owned()), branch("it's").not()]),
            ),
            ("true", Cond::True),
            ("runner.os == 'Linux'", Cond::True),
            ("inputs.deploy == 'no'", Cond::Is(param("deploy", "yes"), "no".to_owned())),
            ("vars.deploy == 'no'", Cond::Is(param("deploy", ""), "no".to_owned())),
        ] {
            assert_eq!(read(text), Ok(If { cond, when: None }), "{text}");
        }
        let status = [("always()", Policy::Always), ("failure()", Policy::OnFailure), ("!cancelled()", Policy::Always)];
        for (text, when) in status {
            assert_eq!(read(text), Ok(If { cond: Cond::True, when: Some(when) }), "{text}");
        }
        let both = read("always() && github.ref == 'refs/heads/main'");
        assert_eq!(both, Ok(If { cond: branch("main"), when: Some(Policy::Always) }));
    }

    #[test]
    fn what_a_script_can_not_ask_is_said_and_never_guessed() {
        let deep = format!("{}true{}", "(".repeat(100_000), ")".repeat(100_000));
        for text in [
            "github.actor == 'me'",
            "matrix.other == 'a'",
            "needs.a.result == 'success'",
            "contains(github.event.head_commit.message, 'x')",
            "failure() || github.ref == 'refs/heads/main'",
            "github.event_name == 'release'",
            "github.ref == 'refs/heads/release/*'",
            "(true",
            "'open",
            "a b",
            "",
            "&&",
            "fromJSON(",
            &deep,
        ] {
            assert!(read(text).is_err(), "{}: {:?}", &text[..text.len().min(60)], read(text));
        }
    }
}
