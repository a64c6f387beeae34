//! What git ignores: the files that say it, read as those of a stranger, and what they say.
//!
//! A repository commits what it likes under the name `.gitignore`. So such a file is read only if it is a regular one, not through a
//! link (git follows none there either), without waiting, and up to a size.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use regex_automata::meta::Regex;
use rustix::fs::{Mode, OFlags};

use crate::ArchiveError;
use crate::automaton::any_of;

/// The most bytes of a file with patterns. The longest lists that people publish have some 20 KiB.
pub(crate) const FILE: u64 = 128 * 1024;
/// The most bytes of patterns that hold in one place: those of all files on the way there.
pub(crate) const HELD: usize = 512 * 1024;
/// The most runs of patterns that ignore, or that don't, in one place: each is an automaton.
pub(crate) const RUNS: usize = 512;

/// What a file for the host to read turned out to be.
#[derive(Debug)]
pub enum Content {
    /// Nothing is there.
    Missing,
    /// A link, a directory, a pipe, a device.
    NotAFile,
    /// It has more bytes than are read.
    TooLarge,
    /// All of it.
    Bytes(Vec<u8>),
}

/// Reads a small file of a stranger: regular, not through a link at its end, without waiting, and at most `max` bytes.
///
/// # Errors
/// When the system can't read it.
pub fn read_small(path: &Path, max: u64) -> io::Result<Content> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Content::Missing),
        // A link; a socket, or a device that is not there.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO | rustix::io::Errno::NODEV) => {
            return Ok(Content::NotAFile);
        }
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(Content::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 > max { Content::TooLarge } else { Content::Bytes(bytes) })
}

/// The patterns of one file.
#[derive(Debug, Default)]
struct Patterns {
    runs: Vec<Run>,
    bytes: usize,
}

/// Patterns that follow each other and say the same. Of several that match the last counts, so within a run it does not matter which
/// does.
#[derive(Debug)]
struct Run {
    ignore: bool,
    /// Those that are about files and directories, and those that are about directories only.
    any: Regex,
    directories: Regex,
}

/// One line: whether it ignores, whether it is about directories only, and the regular expression.
struct Pattern {
    ignore: bool,
    directories: bool,
    regex: String,
}

impl Patterns {
    fn parse(file: &Path, text: &[u8]) -> Result<Self, ArchiveError> {
        let text = String::from_utf8_lossy(text);
        let lines: Vec<Pattern> = text.trim_start_matches('\u{feff}').lines().filter_map(pattern).collect();
        let failed = |_| too_many(file);
        let run = |lines: &[Pattern]| {
            let of = |directories: bool| {
                let lines = lines.iter().filter(move |line| line.directories == directories);
                any_of(lines.map(|line| line.regex.as_str())).map_err(failed)
            };
            Ok(Run { ignore: lines[0].ignore, any: of(false)?, directories: of(true)? })
        };
        let runs = lines.chunk_by(|one, next| one.ignore == next.ignore);
        if runs.clone().count() > RUNS {
            return Err(too_many(file));
        }
        Ok(Self { runs: runs.map(run).collect::<Result<_, _>>()?, bytes: text.len() })
    }

    /// Whether it says that the path is ignored, or that it is not; none if it says nothing.
    fn say(&self, path: &Path, is_dir: bool) -> Option<bool> {
        let path = path.as_os_str().as_bytes();
        let says = |run: &&Run| run.any.is_match(path) || is_dir && run.directories.is_match(path);
        self.runs.iter().rev().find(says).map(|run| run.ignore)
    }
}

/// A line of a file, as git reads it; none if it holds no pattern, or one that can match nothing.
fn pattern(line: &str) -> Option<Pattern> {
    let mut rest = if line.ends_with("\\ ") { line } else { line.trim_end() };
    if rest.is_empty() || rest.starts_with('#') {
        return None;
    }
    let ignore = match rest.strip_prefix('!') {
        Some(after) => {
            rest = after;
            false
        }
        None => true,
    };
    let directories = rest.ends_with('/');
    rest = rest.strip_suffix('/').unwrap_or(rest);
    // A pattern with a slash is about a path from here; one without, about a name wherever it is.
    let glob = match rest.strip_prefix('/') {
        Some(anchored) => anchored.to_owned(),
        None if rest.contains('/') => rest.to_owned(),
        None => format!("**/{rest}"),
    };
    // What is in a directory, and not the directory itself.
    let glob = if glob.ends_with("/**") { format!("{glob}/*") } else { glob };
    let glob = GlobBuilder::new(&without_alternatives(&glob))
        .literal_separator(true)
        .backslash_escape(true)
        .allow_unclosed_class(true)
        .build();
    Some(Pattern { ignore, directories, regex: glob.ok()?.regex().to_owned() })
}

/// A pattern whose braces stand for themselves, as they do for git.
fn without_alternatives(pattern: &str) -> String {
    let (mut literal, mut in_class, mut escaped) = (String::with_capacity(pattern.len()), false, false);
    for c in pattern.chars() {
        if matches!(c, '{' | '}') && !in_class && !escaped {
            literal.push('\\');
        }
        literal.push(c);
        in_class = !escaped && (c == '[' || in_class && c != ']');
        escaped = c == '\\' && !escaped;
    }
    literal
}

/// The files with patterns that hold at some place of a tree, the nearest last.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    levels: Vec<Level>,
    held: usize,
    runs: usize,
    /// Files that were passed over, since they are links or no files.
    pub(crate) unread: Vec<PathBuf>,
}

#[derive(Debug)]
struct Level {
    dir: PathBuf,
    /// The directory's own file goes before the repository's.
    files: Vec<Patterns>,
    /// A repository starts here: what stands above does not count.
    repository: bool,
}

impl Ignored {
    /// What stands above the directory `root` and holds in it. Inside of a repository git's rules hold, and end at its root.
    /// Elsewhere the tree's own files count and none above: those are other people's, `~/.gitignore` say.
    pub(crate) fn above(root: &Path) -> Result<Self, ArchiveError> {
        let mut ignored = Self::default();
        let repository = root.ancestors().position(is_repository).unwrap_or(0);
        let dirs: Vec<&Path> = root.ancestors().skip(1).take(repository).collect();
        for dir in dirs.into_iter().rev() {
            ignored.enter(dir)?;
        }
        Ok(ignored)
    }

    /// Reads what holds in `dir` too.
    pub(crate) fn enter(&mut self, dir: &Path) -> Result<(), ArchiveError> {
        let repository = is_repository(dir);
        let mut files = Vec::new();
        self.read(dir.join(".gitignore"), &mut files)?;
        if repository {
            self.read(dir.join(".git/info/exclude"), &mut files)?;
        }
        self.levels.push(Level { dir: dir.to_owned(), files, repository });
        Ok(())
    }

    fn read(&mut self, path: PathBuf, files: &mut Vec<Patterns>) -> Result<(), ArchiveError> {
        match read_small(&path, FILE) {
            Ok(Content::Missing) => {}
            Ok(Content::NotAFile) => self.unread.push(path),
            Ok(Content::TooLarge) => return Err(too_many(&path)),
            Ok(Content::Bytes(bytes)) => {
                let patterns = Patterns::parse(&path, &bytes)?;
                self.held += patterns.bytes;
                self.runs += patterns.runs.len();
                if self.held > HELD || self.runs > RUNS {
                    return Err(too_many(&path));
                }
                files.push(patterns);
            }
            Err(error) => return Err(ArchiveError::entry(path, error)),
        }
        Ok(())
    }

    /// Leaves the directory that was entered last.
    pub(crate) fn leave(&mut self) {
        for patterns in self.levels.pop().into_iter().flat_map(|level| level.files) {
            self.held -= patterns.bytes;
            self.runs -= patterns.runs.len();
        }
    }

    /// Whether git ignores the path, whose parent is the directory that was entered last.
    pub(crate) fn is_ignored(&self, path: &Path, is_dir: bool) -> bool {
        for level in self.levels.iter().rev() {
            let below = path.strip_prefix(&level.dir).unwrap_or(path);
            if let Some(ignored) = level.files.iter().find_map(|patterns| patterns.say(below, is_dir)) {
                return ignored;
            }
            if level.repository {
                break;
            }
        }
        false
    }
}

fn too_many(file: &Path) -> ArchiveError {
    ArchiveError::TooManyPatterns { path: file.to_owned(), max: FILE }
}

fn is_repository(dir: &Path) -> bool {
    dir.join(OsStr::new(".git")).symlink_metadata().is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn say(text: &str, path: &str, is_dir: bool) -> Option<bool> {
        Patterns::parse(Path::new(".gitignore"), text.as_bytes()).unwrap().say(Path::new(path), is_dir)
    }

    /// What `git check-ignore` says.
    #[test]
    fn a_pattern_ignores_these_and_not_those() {
        let table: [(&str, &[&str], &[&str]); 19] = [
            ("a", &["a", "b/a", "b/c/a"], &["ab", "ba", "a/b"]),
            ("/a", &["a"], &["b/a"]),
            ("a/b", &["a/b"], &["c/a/b", "a/b/c"]),
            ("*.log", &["x.log", "a/.log"], &["x.logs"]),
            ("a/*.log", &["a/x.log"], &["a/b/x.log", "b/a/x.log"]),
            ("**/b", &["b", "a/b"], &["ab"]),
            ("a/**", &["a/b", "a/b/c"], &["a"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]),
            ("fo?", &["foo", "x/fob"], &["fo", "fo/"]),
            ("[Bb]in", &["bin", "Bin"], &["zin"]),
            ("*.{log,tmp}", &["x.{log,tmp}"], &["x.log", "x.tmp"]),
            ("a{", &["a{"], &["a"]),
            ("[{}]x", &["{x", "}x"], &["x"]),
            ("[!a]x", &["bx"], &["ax"]),
            ("\\#a", &["#a"], &["a"]),
            ("\\!a", &["!a"], &["a"]),
            ("#a", &[], &["a", "#a"]),
            ("a  ", &["a"], &["a  "]),
            ("größe", &["größe", "x/größe"], &["grosse"]),
        ];
        for (pattern, these, those) in table {
            for path in these {
                assert_eq!(say(pattern, path, false), Some(true), "{pattern:?} has to ignore {path:?}");
            }
            for path in those {
                assert_eq!(say(pattern, path, false), None, "{pattern:?} must not ignore {path:?}");
            }
        }
    }

    #[test]
    fn of_several_patterns_the_last_that_matches_counts() {
        let text = "*.log\n!keep.log\nlogs/\n!logs/\nkeep.log.old\r\n";
        assert_eq!(say(text, "x.log", false), Some(true));
        assert_eq!(say(text, "keep.log", false), Some(false));
        assert_eq!(say(text, "keep.log.old", false), Some(true));
        assert_eq!(say("*\n!a\na", "a", false), Some(true));
    }

    #[test]
    fn a_pattern_with_a_slash_at_its_end_is_about_directories() {
        assert_eq!(
            (say("a/", "a", true), say("a/", "a", false), say("a/", "b/a", true)),
            (Some(true), None, Some(true))
        );
        assert_eq!(say("/a/", "b/a", true), None);
    }
}
