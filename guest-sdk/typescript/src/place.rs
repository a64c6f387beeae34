//! Places in the author's files, in words.

use std::fmt::Write as _;

/// Something that is wrong at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it begins, in bytes.
    pub offset: usize,
    /// How many bytes it is long.
    pub length: usize,
    /// What is wrong.
    pub message: String,
}

impl Fault {
    /// The message, and below it the line with what is meant in it.
    pub fn shown(&self, source: &str) -> String {
        let (line, column) = position(source, self.offset);
        let text = source.lines().nth(line - 1).unwrap_or_default();
        let mut shown = self.message.clone();
        // A long line, of a bundle say, tells nothing.
        if text.len() <= LONGEST_LINE {
            let rest = text.chars().count().saturating_sub(column - 1).max(1);
            let meant = source.get(self.offset..self.offset + self.length).map_or(1, |it| it.chars().count());
            let before: String =
                text.chars().take(column - 1).map(|char| if char == '\t' { '\t' } else { ' ' }).collect();
            let margin = " ".repeat(line.to_string().len());
            // Writing to a text can't fail.
            let _ = write!(shown, "\n  {line} | {text}\n  {margin} | {before}{}", "^".repeat(meant.clamp(1, rest)));
        }
        shown
    }

    /// Where it is, as a line of a stack.
    pub fn stack(&self, path: &str, source: &str) -> String {
        let (line, column) = position(source, self.offset);
        format!("    at {path}:{line}:{column}\n")
    }
}

/// The longest line that is shown.
const LONGEST_LINE: usize = 200;

/// Line and column of an offset, from 1; columns are characters.
pub fn position(source: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &source[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, source[start..offset].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_with_its_line_and_what_is_meant_in_it() {
        let fault = Fault { offset: 6, length: 3, message: "no".to_owned() };
        assert_eq!(fault.shown("eins\n\tzwei\n"), "no\n  2 | \tzwei\n    | \t^^^");
        let beyond = Fault { offset: 99, length: 9, message: "no".to_owned() };
        assert_eq!(beyond.shown("a"), "no\n  1 | a\n    |  ^");
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(position("a\nöß x", 7), (2, 4));
        assert_eq!(position("", 0), (1, 1));
    }
}
