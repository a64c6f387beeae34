//! Globs over paths and the names of branches and tags: `*`, `**` and `?`, and nothing else.

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This character.
    Exactly(char),
    /// `?`: one character within a segment.
    One,
    /// `*`: any within a segment.
    Some,
    /// `**`: any at all.
    Any,
    /// `**/` at the start of a segment: any number of whole segments, none included.
    Segments,
}

/// Whether all of `text` matches the [glob](crate::Changes#globs) `pattern`, as paths, branches and tags do. Takes time in proportion to
/// both, whatever the pattern.
///
/// ```
/// assert!(monkeyci_sdk::glob_matches("release/*", "release/1.0"));
/// assert!(!monkeyci_sdk::glob_matches("release/*", "release/1.0/fix"));
/// ```
pub fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Which beginnings of the text, by their length, the parts so far can match.
    let mut reached: Vec<bool> = (0..=text.len()).map(|length| length == 0).collect();
    for part in parts(pattern) {
        let before = reached.clone();
        let mut any_before = false;
        for length in 0..=text.len() {
            let last = length.checked_sub(1);
            let in_segment = last.is_some_and(|last| text[last] != '/');
            // For one character on from a beginning that the parts before match, or that this part has matched already.
            let (stepped, grown) = last.map_or((false, false), |last| (before[last], reached[last]));
            any_before |= stepped;
            reached[length] = match part {
                Part::Exactly(wanted) => stepped && last.is_some_and(|last| text[last] == wanted),
                Part::One => stepped && in_segment,
                Part::Some => before[length] || grown && in_segment,
                Part::Any => before[length] || grown,
                Part::Segments => before[length] || any_before && !in_segment,
            };
        }
    }
    reached[text.len()]
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let starts_segment = matches!(parts.last(), None | Some(Part::Exactly('/') | Part::Segments));
        let (part, length) = match first {
            '*' if starts_segment && rest.starts_with("**/") => (Part::Segments, 3),
            '*' if rest.starts_with("**") => (Part::Any, 2),
            '*' => (Part::Some, 1),
            '?' => (Part::One, 1),
            other => (Part::Exactly(other), other.len_utf8()),
        };
        parts.push(part);
        rest = &rest[length..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_pattern_matches_these_and_not_those() {
        let table: [(&str, &[&str], &[&str]); 14] = [
            ("", &[""], &["a"]),
            ("main", &["main"], &["main2", "mai", "a/main", ""]),
            ("*", &["", "a", ".hidden", "a.b"], &["a/b", "/"]),
            ("**", &["", "a", "a/b/c"], &[]),
            ("*.rs", &["a.rs", ".rs"], &["a.rsx", "src/a.rs"]),
            ("**/*.rs", &["a.rs", "src/a.rs", "a/b/c.rs"], &["a.rsx", "a.rs/b"]),
            ("src/**", &["src/a", "src/a/b"], &["src", "srcs/a", "a/src/b"]),
            ("src/**/test.rs", &["src/test.rs", "src/a/test.rs", "src/a/b/test.rs"], &["src/atest.rs", "test.rs"]),
            ("**/src/**", &["src/a", "x/src/a", "x/y/src/a/b"], &["xsrc/a", "x/srcs/a"]),
            ("release/v?.*", &["release/v1.2", "release/v1."], &["release/v12", "release/v/.2", "release/v10.2"]),
            ("a**z", &["az", "abz", "a/b/z"], &["a/b/zz/"]),
            ("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a/b"]),
            ("[ab]{c}\\*", &["[ab]{c}\\", "[ab]{c}\\x"], &["ac", "a", "[ab]{c}*"]),
            ("gr?ße/*", &["größe/ü"], &["grße/x", "größe"]),
        ];
        for (pattern, these, those) in table {
            for text in these {
                assert!(matches(pattern, text), "{pattern:?} has to match {text:?}");
            }
            for text in those {
                assert!(!matches(pattern, text), "{pattern:?} must not match {text:?}");
            }
        }
    }

    /// All texts of up to four of these characters.
    fn short_texts() -> Vec<String> {
        let mut texts = vec![String::new()];
        for start in 0.. {
            let Some(text) = texts.get(start).cloned().filter(|text| text.len() < 4) else { break };
            texts.extend(['a', 'b', '/'].map(|c| format!("{text}{c}")));
        }
        texts
    }

    #[test]
    fn a_text_without_wildcards_matches_itself_alone() {
        let texts = short_texts();
        assert_eq!(texts.len(), 1 + 3 + 9 + 27 + 81);
        for pattern in &texts {
            for text in &texts {
                assert_eq!(matches(pattern, text), pattern == text, "{pattern:?} and {text:?}");
            }
        }
    }

    #[test]
    fn a_text_matches_when_a_part_of_it_gives_way_to_a_wildcard() {
        for text in short_texts() {
            for from in 0..=text.len() {
                for to in from..=text.len() {
                    let (start, middle, end) = (&text[..from], &text[from..to], &text[to..]);
                    let within = !middle.contains('/');
                    let one = middle.len() == 1 && within;
                    assert_eq!(matches(&format!("{start}?{end}"), &text), one, "{text:?} {from} {to}");
                    assert!(!within || matches(&format!("{start}*{end}"), &text), "{text:?} {from} {to}");
                    // `**/` is for whole segments.
                    let whole = end.starts_with('/') && (start.is_empty() || start.ends_with('/'));
                    assert!(whole || matches(&format!("{start}**{end}"), &text), "{text:?} {from} {to}");
                }
            }
        }
    }

    #[test]
    fn many_wildcards_take_no_longer_than_few() {
        assert!(!matches(&"**a*".repeat(100), &"b/".repeat(2_000)));
    }
}
