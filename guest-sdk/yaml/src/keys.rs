//! The keys of each kind of map. `schema.json` has the same, which a test looks after.

/// The keys of a kind of map.
#[derive(Debug)]
pub struct Keys {
    /// What has them, in words.
    pub what: &'static str,
    pub known: &'static [&'static str],
    /// Other names of them.
    pub aliases: &'static [(&'static str, &'static str)],
    /// What somebody may expect and is not there, with the reason.
    pub refused: &'static [(&'static str, &'static str)],
}

pub const DOCUMENT: Keys =
    Keys { what: "a script", known: &["defaults", "jobs", "params"], aliases: &[], refused: &[] };

pub const JOB: Keys = Keys {
    what: "a job",
    known: &[
        "allow-failure",
        "approval",
        "arch",
        "argv",
        "blocked",
        "caches",
        "cpus",
        "entrypoint",
        "env",
        "fail-fast",
        "git",
        "id",
        "if",
        "image",
        "labels",
        "manual",
        "matrix",
        "memory",
        "needs",
        "network",
        "network-allow",
        "one-shell",
        "priority",
        "pull",
        "requires",
        "restore-artifacts",
        "retry",
        "run-when",
        "save-artifacts",
        "script",
        "services",
        "shell",
        "shm-size",
        "size",
        "test-reports",
        "timeout",
        "type",
        "user",
        "work-dir",
    ],
    aliases: &[
        ("architecture", "arch"),
        ("container/env", "env"),
        ("container/image", "image"),
        ("dependencies", "needs"),
        ("working-dir", "work-dir"),
    ],
    refused: &[
        ("action", "only container jobs can be declared here; write the script in another language for actions"),
        ("container/args", "write the program and its arguments as `argv`"),
        ("container/cmd", "write the program and its arguments as `argv`"),
        ("container/entrypoint", "write `entrypoint: true` for the image's own, and `argv` for another program"),
        ("container/mounts", "a job sees no path of the machine that it runs on; use artifacts and caches"),
        ("expose", "jobs do not reach each other; what a job needs beside it is one of its `services`"),
        ("init", "a job that is completed late needs a script in another language"),
    ],
};

pub const MATRIX_REFUSED: &[(&str, &str)] =
    &[("include", "a matrix has all combinations of its values but those of `exclude`; write another job")];

pub const CACHE: Keys = Keys {
    what: "a cache",
    known: &["fallback", "hash-files", "id", "key", "path", "save"],
    aliases: &[("paths", "path")],
    refused: &[],
};

pub const SAVED: Keys = Keys {
    what: "an artifact that is saved",
    known: &["always", "files", "id", "if-there", "on-failure", "path"],
    aliases: &[],
    refused: &[],
};

pub const RESTORED: Keys =
    Keys { what: "an artifact that is restored", known: &["id", "if-there", "path"], aliases: &[], refused: &[] };

pub const SERVICE: Keys = Keys {
    what: "a service",
    known: &["argv", "env", "image", "name", "ready-command", "ready-port", "ready-timeout"],
    aliases: &[("command", "argv")],
    refused: &[("ports", "a job reaches all ports of its services, at the service's name")],
};

pub const VARIABLE: Keys = Keys {
    what: "a variable",
    known: &["job", "output", "param-file", "secret", "secret-file"],
    aliases: &[],
    refused: &[],
};

pub const RETRY: Keys = Keys { what: "`retry`", known: &["count", "delay", "on"], aliases: &[], refused: &[] };

pub const PARAM: Keys = Keys {
    what: "a parameter",
    known: &["choices", "default", "description", "required", "type"],
    aliases: &[],
    refused: &[],
};

/// All of them, by the names that the schema has for them.
#[cfg(test)]
pub const ALL: [(&str, &Keys); 9] = [
    ("document", &DOCUMENT),
    ("job", &JOB),
    ("cache", &CACHE),
    ("saved", &SAVED),
    ("restored", &RESTORED),
    ("service", &SERVICE),
    ("variable", &VARIABLE),
    ("retry", &RETRY),
    ("param", &PARAM),
];

impl Keys {
    /// The key that is meant: `saveArtifacts` and `save_artifacts` are `save-artifacts`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn find(&self, key: &str) -> Result<&'static str, String> {
        let written = kebab(key);
        let alias = self.aliases.iter().find_map(|(alias, known)| (*alias == written).then_some(*known));
        if let Some(known) = alias.or_else(|| self.known.iter().find(|known| **known == written).copied()) {
            return Ok(known);
        }
        if let Some((_, reason)) = self.refused.iter().find(|(refused, _)| *refused == written) {
            return Err(format!("`{key}` is not supported: {reason}"));
        }
        let names = self.known.iter().chain(self.aliases.iter().map(|(alias, _)| alias));
        Err(format!("there is no key `{key}` in {}{}", self.what, meant(&written, names.copied())))
    }
}

impl Keys {
    /// Whether this is one of them, or is written like one.
    pub fn is_near(&self, key: &str) -> bool {
        self.find(key).map_or_else(|message| message.contains("did you mean"), |_| true)
    }
}

/// A key as it is written here.
fn kebab(key: &str) -> String {
    let mut written = String::new();
    for char in key.chars() {
        match char {
            '_' => written.push('-'),
            char if char.is_ascii_uppercase() => {
                if !written.is_empty() && !written.ends_with(['-', '/']) {
                    written.push('-');
                }
                written.push(char.to_ascii_lowercase());
            }
            char => written.push(char),
        }
    }
    written
}

/// A question after the name that is most like this one, if one is; all names, if there are few.
pub fn meant<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let like = names.iter().map(|name| (distance(word, name), name)).min();
    match like {
        Some((distance, name)) if distance <= 1 + word.chars().count() / 4 => format!("; did you mean `{name}`?"),
        _ if names.is_empty() => String::new(),
        _ if names.len() <= 8 => format!("; there are: {}", names.join(", ")),
        _ => String::new(),
    }
}

/// How many characters have to be changed, added, left out or swapped to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(64).collect(), other.chars().take(64).collect());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = match (i, j) {
                (0, many) | (many, 0) => many,
                _ => {
                    let changed = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                    let swapped = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                    changed.min(swapped).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
                }
            };
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_as_other_systems_and_json_write_them() {
        for key in ["save-artifacts", "saveArtifacts", "save_artifacts"] {
            assert_eq!(JOB.find(key), Ok("save-artifacts"));
        }
        assert_eq!((JOB.find("dependencies"), JOB.find("container/image")), (Ok("needs"), Ok("image")));
    }

    #[test]
    fn a_key_that_is_not_there_gets_the_one_that_was_meant_or_the_reason() {
        for (key, says) in [
            ("imgae", "there is no key `imgae` in a job; did you mean `image`?"),
            ("restoreArtefacts", "did you mean `restore-artifacts`?"),
            ("dependancies", "did you mean `dependencies`?"),
            ("container/mounts", "`container/mounts` is not supported: a job sees no path of the machine"),
            ("quux", "there is no key `quux` in a job"),
        ] {
            let error = JOB.find(key).expect_err(key);
            assert!(error.starts_with(says) || error.ends_with(says) || error.contains(says), "{error}");
        }
        assert_eq!(RETRY.find("x"), Err("there is no key `x` in `retry`; there are: count, delay, on".to_owned()));
    }
}
