//! Shell lines as one script for one shell, which stops at the first line that fails and says which one runs.
//!
//! For each line the script has three steps:
//!
//! ```sh
//! { \command echo 2 >>/proc/self/fd/100; } 2>/dev/null || :   # says that line 2 runs now
//! \eval 'the line, quoted'
//! case $? in 0) ;; *) exit $? ;; esac
//! ```
//!
//! `eval` keeps a line for itself: a quote or `if` that is never closed is that line's syntax error (the shell ends with 2),
//! not the next one's; and a line's status is its last command's, so that `false; true` passes. The check stands apart from the
//! `eval`, since `eval .. || exit` would switch off the effect of a line `set -e`. Backslashes keep aliases and functions that a
//! line defines out of it.
//!
//! The line's number goes to a pipe by way of `/proc/self/fd`: many shells know only the descriptors 0 to 9, and those are
//! the job's own to use (`exec 9>lock`). Should that fail, the line's number is unknown and nothing else changes.

use std::fmt::Write as _;

/// The script that runs `lines` and writes the number of each to the descriptor `marks` before it runs.
pub(super) fn script(lines: &[String], marks: i32) -> String {
    let mut script = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            script.push_str("case $? in 0) ;; *) exit $? ;; esac\n");
        }
        // Writing to a String can't fail.
        let _ = writeln!(script, "{{ \\command echo {} >>/proc/self/fd/{marks}; }} 2>/dev/null || :", index + 1);
        let _ = writeln!(script, "\\eval '{}'", line.replace('\'', r"'\''"));
    }
    script
}

/// Follows what the script writes: the number of the line that runs.
#[derive(Debug, Default)]
pub(super) struct Marks {
    unfinished: u32,
    line: Option<u32>,
}

impl Marks {
    /// Takes bytes from the pipe. What is no number is not from our script, and means nothing.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'0'..=b'9' => {
                    self.unfinished = self.unfinished.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
                }
                b'\n' if self.unfinished > 0 => self.line = Some(std::mem::take(&mut self.unfinished)),
                _ => self.unfinished = 0,
            }
        }
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
        let script = script(&["echo 'a' \"b\"".to_owned()], 100);
        assert!(script.ends_with("\\eval 'echo '\\''a'\\'' \"b\"'\n"), "{script}");
    }

    #[test]
    fn the_last_mark_counts_however_it_arrives() {
        let mut marks = Marks::default();
        for piece in ["1\n", "2", "\n1", "2\n13", "\n\nnonsense\n99"] {
            marks.push(piece.as_bytes());
        }
        assert_eq!(marks.line(), Some(13));
    }
}
