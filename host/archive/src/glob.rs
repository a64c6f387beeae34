//! Globs over paths, with the meaning that the contract with scripts gives them.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use regex_automata::meta::Regex;

use crate::automaton::{TooMuch, any_of};

/// Globs: a path matches them when it matches one of them.
///
/// In a glob, `*` stands for any characters but `/`, `?` for one of them, `**` for any characters at all, and `**/` at the
/// start of a segment for any number of directories, none included. Everything else stands for itself, and a glob matches
/// a whole path. (The usual crates read braces, brackets and backslashes too, and `**` only as a whole segment; so a glob
/// becomes a regular expression here, which takes time in proportion to the path whatever the glob.)
///
/// ```
/// use std::path::Path;
///
/// let globs = monkeyci_archive::Globs::new(["target/**/*.xml", "*.log"])?;
/// assert!(globs.matches(Path::new("target/TEST-a.xml")) && globs.matches(Path::new("build.log")));
/// assert!(!globs.matches(Path::new("target/app.log")));
/// # Ok::<(), monkeyci_archive::BadGlob>(())
/// ```
#[derive(Clone, Debug)]
pub struct Globs {
    regex: Regex,
    reaches: Vec<Reach>,
    shown: String,
}

/// Globs that can't be used: they are too many, or too long.
#[derive(Debug, thiserror::Error)]
#[error("the globs {globs} can't be used: {source}")]
pub struct BadGlob {
    globs: String,
    source: TooMuch,
}

/// Where below the root a glob can match.
#[derive(Clone, Debug)]
struct Reach {
    /// The directories that it begins with.
    start: Vec<String>,
    /// How many parts a path may have; any number when none.
    depth: Option<usize>,
}

impl Globs {
    /// Makes a matcher. No globs at all match nothing. `./` at the start of a glob means nothing.
    ///
    /// # Errors
    /// When they are too many, or too long.
    pub fn new<G: AsRef<str>>(globs: impl IntoIterator<Item = G>) -> Result<Self, BadGlob> {
        let globs: Vec<String> = globs.into_iter().map(|glob| without_dot(glob.as_ref()).to_owned()).collect();
        let shown = globs.iter().map(|glob| format!("{glob:?}")).collect::<Vec<_>>().join(" or ");
        let regex = any_of(globs.iter().map(|glob| pattern(glob)))
            .map_err(|source| BadGlob { globs: beginning(&shown), source })?;
        Ok(Self { regex, reaches: globs.iter().map(|glob| Reach::of(glob)).collect(), shown })
    }

    /// Whether a relative path matches.
    pub fn matches(&self, path: &Path) -> bool {
        self.regex.is_match(path.as_os_str().as_bytes())
    }

    /// Whether something below the directory `dir` may match: where nothing does, nobody has to look.
    pub(crate) fn reach_below(&self, dir: &Path) -> bool {
        self.reaches.iter().any(|reach| reach.below(dir))
    }
}

impl fmt::Display for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// What of a text fits into a message.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn without_dot(mut glob: &str) -> &str {
    while let Some(rest) = glob.strip_prefix("./") {
        glob = rest;
    }
    glob
}

/// The glob as a regular expression.
fn pattern(glob: &str) -> String {
    let mut pattern = "^(?:".to_owned();
    let mut rest = glob;
    let mut starts_segment = true;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = match first {
            '*' if starts_segment && rest.starts_with("**/") => (r"(?:(?-u:[^/])*/)*".to_owned(), 3),
            '*' if rest.starts_with("**") => (r"(?s-u:.)*".to_owned(), 2),
            '*' => (r"(?-u:[^/])*".to_owned(), 1),
            // Any byte that begins a character, and those that go on with it: the class of all characters has many states.
            '?' => (r"(?-u:[^/\x80-\xbf][\x80-\xbf]*)".to_owned(), 1),
            other => (format!(r"\x{{{:x}}}", u32::from(other)), other.len_utf8()),
        };
        pattern.push_str(&piece);
        starts_segment = first == '/' || length == 3;
        rest = &rest[length..];
    }
    pattern + ")$"
}

impl Reach {
    fn of(glob: &str) -> Self {
        let wild = |part: &str| part.contains(['*', '?']);
        let mut parts: Vec<&str> = glob.split('/').collect();
        let depth = (!glob.contains("**")).then_some(parts.len());
        parts.pop();
        Self { start: parts.into_iter().take_while(|part| !wild(part)).map(str::to_owned).collect(), depth }
    }

    fn below(&self, dir: &Path) -> bool {
        let parts = || dir.components().filter(|part| *part != Component::CurDir).map(Component::as_os_str);
        self.depth.is_none_or(|depth| parts().count() < depth)
            && parts().zip(&self.start).all(|(part, start)| part == OsStr::new(start))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        Globs::new([glob]).unwrap().matches(Path::new(path))
    }

    /// The table of the SDK, whose scripts match globs too.
    #[test]
    fn a_glob_matches_these_and_not_those() {
        let table: [(&str, &[&str], &[&str]); 16] = [
            ("", &[""], &["a"]),
            ("main", &["main"], &["main2", "mai", "a/main", ""]),
            ("*", &["", "a", ".hidden", "a.b", "a\nb"], &["a/b", "/"]),
            ("**", &["", "a", "a/b/c", "a\n/b"], &[]),
            ("*.rs", &["a.rs", ".rs"], &["a.rsx", "src/a.rs"]),
            ("./*.rs", &["a.rs"], &["./a.rs"]),
            ("**/*.rs", &["a.rs", "src/a.rs", "a/b/c.rs"], &["a.rsx", "a.rs/b"]),
            ("src/**", &["src/a", "src/a/b"], &["src", "srcs/a", "a/src/b"]),
            ("src/**/test.rs", &["src/test.rs", "src/a/test.rs", "src/a/b/test.rs"], &["src/atest.rs", "test.rs"]),
            ("**/src/**", &["src/a", "x/src/a", "x/y/src/a/b"], &["xsrc/a", "x/srcs/a"]),
            ("**/**/a", &["a", "b/a", "b/c/a"], &["ba", "a/b"]),
            ("release/v?.*", &["release/v1.2", "release/v1."], &["release/v12", "release/v/.2", "release/v10.2"]),
            ("a**z", &["az", "abz", "a/b/z"], &["a/b/zz/"]),
            ("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a/b"]),
            ("[ab]{c}\\*", &["[ab]{c}\\", "[ab]{c}\\x"], &["ac", "a", "[ab]{c}*"]),
            ("gr?ße/*", &["größe/ü"], &["grße/x", "größe"]),
        ];
        for (glob, these, those) in table {
            for path in these {
                assert!(matches(glob, path), "{glob:?} has to match {path:?}");
            }
            for path in those {
                assert!(!matches(glob, path), "{glob:?} must not match {path:?}");
            }
        }
    }

    #[test]
    fn one_glob_of_several_is_enough_and_none_match_nothing() {
        let globs = Globs::new(["*.xml", "a/*.log"]).unwrap();
        assert!(globs.matches(Path::new("x.xml")) && globs.matches(Path::new("a/x.log")));
        assert!(!globs.matches(Path::new("x.log")));
        assert_eq!(globs.to_string(), r#""*.xml" or "a/*.log""#);
        assert!(!Globs::new([""; 0]).unwrap().matches(Path::new("a")));
    }

    #[test]
    fn names_that_are_no_text_match_wildcards() {
        let path = Path::new(OsStr::from_bytes(b"dir/\xff\xfe.xml"));
        assert!(Globs::new(["**/*.xml"]).unwrap().matches(path));
        assert!(Globs::new(["dir/**"]).unwrap().matches(path));
    }

    #[test]
    fn nobody_looks_where_nothing_can_match() {
        let cases = [
            (
                "target/reports/*.xml",
                &["", "target", "target/reports"][..],
                &["src", "target/x", "target/reports/x"][..],
            ),
            ("target/**/*.xml", &["", "target", "target/a/b"], &["src"]),
            ("*/a.xml", &["", "x"], &["x/y"]),
            ("**.xml", &["", "x/y/z"], &[]),
            ("a.xml", &[""], &["a.xml"]),
        ];
        for (glob, yes, no) in cases {
            let globs = Globs::new([glob]).unwrap();
            for dir in yes {
                assert!(globs.reach_below(Path::new(dir)), "{glob} {dir}");
            }
            for dir in no {
                assert!(!globs.reach_below(Path::new(dir)), "{glob} {dir}");
            }
        }
    }

    #[test]
    fn many_wildcards_take_no_longer_than_few() {
        assert!(!matches(&"**a*".repeat(100), &"b/".repeat(2_000)));
    }
}
