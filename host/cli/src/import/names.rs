//! Names as this host and Rust have them.

use std::collections::BTreeSet;

/// The most characters of an id.
const MAX_ID: usize = 64;

/// An id of a job, an artifact or a cache: letters, digits, dots, dashes and underscores, that begins with a letter or a digit.
pub fn id(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut id: String = text.trim().chars().map(|c| if fits(c) { c } else { '-' }).collect();
    while id.contains("--") {
        id = id.replace("--", "-");
    }
    let id = id.trim_start_matches(['.', '-', '_']).trim_end_matches('-');
    let id: String = id.chars().take(MAX_ID).collect();
    if id.is_empty() { "job".to_owned() } else { id }
}

/// A name of a service, as resolvers take it.
pub fn host(text: &str) -> String {
    let name = text.to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-');
    let name: String = name.chars().take(63).collect();
    if name.is_empty() { "service".to_owned() } else { name }
}

/// The name under which others reach a service of this image: its last part, without a tag.
pub fn of_image(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    host(last.split([':', '@']).next().unwrap_or(last))
}

/// A name that no other one of these has.
pub fn distinct(name: String, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| {
        let end = format!("-{number}");
        let begin: String = name.chars().take(MAX_ID - end.len()).collect();
        begin + &end
    });
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(name);
    taken.insert(free.clone());
    free
}

/// What a variable of a script must not be called: words of Rust, and what the SDK's prelude and a script have.
const TAKEN: [&str; 71] = [
    "abstract",
    "action",
    "action_call",
    "anyhow",
    "artifact",
    "as",
    "async",
    "await",
    "bail",
    "become",
    "box",
    "break",
    "build",
    "cache",
    "const",
    "container",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "ensure",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "format",
    "gen",
    "handler",
    "hooks",
    "id",
    "if",
    "impl",
    "in",
    "jobs",
    "late_container",
    "let",
    "loop",
    "macro",
    "match",
    "matrix",
    "mod",
    "move",
    "mut",
    "override",
    "param",
    "priv",
    "pub",
    "ref",
    "return",
    "script",
    "self",
    "service",
    "slug",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// A name for a variable of a script, that none of these has.
pub fn variable(text: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let mut name = name.trim_end_matches('_').to_owned();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name = format!("job_{name}").trim_end_matches('_').to_owned();
    }
    if TAKEN.contains(&name.as_str()) {
        name.push_str("_job");
    }
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(name);
    taken.insert(free.clone());
    free
}

/// A name of an environment variable.
pub fn env(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = text.chars().map(fits).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Whether a variable of this name is a secret, as people name them.
pub fn is_secret(name: &str) -> bool {
    let words =
        ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "APIKEY", "API_KEY", "PRIVATE_KEY"];
    let name = name.to_ascii_uppercase();
    words.iter().any(|word| name.contains(word)) || name.ends_with("_KEY") || name.ends_with("_PASS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_host_and_rust_take_and_each_is_there_once() {
        assert_eq!([id("Test (ubuntu, 1.2)"), id(".hidden job"), id("ü")], ["Test-ubuntu-1.2", "hidden-job", "job"]);
        assert_eq!(id(&"x".repeat(100)).len(), 64);
        let mut taken = BTreeSet::new();
        let names = ["a", "a", "a"].map(|name| distinct(name.to_owned(), &mut taken));
        assert_eq!(names, ["a", "a-2", "a-3"]);
        let mut taken = BTreeSet::new();
        let names = ["unit test", "unit-test", "build", "yield", "12", "ü"].map(|name| variable(name, &mut taken));
        assert_eq!(names, ["unit_test", "unit_test_2", "build_job", "yield_job", "job_12", "job"]);
        assert_eq!([of_image("registry.io/x/My_Redis:7"), of_image("postgres@sha256:1")], ["my-redis", "postgres"]);
        assert_eq!(env("1st-output.x"), "_1ST_OUTPUT_X");
        assert!(is_secret("NPM_TOKEN") && is_secret("DEPLOY_KEY") && !is_secret("KEYBOARD"));
    }
}
