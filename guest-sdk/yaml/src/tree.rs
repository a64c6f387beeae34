//! A file as a tree whose parts know where they stand, whatever language it is in.

use std::rc::Rc;

/// How many lists and maps may stand in each other.
const DEPTH: usize = 64;
/// How many values a file may have, with those that aliases repeat. A long text counts as several.
const VALUES: usize = 50_000;
/// A text counts as one value more for each so many bytes.
const VALUE: usize = 64;

/// A part of a file. What an alias means is the same part once more.
pub type Tree = Rc<Node>;

/// Where a part of a file begins, in bytes. Lines are counted when somebody is to be told of one.
pub type At = usize;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Which of the files of a script it is in.
    pub file: usize,
    pub at: At,
    pub message: String,
    /// What it clashes with: in which file, if it is another one, and where.
    pub other: Option<(Option<usize>, At)>,
}

/// A file of a script.
pub struct File {
    pub path: String,
    pub text: String,
}

/// A part of a file.
#[derive(Debug)]
pub struct Node {
    pub at: At,
    pub kind: Kind,
    /// How many values it has, with those that aliases repeat: whoever repeats it takes as much room.
    size: usize,
}

/// What a part of a file is.
#[derive(Debug)]
pub enum Kind {
    /// Nothing stands there, or `null`.
    Nothing,
    /// A text, a number, a truth value or a date: as it stands there.
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Entry>),
}

/// A key and what it has.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub at: At,
    pub value: Tree,
}

impl Fault {
    pub fn new(at: At, message: impl Into<String>) -> Self {
        Self { file: 0, at, message: message.into(), other: None }
    }

    /// With the place of what it clashes with.
    pub fn with(self, other: At) -> Self {
        Self { other: Some((None, other)), ..self }
    }

    /// With the place of what it clashes with, in one of the files.
    pub fn with_in(self, file: usize, other: At) -> Self {
        Self { other: Some((Some(file), other)), ..self }
    }
}

/// The line and the column of a place, both from 1; columns are characters.
pub fn line_and_column(text: &str, at: At) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

impl Node {
    pub fn new(at: At, kind: Kind) -> Result<Tree, Fault> {
        let size = match &kind {
            Kind::Nothing => 1,
            Kind::Text(text) => 1 + text.len() / VALUE,
            Kind::List(items) => 1 + items.iter().map(|item| item.size).sum::<usize>(),
            Kind::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size + entry.key.len() / VALUE).sum(),
        };
        if size > VALUES {
            return Err(Fault::new(at, format!("this has more than {VALUES} values, with those that aliases repeat")));
        }
        Ok(Rc::new(Self { at, kind, size }))
    }

    /// The words for what it is.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// Looks whether one more list or map may stand in so many.
pub fn may_begin(depth: usize, at: At) -> Result<(), Fault> {
    match depth < DEPTH {
        true => Ok(()),
        false => Err(Fault::new(at, format!("more than {DEPTH} lists and maps stand in each other here"))),
    }
}

/// Looks whether a key stands once in a map.
pub fn each_once(entries: &[Entry]) -> Result<(), Fault> {
    let mut known = std::collections::BTreeMap::new();
    for entry in entries {
        if let Some(first) = known.insert(&entry.key, entry.at) {
            return Err(Fault::new(entry.at, format!("the key {:?} stands in one map twice", entry.key)).with(first));
        }
    }
    Ok(())
}

/// Faults of a script as people read them: each with its place, and with the line that it is in.
pub fn show(files: &[File], faults: &[Fault]) -> String {
    const SHOWN: usize = 20;
    let mut lines = Vec::new();
    for Fault { file, at, message, other } in faults.iter().take(SHOWN) {
        let Some(File { path, text }) = files.get(*file) else { continue };
        let (line, column) = line_and_column(text, *at);
        let other =
            other.map(|(other, at)| match other.filter(|other| other != file).and_then(|other| files.get(other)) {
                Some(other) => format!("; the other one is in {}:{}", other.path, line_and_column(&other.text, at).0),
                None => format!("; the other one is in line {}", line_and_column(text, at).0),
            });
        lines.push(format!("{path}:{line}:{column}: {message}{}", other.unwrap_or_default()));
        let Some(excerpt) = text.lines().nth(line - 1) else { continue };
        let number = line.to_string();
        // A line of a file that some program has made may have no end.
        let excerpt: String = excerpt.chars().take(160).collect();
        let pointer: String =
            excerpt.chars().take(column - 1).map(|char| if char == '\t' { '\t' } else { ' ' }).collect();
        let word = excerpt.chars().skip(column - 1).take_while(|char| char.is_alphanumeric() || "-_/.".contains(*char));
        let width = word.count().max(1);
        lines.push(format!("{number} | {excerpt}"));
        if column <= 160 {
            lines.push(format!("{:1$} | {pointer}{2}", "", number.len(), "^".repeat(width)));
        }
    }
    if faults.len() > SHOWN {
        lines.push(format!("and {} more", faults.len() - SHOWN));
    }
    lines.join("\n")
}
