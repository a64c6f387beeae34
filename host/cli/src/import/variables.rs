//! Variables that GitLab and Woodpecker put in place of `$NAME` and `${NAME}`.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Job, Missing, MissingList, Part, Text, Value};
use super::names;
use super::yaml::Node;

/// How often what a variable is may name another one.
const MAX_DEPTH: usize = 8;
/// The most bytes that a text may have with its variables in it. Each may name another one several times, so texts grow fast.
pub const MAX_TEXT: usize = 64 << 10;
/// The most names that are replaced in one text, those in what they stand for included.
const MAX_NAMES: usize = 10_000;

/// What a system sets itself, for those that a script knows.
pub type Predefined = fn(&str) -> Option<Part>;

/// A text of the file with variables in it, as a script makes it. Those that stay are listed.
pub fn text(node: &Node, job: &Job, predefined: Predefined, missing: &mut MissingList) -> Text {
    let mut expansion = Expansion { job, predefined, left: MAX_NAMES, stay: BTreeMap::new() };
    let made = expansion.of(node.text().unwrap_or_default(), MAX_DEPTH);
    for (name, why) in expansion.stay {
        missing.push(Missing { place: node.place(), why: format!("`${name}` stays as it is: {why}") });
    }
    made
}

const UNKNOWN: &str = "this file does not say what it is; write its value down";
const TOO_LONG: &str =
    "with what it is, the text would be longer than 64 KiB, or name too many others; write it down shorter";

/// A text whose variables are replaced.
struct Expansion<'a> {
    job: &'a Job,
    predefined: Predefined,
    /// How many names may still be replaced.
    left: usize,
    /// The names that stay, and why.
    stay: BTreeMap<String, &'static str>,
}

impl Expansion<'_> {
    fn of(&mut self, text: &str, depth: usize) -> Text {
        let (mut made, mut rest) = (Text::default(), text);
        while let Some(at) = rest.find('$') {
            made.push(Part::Literal(rest[..at].to_owned()));
            let after = &rest[at + 1..];
            let (name, length) = name(after);
            rest = &after[length..];
            match name {
                Some(name) => self.replace(name, depth, &mut made),
                // `$$` is one of them.
                None => made.push(Part::Literal("$".to_owned())),
            }
        }
        made.push(Part::Literal(rest.to_owned()));
        made
    }

    /// Adds what a name stands for, or the name.
    fn replace(&mut self, name: &str, depth: usize, made: &mut Text) {
        let why = match self.left.checked_sub(1) {
            None => TOO_LONG,
            Some(left) => {
                self.left = left;
                match self.value(name, depth) {
                    Some(value) if made.size() + value.size() > MAX_TEXT => TOO_LONG,
                    Some(value) => return made.extend(&value),
                    None => UNKNOWN,
                }
            }
        };
        self.stay.insert(name.to_owned(), why);
        made.push(Part::Literal(format!("${{{name}}}")));
    }

    fn value(&mut self, name: &str, depth: usize) -> Option<Text> {
        let job = self.job;
        if job.has_axis(name) {
            return Some(Part::Axis(name.to_owned()).into());
        }
        match job.value(name) {
            // What it is has been made already, but for names that came after it.
            Some(Value::Text(value)) if depth > 0 => match value.literal() {
                Some(literal) if literal.contains('$') => Some(self.of(literal, depth - 1)),
                _ => Some(value.clone()),
            },
            _ => (self.predefined)(name).map(Text::from),
        }
    }
}

/// The name after a `$`, and how much of the text that is.
fn name(after: &str) -> (Option<&str>, usize) {
    if after.starts_with('$') {
        return (None, 1);
    }
    let (open, inner) = after.strip_prefix('{').map_or((0, after), |inner| (1, inner));
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let closed = open == 0 || inner[end..].starts_with('}');
    match end {
        0 => (None, 0),
        _ if !closed => (None, 0),
        end => (Some(&inner[..end]), open + end + open),
    }
}

/// Gives a job what its commands name: what the system sets, and, of what nobody sets, a secret where that is its name, or a
/// parameter, which is listed.
pub fn used(job: &mut Job, predefined: Predefined, node: &Node, missing: &mut MissingList) {
    let all: String = job.commands.iter().map(|command| command.text.literals() + "\n").collect();
    for name in named(&all) {
        if job.has_axis(&name) {
            job.set(&name, Value::Text(Part::Axis(name.clone()).into()));
        } else if job.value(&name).is_some() || is_set(&all, &name) || SHELL.contains(&name.as_str()) {
        } else if let Some(part) = predefined(&name) {
            job.set(&name, Value::Text(part.into()));
        } else if names::is_secret(&name) {
            job.set(&name, Value::Secret(name.clone()));
            let why = format!("`${name}` is set by nobody in this file: it is taken for a secret");
            missing.push(Missing { place: node.place(), why });
        } else if name.starts_with("CI_") {
            missing.push(Missing { place: node.place(), why: format!("nobody sets `${name}` here") });
        } else {
            job.set(&name, Value::Text(Part::Param { name: name.clone(), default: String::new() }.into()));
            let why = format!(
                "`${name}` is set by nobody in this file: it is a parameter of the build, and empty if nobody gives it"
            );
            missing.push(Missing { place: node.place(), why });
        }
    }
}

/// What a shell and its image set.
pub const SHELL: [&str; 11] =
    ["CI", "PATH", "HOME", "PWD", "OLDPWD", "USER", "SHELL", "HOSTNAME", "LANG", "IFS", "RANDOM"];

/// The names of variables in lines of a shell, those in small letters left out: they are the lines' own.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices('$') {
        let rest = text[at + 1..].trim_start_matches('{');
        let end =
            rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        let followed = rest[end..].starts_with(|c: char| c.is_ascii_lowercase());
        if name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && !followed
            && !name.starts_with("MONKEYCI_")
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// Whether lines set the variable themselves.
fn is_set(text: &str, name: &str) -> bool {
    let begins = |at: usize| text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || ";&(|".contains(c));
    text.match_indices(name).any(|(at, _)| {
        let after = &text[at + name.len()..];
        let by_loop = ["for ", "read "].iter().any(|word| text[..at].ends_with(word));
        begins(at) && after.starts_with('=') || by_loop && after.starts_with(char::is_whitespace)
    })
}

/// The port on which a service of this image is reached, for those that everybody uses.
pub fn port(image: &str) -> Option<u16> {
    Some(match names::of_image(image).as_str() {
        "postgres" | "postgis" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" | "valkey" => 6379,
        "mongo" => 27017,
        "rabbitmq" => 5672,
        "elasticsearch" | "opensearch" => 9200,
        "memcached" => 11211,
        "nginx" => 80,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predefined(name: &str) -> Option<Part> {
        (name == "CI_ID").then_some(Part::Id)
    }

    #[test]
    fn variables_are_replaced_by_what_is_known_of_them() {
        let mut job = Job::default();
        job.set("A", Value::Text(Text::from("one")));
        job.set("B", Value::Text(Text::from("two-$A")));
        job.set("LOOP", Value::Text(Text::from("$LOOP")));
        let mut expansion = Expansion { job: &job, predefined, left: MAX_NAMES, stay: BTreeMap::new() };
        let mut made = |text: &str| expansion.of(text, MAX_DEPTH);
        assert_eq!(made("$A/${B}x $$ $ ${A:-x}"), Text::from("one/two-onex $ $ ${A:-x}"));
        assert_eq!(made("v$CI_ID"), Text(vec![Part::Literal("v".to_owned()), Part::Id]));
        assert_eq!(made("$NONE"), Text::from("${NONE}"));
        made("$LOOP");
        let stay: Vec<&str> = expansion.stay.keys().map(String::as_str).collect();
        assert_eq!(stay, ["LOOP", "NONE"]);
    }

    #[test]
    fn variables_that_grow_without_end_stay_as_they_are_and_are_listed() {
        // Each is ten of the one before it; and those before have no value yet, so nothing can be made of them beforehand.
        for order in [(0..9).collect::<Vec<usize>>(), (0..9).rev().collect()] {
            for first in ["x".repeat(10), String::new()] {
                let mut file = String::from("V9: \"$V8\"\n");
                order.iter().for_each(|number| {
                    let value = if *number == 0 { first.clone() } else { format!("$V{}", number - 1).repeat(10) };
                    file.push_str(&format!("V{number}: \"{value}\"\n"));
                });
                let root = crate::import::yaml::read(file.as_bytes()).expect("YAML").remove(0);
                let (mut job, mut missing) = (Job::default(), MissingList::default());
                for entry in root.entries() {
                    let made = text(&entry.value, &job, predefined, &mut missing);
                    assert!(made.size() < MAX_TEXT + file.len(), "{order:?}: {}", made.size());
                    job.set(&entry.key, Value::Text(made));
                }
                let made = text(root.get("V9").expect("it is there"), &job, predefined, &mut missing);
                assert!(made.size() < MAX_TEXT + file.len(), "{order:?}: {}", made.size());
                let said = missing.iter().any(|one| one.why.contains("longer than 64 KiB"));
                assert!(said || first.is_empty() && order[0] == 0, "{order:?}: {missing:?}");
            }
        }
    }

    #[test]
    fn what_lines_set_themselves_is_nobody_elses() {
        let text = "VERSION=1; echo $VERSION ${OTHER:-x} $lower $Mixed\nfor FILE in *; do echo $FILE; done";
        let left: Vec<String> = named(text).into_iter().filter(|name| !is_set(text, name)).collect();
        assert_eq!(left, ["OTHER"]);
    }
}
