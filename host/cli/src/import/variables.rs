//! Variables that GitLab and Woodpecker put in place of `$NAME` and `${NAME}`.

use std::collections::BTreeSet;

use super::model::{Job, Missing, Part, Text, Value};
use super::names;
use super::yaml::Node;

/// How often what a variable is may name another one.
const MAX_DEPTH: usize = 8;

/// What a system sets itself, for those that a script knows.
pub type Predefined = fn(&str) -> Option<Part>;

/// A text with variables in it, as a script makes it. Those that are not known stay, and are given to `unknown`.
pub fn expand(text: &str, job: &Job, predefined: Predefined, unknown: &mut BTreeSet<String>) -> Text {
    expand_to(text, job, predefined, unknown, MAX_DEPTH)
}

fn expand_to(text: &str, job: &Job, predefined: Predefined, unknown: &mut BTreeSet<String>, depth: usize) -> Text {
    let (mut made, mut rest) = (Text::default(), text);
    while let Some(at) = rest.find('$') {
        made.push(Part::Literal(rest[..at].to_owned()));
        let after = &rest[at + 1..];
        let (name, length) = name(after);
        rest = &after[length..];
        let Some(name) = name else {
            // `$$` is one of them.
            made.push(Part::Literal("$".to_owned()));
            continue;
        };
        let is_axis = job.matrix.as_ref().is_some_and(|matrix| matrix.axes.iter().any(|axis| axis == name));
        let known = job.value(name);
        if is_axis {
            made.push(Part::Axis(name.to_owned()));
        } else if let (Some(Value::Text(value)), true) = (known, depth > 0) {
            // What it is has been made already, but for names that came after it.
            match value.literal() {
                Some(literal) if literal.contains('$') => {
                    made.extend(&expand_to(literal, job, predefined, unknown, depth - 1));
                }
                _ => made.extend(value),
            }
        } else if let Some(part) = predefined(name) {
            made.push(part);
        } else {
            unknown.insert(name.to_owned());
            made.push(Part::Literal(format!("${{{name}}}")));
        }
    }
    made.push(Part::Literal(rest.to_owned()));
    made
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
pub fn used(job: &mut Job, predefined: Predefined, node: &Node, missing: &mut Vec<Missing>) {
    let all: String = job.commands.iter().map(|command| command.text.literals() + "\n").collect();
    for name in named(&all) {
        let is_axis = job.matrix.as_ref().is_some_and(|matrix| matrix.axes.contains(&name));
        if is_axis {
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
const SHELL: [&str; 11] = ["CI", "PATH", "HOME", "PWD", "OLDPWD", "USER", "SHELL", "HOSTNAME", "LANG", "IFS", "RANDOM"];

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
        let mut unknown = BTreeSet::new();
        let mut made = |text: &str| expand(text, &job, predefined, &mut unknown);
        assert_eq!(made("$A/${B}x $$ $ ${A:-x}"), Text::from("one/two-onex $ $ ${A:-x}"));
        assert_eq!(made("v$CI_ID"), Text(vec![Part::Literal("v".to_owned()), Part::Id]));
        assert_eq!(made("$NONE"), Text::from("${NONE}"));
        made("$LOOP");
        assert_eq!(unknown, BTreeSet::from(["LOOP".to_owned(), "NONE".to_owned()]));
    }

    #[test]
    fn what_lines_set_themselves_is_nobody_elses() {
        let text = "VERSION=1; echo $VERSION ${OTHER:-x} $lower $Mixed\nfor FILE in *; do echo $FILE; done";
        let left: Vec<String> = named(text).into_iter().filter(|name| !is_set(text, name)).collect();
        assert_eq!(left, ["OTHER"]);
    }
}
