//! Patterns of names: `*` stands for any letters, also for none and for `/`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::budget::LONGEST_PATTERN;

/// A pattern of names of branches, or of secrets: `*` stands for any letters, and whatever else for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// A text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern: that has 1 to {LONGEST_PATTERN} characters, no spaces, and `*` for any letters")]
pub struct NoPattern(String);

impl Pattern {
    /// Whether it stands for this name.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // The first place of each part leaves the most for those that come.
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// Whether it stands for one name alone.
    pub fn is_name(&self) -> bool {
        !self.0.contains('*')
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > LONGEST_PATTERN || text.contains(odd) {
            return Err(NoPattern(text.chars().take(LONGEST_PATTERN).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = NoPattern;

    fn try_from(text: String) -> Result<Self, NoPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters_and_all_else_for_itself() {
        let matches = |pattern: &str, name: &str| pattern.parse::<Pattern>().expect("a pattern").matches(name);
        for (pattern, good) in [
            ("main", "main"),
            ("*", ""),
            ("*", "a/b"),
            ("release/*", "release/1/x"),
            ("*-key", "deploy-key"),
            ("a*b*c", "aXbYbZc"),
            ("a*a", "aa"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, good), "{pattern} {good}");
        }
        for (pattern, wrong) in [
            ("main", "main2"),
            ("main", "a-main"),
            ("release/*", "release"),
            ("a*a", "a"),
            ("a*b*c", "abab"),
            ("a", "A"),
        ] {
            assert!(!matches(pattern, wrong), "{pattern} {wrong}");
        }
        for wrong in ["", "a b", "a\n", &"x".repeat(LONGEST_PATTERN + 1)] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong:?}");
        }
    }
}
