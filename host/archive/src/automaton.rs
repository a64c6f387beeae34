//! Patterns of strangers, as one automaton whose size and memory are bounded.

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::syntax;

/// The most memory that the states of one automaton may take: thousands of patterns fit, and no script needs more.
pub(crate) const STATES: usize = 2 * 1024 * 1024;
/// The most bytes of expressions: before they become states, they take some hundred times as much.
pub(crate) const TEXT: usize = 512 * 1024;
/// The most memory that may be spent, for each thread, on remembering which states an automaton can be in at a time. It is faster
/// with, and right without.
pub(crate) const REMEMBERED: usize = 256 * 1024;

/// Why patterns make no automaton.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TooMuch {
    #[error("they are too long together")]
    Text,
    #[error(transparent)]
    States(#[from] Box<BuildError>),
}

/// An automaton that matches whatever one of the patterns matches, which are regular expressions over bytes.
///
/// It is one expression, and not a set of them. For a set each state keeps places for what each of the patterns has found: 500
/// patterns of 66 bytes took more than a gigabyte. Nobody wants to know here which of them matched, or where.
pub(crate) fn any_of(patterns: impl IntoIterator<Item: AsRef<str>>) -> Result<Regex, TooMuch> {
    let mut one = String::new();
    for pattern in patterns {
        one.extend([if one.is_empty() { "(?:" } else { "|(?:" }, pattern.as_ref(), ")"]);
        if one.len() > TEXT {
            return Err(TooMuch::Text);
        }
    }
    if one.is_empty() {
        // No pattern at all matches nothing, and not the empty text.
        one.push_str("[a&&b]");
    }
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(STATES))
        .which_captures(WhichCaptures::None)
        .hybrid_cache_capacity(REMEMBERED)
        // Engines that would take memory in proportion to the square of something.
        .onepass(false)
        .dfa(false)
        .backtrack(false);
    // Names of files are bytes.
    let syntax = syntax::Config::new().utf8(false).dot_matches_new_line(true);
    Regex::builder().configure(config).syntax(syntax).build(&one).map_err(|error| TooMuch::States(Box::new(error)))
}
