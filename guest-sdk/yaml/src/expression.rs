//! Expressions: of conditions (`if`), and between `${{` and `}}`.
//!
//! ```text
//! any     = all ('||' all)*
//! all     = not ('&&' not)*
//! not     = '!' not | compare
//! compare = value (('==' | '!=') value)?
//! value   = 'text' | "text" | number | true | false | null | name | function '(' values ')' | '(' any ')'
//! ```

use monkeyci_sdk::{Build, glob_matches};

use crate::keys::meant;

/// How deep parentheses may be.
const DEPTH: usize = 32;

/// What an expression comes to. A name that has nothing is `Text(None)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Truth(bool),
    Text(Option<String>),
}

impl Value {
    /// Nothing, `false` and the empty text are no.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Truth(truth) => *truth,
            Self::Text(text) => text.as_deref().is_some_and(|text| !text.is_empty() && text != "false"),
        }
    }

    /// Nothing is the empty text.
    pub fn into_text(self) -> String {
        match self {
            Self::Truth(truth) => truth.to_string(),
            Self::Text(text) => text.unwrap_or_default(),
        }
    }
}

/// What the names in expressions mean.
pub trait Names {
    /// The build that functions ask.
    fn build(&self) -> &Build;
    /// What the build says of itself by a name. It is asked once: each answer is kept with the build.
    fn of_build(&self, name: &'static str, ask: fn(&Build) -> Option<String>) -> Option<String>;
    /// The value of `params.NAME`; an error where the script declares none.
    fn param(&self, name: &str) -> Result<Option<String>, String>;
    /// The value of `matrix.NAME`; an error where the job has no such axis.
    fn matrix(&self, name: &str) -> Result<Option<String>, String>;
}

const NAMES: [&str; 8] = ["author", "branch", "commit", "main-branch", "message", "tag", "trigger", "on-main-branch"];
const FUNCTIONS: [&str; 6] = ["added", "changed", "exists", "matches", "modified", "removed"];

/// What an expression comes to.
///
/// # Errors
/// Says what is wrong with it, or what can't be known.
pub fn evaluate(text: &str, names: &dyn Names) -> Result<Value, String> {
    let mut reader = Reader { words: words(text)?, at: 0, names, depth: 0 };
    let value = reader.any()?;
    match reader.next() {
        None => Ok(value),
        Some(word) => Err(format!("{word} is one word too many")),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Quoted(String),
    Name(String),
    Sign(&'static str),
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quoted(text) => write!(f, "'{text}'"),
            Self::Name(text) => write!(f, "`{text}`"),
            Self::Sign(text) => write!(f, "`{text}`"),
        }
    }
}

const SIGNS: [&str; 8] = ["||", "&&", "==", "!=", "!", "(", ")", ","];

fn words(text: &str) -> Result<Vec<Word>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let (word, length) = if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Word::Sign(sign), sign.len())
        } else if first == '\'' || first == '"' {
            let inside = rest[1..].split_once(first);
            let (inside, _) = inside.ok_or_else(|| format!("the text {rest} has no end"))?;
            (Word::Quoted(inside.to_owned()), inside.len() + 2)
        } else {
            let end = rest.find(|char: char| !(char.is_alphanumeric() || "_-./".contains(char))).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("`{first}` means nothing here; texts stand in quotes"));
            }
            (Word::Name(rest[..end].to_owned()), end)
        };
        words.push(word);
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

struct Reader<'a> {
    words: Vec<Word>,
    at: usize,
    names: &'a dyn Names,
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += usize::from(word.is_some());
        word
    }

    fn takes(&mut self, sign: &str) -> bool {
        let there = matches!(self.words.get(self.at), Some(Word::Sign(next)) if *next == sign);
        self.at += usize::from(there);
        there
    }

    // All of it is evaluated, whatever comes first: what is wrong is said in every build.
    fn any(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("more than {DEPTH} parentheses stand in each other"));
        }
        let mut value = self.all()?;
        while self.takes("||") {
            let other = self.all()?;
            value = if value.is_true() { value } else { other };
        }
        self.depth -= 1;
        Ok(value)
    }

    fn all(&mut self) -> Result<Value, String> {
        let mut value = self.not()?;
        while self.takes("&&") {
            let other = self.not()?;
            value = if value.is_true() { other } else { value };
        }
        Ok(value)
    }

    fn not(&mut self) -> Result<Value, String> {
        let (mut turned, mut is_turned) = (false, false);
        while self.takes("!") {
            (turned, is_turned) = (!turned, true);
        }
        let value = self.compare()?;
        Ok(if is_turned { Value::Truth(value.is_true() != turned) } else { value })
    }

    fn compare(&mut self) -> Result<Value, String> {
        let value = self.value()?;
        let equal = self.takes("==");
        if !equal && !self.takes("!=") {
            return Ok(value);
        }
        let other = self.value()?;
        let same = match (&value, &other) {
            (Value::Text(None), Value::Text(None)) => true,
            (Value::Text(None), _) | (_, Value::Text(None)) => false,
            _ => value.into_text() == other.into_text(),
        };
        Ok(Value::Truth(same == equal))
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Word::Quoted(text)) => Ok(Value::Text(Some(text))),
            Some(Word::Name(name)) if self.takes("(") => self.function(&name),
            Some(Word::Name(name)) => self.name(&name),
            Some(Word::Sign("(")) => {
                let value = self.any()?;
                if self.takes(")") { Ok(value) } else { Err("a `)` is missing".to_owned()) }
            }
            Some(other) => Err(format!("a value is missing before {other}")),
            None => Err("a value is missing at the end".to_owned()),
        }
    }

    fn name(&self, name: &str) -> Result<Value, String> {
        let branch = || self.names.of_build("branch", Build::branch);
        let main_branch = || self.names.of_build("main-branch", Build::main_branch);
        Ok(Value::Text(match name {
            "true" | "false" => return Ok(Value::Truth(name == "true")),
            "null" => None,
            "on-main-branch" => return Ok(Value::Truth(branch().is_some_and(|it| main_branch() == Some(it)))),
            "author" => self.names.of_build("author", Build::author),
            "branch" => branch(),
            "commit" => self.names.of_build("commit", Build::commit),
            "main-branch" => main_branch(),
            "message" => self.names.of_build("message", Build::message),
            "tag" => self.names.of_build("tag", Build::tag),
            "trigger" => self.names.of_build("trigger", |build| Some(build.trigger())),
            number if number.starts_with(|char: char| char.is_ascii_digit()) => Some(number.to_owned()),
            other => match (other.strip_prefix("params."), other.strip_prefix("matrix.")) {
                (Some(param), _) => self.names.param(param)?,
                (_, Some(axis)) => self.names.matrix(axis)?,
                _ => {
                    let like = meant(other, NAMES.into_iter().chain(["params.NAME", "matrix.NAME"]));
                    return Err(format!("there is no name `{other}`{like}; texts stand in quotes"));
                }
            },
        }))
    }

    /// The parenthesis is behind.
    fn function(&mut self, name: &str) -> Result<Value, String> {
        let mut values = Vec::new();
        while !self.takes(")") {
            if !values.is_empty() && !self.takes(",") {
                return Err(format!("a `,` or a `)` is missing in {name}(…)"));
            }
            values.push(self.any()?);
        }
        let build = self.names.build();
        let mut texts = values.into_iter().map(Value::into_text);
        let any_of = |mut globs: std::vec::IntoIter<String>, is: &dyn Fn(&str) -> bool| {
            if globs.len() == 0 { Err(format!("{name}(…) takes globs")) } else { Ok(globs.any(|glob| is(&glob))) }
        };
        let truth = match name {
            "matches" => {
                let (Some(text), Some(glob), None) = (texts.next(), texts.next(), texts.next()) else {
                    return Err("matches(…) takes a text and a glob".to_owned());
                };
                glob_matches(&glob, &text)
            }
            "exists" => {
                let paths: Vec<String> = texts.collect();
                let mut all = !paths.is_empty();
                for path in &paths {
                    all &= build.workspace().exists(path).map_err(|error| format!("{error:#}"))?;
                }
                all
            }
            "changed" => any_of(texts.collect::<Vec<_>>().into_iter(), &|glob| build.touched(glob))?,
            "added" => any_of(texts.collect::<Vec<_>>().into_iter(), &|glob| build.added(glob))?,
            "modified" => any_of(texts.collect::<Vec<_>>().into_iter(), &|glob| build.modified(glob))?,
            "removed" => any_of(texts.collect::<Vec<_>>().into_iter(), &|glob| build.removed(glob))?,
            other => return Err(format!("there is no function `{other}`{}", meant(other, FUNCTIONS))),
        };
        Ok(Value::Truth(truth))
    }
}
