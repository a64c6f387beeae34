//! Reading values from the tree. What is wrong is noted, and reading goes on: all faults of a file are told at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use monkeyci_sdk::{Build, Secret};

use crate::expression::{Names, evaluate};
use crate::keys::{Keys, meant};
use crate::tree::{At, Entry, Fault, Kind, Node, Tree};

/// What is known while a file is read.
pub struct Context<'a> {
    pub build: &'a Build,
    faults: RefCell<Vec<Fault>>,
    /// Which of the files is read.
    file: Cell<usize>,
    /// What the build has said of itself.
    told: RefCell<BTreeMap<&'static str, Option<String>>>,
    secrets: RefCell<BTreeMap<String, Result<Secret, String>>>,
    hashes: RefCell<BTreeMap<Vec<String>, Result<String, String>>>,
    /// The parameters that the script declares, with their values.
    pub params: BTreeMap<String, Option<String>>,
    /// The ids in the file, and the jobs that each stands for: a matrix is several.
    pub jobs: BTreeMap<String, Vec<String>>,
}

/// Reads values, for one job of a matrix if it is one.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub context: &'a Context<'a>,
    /// The values of the matrix, by its axes.
    pub matrix: Option<&'a [(String, String)]>,
}

/// The entries of a map, by the keys that are meant.
#[derive(Clone, Debug)]
pub struct Map<'a>(BTreeMap<&'static str, &'a Entry>);

impl<'a> Map<'a> {
    pub fn get(&self, key: &str) -> Option<&'a Tree> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.0.get(key).copied().filter(|entry| !matches!(entry.value.kind, Kind::Nothing))
    }

    /// Takes from another one what this one does not have.
    pub fn or(mut self, other: &Map<'a>) -> Self {
        for (key, entry) in &other.0 {
            self.0.entry(key).or_insert(entry);
        }
        self
    }
}

impl<'a> Context<'a> {
    pub fn new(build: &'a Build) -> Self {
        Self {
            build,
            faults: RefCell::default(),
            file: Cell::default(),
            told: RefCell::default(),
            secrets: RefCell::default(),
            hashes: RefCell::default(),
            params: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// From here on, this file is read.
    pub fn reads(&self, file: usize) {
        self.file.set(file);
    }

    pub fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(Fault { file: self.file.get(), ..fault });
    }

    /// What was wrong, in the order of the files; each once.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.faults.borrow().clone();
        faults.sort();
        faults.dedup();
        faults
    }
}

impl Names for Reader<'_> {
    fn build(&self) -> &Build {
        self.context.build
    }

    fn of_build(&self, name: &'static str, ask: fn(&Build) -> Option<String>) -> Option<String> {
        self.context.told.borrow_mut().entry(name).or_insert_with(|| ask(self.context.build)).clone()
    }

    fn param(&self, name: &str) -> Result<Option<String>, String> {
        let params = &self.context.params;
        let like = || meant(name, params.keys().map(String::as_str));
        params.get(name).cloned().ok_or_else(|| {
            format!("the script declares no parameter `{name}`{}; `params` at its top declares them", like())
        })
    }

    fn matrix(&self, name: &str) -> Result<Option<String>, String> {
        let axes = self.matrix.ok_or_else(|| format!("the job has no matrix, so there is no `matrix.{name}`"))?;
        let found = axes.iter().find_map(|(axis, value)| (axis == name).then(|| value.clone()));
        let like = || meant(name, axes.iter().map(|(axis, _)| axis.as_str()));
        found.map(Some).ok_or_else(|| format!("the matrix has no `{name}`{}", like()))
    }
}

impl Reader<'_> {
    pub fn fault(&self, at: At, message: impl Into<String>) {
        self.context.fault(Fault::new(at, message));
    }

    /// What is there in place of what is wanted.
    fn unfit<T>(&self, node: &Node, wanted: &str) -> Option<T> {
        self.fault(node.at, format!("{wanted} is wanted here, and not {}", node.what()));
        None
    }

    /// The entries of a map of this kind.
    pub fn map<'t>(&self, node: &'t Node, keys: &'static Keys) -> Option<Map<'t>> {
        let Kind::Map(entries) = &node.kind else { return self.unfit(node, &format!("a map, for {}", keys.what)) };
        let mut map = BTreeMap::new();
        for entry in entries {
            match keys.find(&entry.key) {
                Ok(key) => {
                    if let Some(first) = map.insert(key, entry) {
                        let message = format!("`{}` and `{}` are the same", first.key, entry.key);
                        self.context.fault(Fault::new(entry.at, message).with(first.at));
                    }
                }
                Err(message) => self.fault(entry.at, message),
            }
        }
        Some(Map(map))
    }

    /// The entries of a map whose keys are names of the author's own.
    pub fn names<'t>(&self, node: &'t Node) -> &'t [Entry] {
        match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing => &[],
            _ => {
                let _: Option<()> = self.unfit(node, "a map");
                &[]
            }
        }
    }

    /// The items of a list, or what is no list as the only one.
    pub fn items<'t>(&self, node: &'t Tree) -> &'t [Tree] {
        match &node.kind {
            Kind::List(items) => items,
            Kind::Nothing => &[],
            _ => std::slice::from_ref(node),
        }
    }

    /// A text as it stands there.
    pub fn plain(&self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Map(_) => {
                self.fault(
                    node.at,
                    "a text is wanted here, and not a map; in YAML, a text with `: ` in it stands in quotes",
                );
                None
            }
            _ => self.unfit(node, "a text"),
        }
    }

    /// A text, with what its expressions come to.
    pub fn text(&self, node: &Node) -> Option<String> {
        self.filled(node, &|_| Ok(()))
    }

    /// A text whose expressions may only have values of the matrix: what somebody else decides, the name of a branch say, is no part of
    /// a command.
    pub fn command(&self, node: &Node) -> Option<String> {
        self.filled(node, &|expression| match expression.trim().strip_prefix("matrix.") {
            Some(axis) if axis.chars().all(|char| char.is_alphanumeric() || "_-".contains(char)) => Ok(()),
            _ => Err("a command takes `matrix.NAME` only: hand it over in a variable, under `env`".to_owned()),
        })
    }

    fn filled(&self, node: &Node, may: &dyn Fn(&str) -> Result<(), String>) -> Option<String> {
        let text = self.plain(node)?;
        let (mut filled, mut rest) = (String::new(), text.as_str());
        while let Some((before, behind)) = rest.split_once("${{") {
            filled.push_str(before);
            let Some((expression, after)) = behind.split_once("}}") else {
                self.fault(node.at, "`${{` has no `}}`");
                return None;
            };
            match may(expression).and_then(|()| evaluate(expression, self)) {
                Ok(value) => filled.push_str(&value.into_text()),
                Err(message) => {
                    self.fault(node.at, format!("${{{{{expression}}}}}: {message}"));
                    return None;
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    pub fn texts(&self, node: &Tree) -> Vec<String> {
        self.items(node).iter().filter_map(|item| self.text(item)).collect()
    }

    /// A text that is read by `read`, or a fault that says what is wanted.
    pub fn parsed<T>(&self, node: &Node, wanted: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(node)?;
        let value = read(text.trim());
        if value.is_none() {
            self.fault(node.at, format!("{wanted} is wanted here, and not {text:?}"));
        }
        value
    }

    pub fn truth(&self, node: &Node) -> Option<bool> {
        self.parsed(node, "true or false", |text| text.parse().ok())
    }

    /// Whether a key has `true`.
    pub fn is(&self, map: &Map<'_>, key: &str) -> bool {
        map.get(key).and_then(|node| self.truth(node)).unwrap_or(false)
    }

    pub fn duration(&self, node: &Node) -> Option<Duration> {
        self.parsed(node, "a time, `90s` or `1h 30m` or a number of milliseconds,", duration)
    }

    pub fn bytes(&self, node: &Node, unit: u64) -> Option<u64> {
        self.parsed(node, "a size, `512M` or `2G` say,", |text| bytes(text, unit))
    }

    pub fn secret(&self, node: &Node) -> Option<Secret> {
        let name = self.text(node)?;
        let ask = || self.context.build.secret(&name).map_err(|error| format!("{error:#}"));
        let secret = self.context.secrets.borrow_mut().entry(name.clone()).or_insert_with(ask).clone();
        secret.map_err(|message| self.fault(node.at, message)).ok()
    }

    /// The digest of the files that match one of these globs.
    pub fn hash(&self, node: &Tree) -> Option<String> {
        let globs = self.texts(node);
        let ask = || self.context.build.workspace().hash_files(globs.clone()).map_err(|error| format!("{error:#}"));
        let hash = self.context.hashes.borrow_mut().entry(globs.clone()).or_insert_with(ask).clone();
        hash.map_err(|message| self.fault(node.at, message)).ok()
    }

    /// The condition, as it stands there, and whether it is met.
    pub fn condition(&self, node: &Node) -> Option<(String, bool)> {
        let text = self.plain(node)?;
        let inside = text.trim().strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap_or(&text);
        match evaluate(inside, self) {
            Ok(value) => Some((inside.trim().to_owned(), value.is_true())),
            Err(message) => {
                self.fault(node.at, format!("the condition `{}`: {message}", inside.trim()));
                None
            }
        }
    }
}

/// `90s`, `1h 30m`, `500ms`, or milliseconds, which MonkeyCI has.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(ms) = text.parse() {
        return Some(Duration::from_millis(ms));
    }
    let (mut total, mut rest) = (Duration::ZERO, text.trim_start());
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(rest.len() - digits);
        let ms = match &rest[digits..digits + letters] {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(ms)?))?;
        rest = rest[digits + letters..].trim_start();
    }
    (total > Duration::ZERO).then_some(total)
}

/// `512M`, `2GiB`, or a number of this unit.
fn bytes(text: &str, unit: u64) -> Option<u64> {
    let letters = text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len());
    let unit = match text[letters..].trim_end_matches("iB").trim_end_matches('B') {
        "" if letters == text.len() => unit,
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    text[..letters].trim_end().parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_people_and_monkeyci_write_them() {
        let seconds = |text| duration(text).map(|time| time.as_secs_f64());
        assert_eq!(
            ["1200000", "90s", "1h 30m", "1h30m", "250ms"].map(seconds),
            [1200.0, 90.0, 5400.0, 5400.0, 0.25].map(Some)
        );
        assert_eq!(
            ["", "s", "1", "1x", "1.5s", "-1s"].map(|text| duration(text).is_some()),
            [false, false, true, false, false, false]
        );
        assert_eq!(
            ["2", "512M", "1GiB", "100B"].map(|text| bytes(text, 1 << 30)),
            [Some(2 << 30), Some(512 << 20), Some(1 << 30), Some(100)]
        );
        assert_eq!(["", "M", "0", "2X"].map(|text| bytes(text, 1)), [None; 4]);
    }
}
