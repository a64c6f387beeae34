//! A pipeline as this host has it: what a file of another system is read into, and what a script is written from.

use std::collections::BTreeSet;

use super::condition::Cond;
use super::yaml::{Node, Place};

/// What a file comes to.
#[derive(Debug, Default)]
pub struct Pipeline {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// For what there are jobs at all, and what is said where there are none.
    pub wanted: Option<(Cond, String)>,
    pub jobs: Vec<Job>,
    pub missing: MissingList,
}

/// A part of the file that is not translated, or not as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    pub place: Place,
    /// Why, and what to do.
    pub why: String,
}

impl Missing {
    /// Of this part of the file, which is dealt with by that.
    pub fn of(node: &Node, why: impl Into<String>) -> Self {
        node.cover();
        Self { place: node.place(), why: why.into() }
    }
}

/// What is missing, by its places, each once.
#[derive(Debug, Default)]
pub struct MissingList(BTreeSet<Missing>);

impl MissingList {
    pub fn push(&mut self, one: Missing) {
        self.0.insert(one);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Missing> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<Missing> for MissingList {
    fn extend<Of: IntoIterator<Item = Missing>>(&mut self, more: Of) {
        self.0.extend(more);
    }
}

/// A job, or one for each row of a matrix.
#[derive(Debug, Default)]
pub struct Job {
    pub id: String,
    /// Where the file has it.
    pub place: Place,
    /// Its name for people.
    pub title: Option<Text>,
    pub image: Text,
    pub commands: Vec<Command>,
    /// Each command has a shell of its own.
    pub shell_each: bool,
    /// The shell; without it, the image's.
    pub shell: Option<String>,
    pub work_dir: Option<Text>,
    pub user: Option<Text>,
    pub with_git: bool,
    pub pull_always: bool,
    pub entrypoint_of_image: bool,
    pub env: Vec<(String, Value)>,
    /// The ids of other jobs.
    pub needs: Vec<String>,
    pub services: Vec<Service>,
    pub saves: Vec<Save>,
    pub restores: Vec<Restore>,
    pub caches: Vec<Cache>,
    pub test_reports: Vec<Text>,
    pub matrix: Option<Matrix>,
    /// It stays only if all of these hold.
    pub only_if: Vec<(Cond, String)>,
    /// What is said of it where a condition holds.
    pub policies: Vec<(Cond, Policy)>,
    pub timeout_s: Option<u64>,
    pub retry: Option<u32>,
    pub retry_on: Vec<String>,
    /// When one row of the matrix fails, the others stop.
    pub fail_fast: bool,
}

impl Job {
    /// Sets a variable, in place of what it had.
    pub fn set(&mut self, name: &str, value: Value) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value));
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.env.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    pub fn has_axis(&self, axis: &str) -> bool {
        self.matrix.as_ref().is_some_and(|matrix| matrix.axes.iter().any(|known| known == axis))
    }

    /// The values that its rows have on an axis.
    pub fn values(&self, axis: &str) -> impl Iterator<Item = &str> {
        let matrix = self.matrix.iter();
        let at = matrix.clone().find_map(|matrix| matrix.axes.iter().position(|known| known == axis));
        let rows = matrix.flat_map(|matrix| &matrix.rows);
        rows.filter_map(move |(_, values)| Some(values.get(at?)?.as_str()))
    }

    /// The secrets that it is given.
    pub fn secrets(&self) -> BTreeSet<&str> {
        let of_services = self.services.iter().flat_map(|service| &service.env);
        let all = self.env.iter().chain(of_services);
        all.filter_map(|(_, value)| match value {
            Value::Secret(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
    }
}

/// What may be said of a job under a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Manual,
    Always,
    OnFailure,
    AllowFailure,
}

/// A command, or lines of them.
#[derive(Debug)]
pub struct Command {
    /// The line of the file.
    pub line: usize,
    pub title: Option<String>,
    pub text: Text,
    pub when: Cond,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Text),
    Secret(String),
    Output { job: String, output: String },
}

/// A service beside a job.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub name: String,
    pub image: Text,
    pub argv: Vec<Text>,
    pub env: Vec<(String, Value)>,
    pub port: Option<u16>,
    pub ready: Vec<String>,
}

/// An artifact that a job saves.
#[derive(Clone, Debug)]
pub struct Save {
    pub id: Text,
    pub path: Text,
    pub files: Vec<Text>,
    pub when: SaveWhen,
    pub if_there: bool,
}

/// When an artifact is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveWhen {
    #[default]
    Success,
    Always,
    Failure,
}

/// An artifact that a job begins with.
#[derive(Clone, Debug)]
pub struct Restore {
    pub id: Text,
    pub path: Text,
    /// What was saved is at this very path.
    pub at_path: bool,
    pub if_there: bool,
}

/// A cache.
#[derive(Clone, Debug)]
pub struct Cache {
    pub id: String,
    pub paths: Vec<Text>,
    pub key: Option<Text>,
    pub fallbacks: Vec<Text>,
    /// The name of a `SavePolicy`.
    pub save: Option<&'static str>,
}

/// Rows of values, a job for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    pub axes: Vec<String>,
    /// The id of the job, and a value for each axis.
    pub rows: Vec<(String, Vec<String>)>,
}

/// A text of which parts are known only when the script runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Vec<Part>);

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// The value on an axis of the job's matrix.
    Axis(String),
    /// The job's own id.
    Id,
    /// The value of a parameter.
    Param {
        name: String,
        default: String,
    },
    /// A digest of files.
    Hash(Vec<String>),
    Fact(Fact),
}

/// What a script knows of its build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    Commit,
    ShortCommit,
    Branch,
    Tag,
    Ref,
    /// The tag, or the branch.
    RefName,
    /// The same in small letters, digits and dashes.
    Slug,
    MainBranch,
    Org,
    Repo,
    /// `org/repo`.
    Slashed,
    Build,
    Message,
    Author,
    Url,
}

impl Text {
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub fn push(&mut self, part: Part) {
        match (self.0.last_mut(), part) {
            (_, Part::Literal(text)) if text.is_empty() => {}
            (Some(Part::Literal(last)), Part::Literal(text)) => last.push_str(&text),
            (_, part) => self.0.push(part),
        }
    }

    pub fn extend(&mut self, other: &Text) {
        other.0.iter().cloned().for_each(|part| self.push(part));
    }

    /// With a text in front of it and one after it.
    pub fn within(&self, before: &str, after: &str) -> Self {
        let mut all = Self::from(before);
        all.extend(self);
        all.push(Part::Literal(after.to_owned()));
        all
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes it takes, about.
    pub fn size(&self) -> usize {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) | Part::Axis(text) => text.len(),
            Part::Param { name, default } => name.len() + default.len(),
            Part::Hash(files) => files.iter().map(String::len).sum(),
            Part::Id | Part::Fact(_) => 0,
        });
        // A part that is no text takes room too.
        parts.sum::<usize>() + self.0.len() * size_of::<Part>()
    }

    /// Its lines, those that are empty left out.
    pub fn lines(&self) -> Vec<Text> {
        let (mut lines, mut line) = (Vec::new(), Text::default());
        for part in &self.0 {
            let Part::Literal(text) = part else {
                line.push(part.clone());
                continue;
            };
            for (number, piece) in text.split('\n').enumerate() {
                if number > 0 {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(Part::Literal(piece.to_owned()));
            }
        }
        lines.push(line);
        lines
            .into_iter()
            .map(|line| line.trimmed(char::is_whitespace, char::is_whitespace))
            .filter(|line| !line.is_empty())
            .collect()
    }

    /// Without what is said not to stand at its start and at its end.
    pub fn trimmed(&self, start: impl Fn(char) -> bool, end: impl Fn(char) -> bool) -> Text {
        let (last, mut made) = (self.0.len().saturating_sub(1), Text::default());
        for (at, part) in self.0.iter().enumerate() {
            made.push(match part {
                Part::Literal(text) => {
                    let text = if at == 0 { text.trim_start_matches(&start) } else { text };
                    let text = if at == last { text.trim_end_matches(&end) } else { text };
                    Part::Literal(text.to_owned())
                }
                part => part.clone(),
            });
        }
        made
    }

    /// As it is shown to people.
    pub fn shown(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Axis(name) | Part::Param { name, .. } => format!("{{{name}}}"),
            _ => "…".to_owned(),
        });
        parts.collect()
    }

    /// The literal parts, for whoever looks for names in them.
    pub fn literals(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.as_str(),
            _ => " ",
        });
        parts.collect()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut new = Self::default();
        new.push(Part::Literal(text.to_owned()));
        new
    }
}

impl From<Part> for Text {
    fn from(part: Part) -> Self {
        let mut new = Self::default();
        new.push(part);
        new
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { line: 1, path: String::new() }
    }
}
