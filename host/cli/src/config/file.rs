//! A config file, read: keys that are known, of values of the right kind, by somebody who may say them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use monkeyci_build::nearest;
use toml::de::{DeTable, DeValue};

use super::keys::{self, By, Key, PARAM, SECRET};

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// One text, or several for what may be repeated.
    pub values: Vec<String>,
    /// The line, from 1.
    pub line: usize,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// By the names of keys.
    pub settings: BTreeMap<&'static str, Setting>,
    /// Parameters, by their names.
    pub params: BTreeMap<String, Setting>,
    /// The files of secrets, by the secrets' names.
    pub secrets: BTreeMap<String, Setting>,
}

impl File {
    /// Reads a file; `None` if there is none.
    pub fn read(path: &Path, by: By) -> anyhow::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("the config file {} can't be read", path.display()))?,
        };
        Self::parse(path, &text, by).map(Some).with_context(|| format!("the config file {}", path.display()))
    }

    pub fn parse(path: &Path, text: &str, by: By) -> anyhow::Result<Self> {
        let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(1, |span| line(span.start));
            anyhow!("line {at}: {}", error.message())
        })?;
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (name, value) in table.get_ref() {
            let at = line(name.span().start);
            let name = name.get_ref().as_ref();
            let place = match name {
                PARAM => &mut file.params,
                SECRET if by == By::User => &mut file.secrets,
                SECRET => bail!("line {at}: {}", not_by_a_repository(name)),
                _ => {
                    let key = known(name).map_err(|unknown| anyhow!("line {at}: {unknown}"))?;
                    if by == By::Both && key.by == By::User {
                        bail!("line {at}: {}", not_by_a_repository(name));
                    }
                    let values = texts(value.get_ref()).ok_or_else(|| anyhow!("line {at}: {name} {NO_VALUE}"))?;
                    let values =
                        if key.is_path { values.iter().map(|value| beside(path, value)).collect() } else { values };
                    file.settings.insert(key.name, Setting { values, line: at });
                    continue;
                }
            };
            let DeValue::Table(entries) = value.get_ref() else {
                bail!("line {at}: {name} is a table: [{name}] on a line of its own, then NAME = \"…\"");
            };
            for (entry, value) in entries {
                let at = line(entry.span().start);
                let of = entry.get_ref();
                let text = one(value.get_ref()).ok_or_else(|| anyhow!("line {at}: {name}.{of} {NO_VALUE}"))?;
                let text = if name == SECRET { beside(path, &text) } else { text };
                place.insert(of.clone().into_owned(), Setting { values: vec![text], line: at });
            }
        }
        Ok(file)
    }
}

const NO_VALUE: &str = "is neither text nor a number nor a truth value, nor a list of those";

fn not_by_a_repository(name: &str) -> String {
    format!(
        "a repository's file may not set {name:?}: whoever wrote the repository would say what is yours to say; your own file may, \
         see `monkeyci-host help config`"
    )
}

fn known(name: &str) -> Result<&'static Key, String> {
    keys::find(name).ok_or_else(|| match nearest(name, keys::names()) {
        Some(near) => format!("there is no key {name:?}; did you mean {near:?}?"),
        None => format!("there is no key {name:?}; `monkeyci-host help config` has all that there are"),
    })
}

/// A path as it is meant: from the config file's directory, or from the user's own.
fn beside(file: &Path, path: &str) -> String {
    if let (Some(rest), Some(home)) = (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        return Path::new(&home).join(rest).to_string_lossy().into_owned();
    }
    file.parent().unwrap_or(Path::new(".")).join(path).to_string_lossy().into_owned()
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => Some(vec![one(value)?]),
    }
}

/// A value as it stands there.
fn one(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, by: By) -> Result<File, String> {
        File::parse(Path::new("dir/c.toml"), text, by).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_value_is_the_text_that_stands_there_with_its_line() {
        let text = "# mine\njobs = 4\npermit-network = [\"10.0.0.0/8\", \"fd00::/8\"]\nregistry-auth = \"logins.json\"\n\
                    [param]\nversion = 1.10\n\n[secret]\ntoken = \"tokens/x\"\n";
        let file = parse(text, By::User).expect("a file");
        let setting = |values: &[&str], line| Setting { values: values.iter().map(|&v| v.to_owned()).collect(), line };
        assert_eq!(file.settings["jobs"], setting(&["4"], 2));
        assert_eq!(file.settings["permit-network"], setting(&["10.0.0.0/8", "fd00::/8"], 3));
        assert_eq!(file.settings["registry-auth"], setting(&["dir/logins.json"], 4));
        assert_eq!(file.params["version"], setting(&["1.10"], 6));
        assert_eq!(file.secrets["token"], setting(&["dir/tokens/x"], 9));
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_name() {
        let told = parse("jobs = 1\n\nengin = \"docker\"\n", By::User);
        assert_eq!(told, Err("line 3: there is no key \"engin\"; did you mean \"engine\"?".to_owned()));
        for (text, word) in [
            ("xyzzyplugh = 1\n", "line 1: there is no key \"xyzzyplugh\"; `monkeyci-host help config`"),
            ("\njobs = [[1]]\n", "line 2: jobs is neither text"),
            ("param = 1\n", "line 1: param is a table"),
            ("[param]\na = {}\n", "line 2: param.a is neither"),
            ("\njobs = \n", "line 2: "),
        ] {
            let told = parse(text, By::User).expect_err("wrong");
            assert!(told.starts_with(word), "{told}");
        }
    }

    #[test]
    fn a_repository_says_nothing_that_is_its_users_to_say() {
        for key in keys::KEYS {
            let text = format!("\n{} = \"5s\"\n", key.name);
            assert!(parse(&text, By::User).is_ok(), "{}", key.name);
            match (key.by, parse(&text, By::Both)) {
                (By::Both, Ok(_)) => {}
                (By::User, Err(told)) => assert!(told.starts_with("line 2: a repository's file may not set"), "{told}"),
                (_, other) => panic!("{}: {other:?}", key.name),
            }
        }
        assert!(parse("[secret]\na = \"b\"\n", By::Both).is_err());
        assert_eq!(parse("[param]\na = \"b\"\n", By::Both).expect("it may").params.len(), 1);
    }
}
