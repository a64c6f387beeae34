//! Shell lines as one script for one shell, which stops at the first line that fails and says which one runs.
//!
//! For each line the script has four steps:
//!
//! ```sh
//! { \command echo 2 >>/proc/self/fd/100; } 2>/dev/null || :   # says that line 2 runs now
//! \set -e
//! \eval 'the line, quoted'
//! case $? in 0) ;; *) exit $? ;; esac
//! ```
//!
//! `eval` keeps a line for itself: a quote or `if` that is never closed is that line's syntax error (the shell ends with 2),
//! not the next one's. A line may hold several commands, and each that fails ends it: `set -e`, anew for each line. The check is
//! for lines that switch that off, whose status is their last command's; it stands apart from the `eval`, since `eval .. || exit`
//! would switch off the effect of `set -e` as well. Backslashes keep aliases that a line defines out of it.
//!
//! A pipe has the status of its last command, as POSIX wants it, unless the job has asked for bash by name: then it fails when any
//! of its commands does.
//!
//! Where the job is to be held before a line, a fifth step comes first. It says so, and reads what the launcher writes to another pipe
//! when the job goes on. A shell of its own does that, so that the job's has no variable more:
//!
//! ```sh
//! ( \command echo '2!' >>/proc/self/fd/100 && \command read -r go </proc/self/fd/101 ) 2>/dev/null || :
//! ```
//!
//! The line's number goes to a pipe by way of `/proc/self/fd`: many shells know only the descriptors 0 to 9, and those are
//! the job's own to use (`exec 9>lock`). Should that fail, the line's number is unknown and nothing else changes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The options that each line starts under, in a shell of this program.
pub(super) fn options(program: &[String]) -> &'static [&'static str] {
    if is_bash(program) { &["-e", "-o", "pipefail"] } else { &["-e"] }
}

/// Whether the program is bash by its name: `/bin/bash`, or `/usr/bin/env bash`.
fn is_bash(program: &[String]) -> bool {
    let mut names = program.iter().map(|word| word.rsplit('/').next().unwrap_or_default());
    match names.next() {
        Some("env") => names.next() == Some("bash"),
        first => first == Some("bash"),
    }
}

/// The descriptors that a script uses, and where it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors<'a> {
    /// Where it writes which line runs.
    pub(super) marks: i32,
    /// Before which lines it waits until there is something to read, and where.
    pub(super) holds: Option<(&'a BTreeSet<u32>, i32)>,
}

impl Descriptors<'_> {
    /// The step that waits before this line, if there is one.
    fn hold(self, line: usize) -> Option<String> {
        let (before, holds) = self.holds?;
        let marks = self.marks;
        before.contains(&u32::try_from(line).ok()?).then(|| {
            format!(
                "( \\command echo '{line}!' >>/proc/self/fd/{marks} && \\command read -r go </proc/self/fd/{holds} ) 2>/dev/null || :\n"
            )
        })
    }
}

/// The script that runs `lines`, each under `options`, and writes the number of each before it runs.
pub(super) fn script(lines: &[String], options: &[&str], descriptors: Descriptors<'_>) -> String {
    let mut script = String::new();
    let Descriptors { marks, .. } = descriptors;
    let check = "case $? in 0) ;; *) exit $? ;; esac\n";
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            script.push_str(check);
        }
        script.extend(descriptors.hold(index + 1));
        // Writing to a String can't fail.
        let _ = writeln!(script, "{{ \\command echo {} >>/proc/self/fd/{marks}; }} 2>/dev/null || :", index + 1);
        let _ = writeln!(script, "\\set {}", options.join(" "));
        let _ = writeln!(script, "\\eval '{}'", line.replace('\'', r"'\''"));
    }
    script.extend(descriptors.hold(lines.len() + 1).map(|hold| format!("{check}{hold}")));
    script
}

/// Follows what the script writes: the number of the line that runs.
#[derive(Debug, Default)]
pub(super) struct Marks {
    unfinished: u32,
    line: Option<u32>,
    /// The line before which the script waits, until somebody has taken notice.
    waits: Option<u32>,
}

impl Marks {
    /// Takes bytes from the pipe. What is no number is not from our script, and means nothing.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'0'..=b'9' => {
                    self.unfinished = self.unfinished.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
                }
                b'!' if self.unfinished > 0 => self.waits = Some(std::mem::take(&mut self.unfinished)),
                b'\n' if self.unfinished > 0 => self.line = Some(std::mem::take(&mut self.unfinished)),
                _ => self.unfinished = 0,
            }
        }
    }

    /// The line before which the script has begun to wait since this was asked last.
    pub(super) fn begun_wait(&mut self) -> Option<u32> {
        self.waits.take()
    }

    /// The line that runs, or ran last.
    pub(super) fn line(&self) -> Option<u32> {
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_a_line_stay_in_the_line() {
        let script = script(&["echo 'a' \"b\"".to_owned()], &["-e"], Descriptors { marks: 100, holds: None });
        assert!(script.ends_with("\\eval 'echo '\\''a'\\'' \"b\"'\n"), "{script}");
    }

    #[test]
    fn pipes_fail_as_a_whole_only_where_bash_is_asked_for_by_name() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for bash in ["bash", "/bin/bash -u", "/usr/bin/env bash"] {
            assert_eq!(options(&words(bash)), ["-e", "-o", "pipefail"], "{bash}");
        }
        for other in ["/bin/sh", "/bin/bash-static", "/usr/bin/env sh", "busybox sh", "/opt/bash/sh"] {
            assert_eq!(options(&words(other)), ["-e"], "{other}");
        }
    }

    #[test]
    fn the_last_mark_counts_however_it_arrives() {
        let mut marks = Marks::default();
        for piece in ["1\n", "2", "\n1", "2\n13", "\n\nnonsense\n99"] {
            marks.push(piece.as_bytes());
        }
        assert_eq!((marks.line(), marks.begun_wait()), (Some(13), None));
        marks.push(b"\n14");
        marks.push(b"!\n");
        assert_eq!((marks.line(), marks.begun_wait(), marks.begun_wait()), (Some(99), Some(14), None));
    }
}
