//! A config file, read: keys that are known, of values of the right kind, by somebody who may say them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use monkeyci_archive::{Content, read_small};
use monkeyci_build::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, By, Key, PARAM, Paths, SECRET};
use crate::setup::git_auth_parts;

/// The most bytes of a repository's file.
const LARGEST: u64 = 1 << 20;

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
        let failed = || format!("the config file {} can't be read", path.display());
        let text = match by {
            By::User => match std::fs::read_to_string(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                text => text.with_context(failed)?,
            },
            // A stranger's, perhaps.
            By::Both => match read_small(path, LARGEST).with_context(failed)? {
                Content::Missing => return Ok(None),
                Content::Bytes(bytes) => String::from_utf8(bytes).with_context(failed)?,
                Content::NotAFile => return Err(anyhow!("it is no regular file").context(failed())),
                Content::TooLarge => return Err(anyhow!("it has more than {LARGEST} bytes").context(failed())),
            },
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
                    let values = texts(text, value).ok_or_else(|| anyhow!("line {at}: {name} {NO_VALUE}"))?;
                    let values = values.into_iter().map(|value| key.paths.beside(path, value)).collect();
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
                let text = one(text, value).ok_or_else(|| anyhow!("line {at}: {name}.{of} {NO_VALUE}"))?;
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

impl Paths {
    /// A value with the path in it as it is meant.
    fn beside(self, file: &Path, value: String) -> String {
        match self {
            Self::None => value,
            Self::Whole => beside(file, &value),
            Self::GitAuth => {
                let (kind, path) = git_auth_parts(&value);
                let path = beside(file, path);
                kind.map_or_else(|| path.clone(), |kind| format!("{kind}={path}"))
            }
        }
    }
}

fn texts(file: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Array(values) => values.iter().map(|value| one(file, value)).collect(),
        _ => Some(vec![one(file, value)?]),
    }
}

/// A value as it stands there: 0x1F, 1_000 and 1.10 are no other texts.
fn one(file: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Array(_) | DeValue::Table(_) => None,
        _ => file.get(value.span()).map(|written| written.trim().to_owned()),
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
    fn a_number_stays_as_it_was_written() {
        let text = "[param]\na = 0x1F # hex\nb = 1_000\nc = 1.10\nd = 1e3\ne = 2026-01-02\nf = true\n";
        let params = parse(text, By::Both).expect("a file").params;
        let values: Vec<_> = params.values().flat_map(|setting| setting.values.clone()).collect();
        assert_eq!(values, ["0x1F", "1_000", "1.10", "1e3", "2026-01-02", "true"]);
        // An option takes it or refuses it: it is no other number.
        assert_eq!(parse("jobs = 0x10\n", By::User).expect("a file").settings["jobs"].values, ["0x10"]);
    }

    #[test]
    fn files_that_say_who_we_are_for_git_servers_are_beside_the_config_file() {
        let text = "git-auth = [\"logins\", \"ssh-key=keys/id\", \"known-hosts=/etc/known\", \"a=b\"]\n";
        let found = &parse(text, By::User).expect("a file").settings["git-auth"].values;
        assert_eq!(*found, ["dir/logins", "ssh-key=dir/keys/id", "known-hosts=/etc/known", "dir/a=b"]);
    }

    #[test]
    fn a_repositorys_file_that_is_none_is_neither_followed_nor_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
        std::fs::write(at("other"), "jobs = 1\n").expect("written");
        std::os::unix::fs::symlink(at("other"), at("link")).expect("a link");
        std::fs::write(at("large"), vec![b'#'; LARGEST as usize + 1]).expect("written");
        for (name, why) in [("link", "no regular file"), ("pipe", "no regular file"), ("large", "more than")] {
            let error = format!("{:#}", File::read(&at(name), By::Both).expect_err("refused"));
            assert!(error.contains(why) && error.contains(name), "{error}");
        }
        assert_eq!(File::read(&at("none"), By::Both).expect("none"), None);
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
