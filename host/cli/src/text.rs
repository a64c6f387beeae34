//! Text for people: colours, durations, and what strangers wrote.

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime};

use monkeyci_build::{BuildStatus, Status, nearest};

/// Whether to use colours on this stream: a terminal, unless NO_COLOR says no (<https://no-color.org>).
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The time of day, in milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time of day as people read it.
pub fn utc(ms: u64) -> String {
    // What no calendar has is none of ours.
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// How long ago something was, roughly.
pub fn ago(now_ms: u64, then_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "min"),
        3600..86_400 => (seconds / 3600, "h"),
        86_400..172_800 => return "1 day ago".to_owned(),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit} ago")
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/:=@,+-%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A job's status, with its colour.
pub fn status(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Success => ("32", "success"),
        Status::Warning => ("33", "warning"),
        Status::Failure => ("31", "failure"),
        Status::Error => ("31", "error"),
        Status::Skipped => ("33", "skipped"),
        Status::Cancelled => ("33", "cancelled"),
        Status::Blocked => ("33", "blocked"),
        Status::Running => ("36", "running"),
        Status::Queued => ("36", "queued"),
        Status::Pending => ("36", "pending"),
    }
}

/// How a build ended, in words that come after its name, with their colour.
pub fn build_status(status: BuildStatus) -> (&'static str, &'static str) {
    match status {
        BuildStatus::Success => ("32", "succeeded"),
        BuildStatus::Failure => ("31", "failed"),
        BuildStatus::BadScript => ("31", "failed: the script is broken"),
        BuildStatus::Refused => ("31", "was refused: what was asked of it can't be run,"),
        BuildStatus::Error => ("31", "failed for a reason that is not its own"),
        BuildStatus::Cancelled => ("33", "was cancelled"),
        BuildStatus::TimedOut => ("31", "failed: it reached its time limit"),
    }
}

/// A size as people read it.
pub fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let found = units.into_iter().find(|(unit, _)| bytes >= *unit);
    found.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{:.1} {name}", bytes as f64 / unit as f64))
}

/// A duration as people read it.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Whether a character of a stranger's text only stands there: it moves no cursor, begins no line, and turns no text round.
pub fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !(c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// A stranger's line as it may be shown: no control characters, and of the escape sequences only colours, which can
/// neither move the cursor nor change the terminal. Without `colours` those go too.
pub fn harmless(line: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    let mut coloured = false;
    while let Some(c) = rest.chars().next() {
        if let Some((sequence, is_colour)) = escape(rest) {
            if is_colour && colours {
                shown.push_str(sequence);
                coloured = true;
            }
            rest = &rest[sequence.len()..];
            continue;
        }
        if c == '\t' || is_plain(c) {
            shown.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    if coloured {
        shown.push_str("\x1b[0m");
    }
    shown
}

/// The escape sequence that `text` starts with, and whether it is a colour (ECMA-48, SGR).
fn escape(text: &str) -> Option<(&str, bool)> {
    let after = text.strip_prefix('\x1b')?;
    let Some(parameters) = after.strip_prefix('[') else {
        // OSC and its like run to BEL or ST; anything else is two characters long.
        let end = match after.chars().next() {
            Some(']' | 'P' | '_' | '^' | 'X') => {
                let bell = after.find('\x07').map(|at| at + 1);
                let st = after.find("\x1b\\").map(|at| at + 2);
                bell.into_iter().chain(st).min().unwrap_or(after.len())
            }
            other => other.map_or(0, char::len_utf8),
        };
        return Some((&text[..1 + end], false));
    };
    let last = parameters.find(|c: char| ('@'..='~').contains(&c));
    let end = last.map_or(parameters.len(), |at| at + 1);
    let colour = last.is_some_and(|at| {
        parameters.as_bytes()[at] == b'm'
            && parameters[..at].chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':')
    });
    Some((&text[..2 + end], colour))
}

/// Text of several lines, of which a stranger wrote some, as it may be shown: see [`harmless`].
pub fn harmless_lines(text: &str) -> String {
    text.lines().map(|line| harmless(line, false)).collect::<Vec<_>>().join("\n")
}

/// "; did you mean …?", for the end of a message about a name that does not exist; nothing where none is near.
pub fn did_you_mean<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, names).map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

/// Prints a line on stdout. A reader that has gone (`| head`) is no reason to stop, let alone to panic.
pub fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints lines on stdout, as [`print_line`] does.
pub fn print_text(text: &str) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// An error with its causes, each said once: many errors repeat their cause in their own words.
pub fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        said if said.contains(&cause) => said.to_owned(),
        said => format!("{said}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_shell_would_take_for_something_else_is_quoted() {
        assert_eq!(quoted("unit/1:exit=2"), "unit/1:exit=2");
        assert_eq!(quoted("*:exit=2"), "'*:exit=2'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_cause_that_was_named_already_is_not_named_again() {
        let error = anyhow::anyhow!("disk full").context("can't write: disk full").context("no journal");
        assert_eq!(causes(&error), "no journal: can't write: disk full");
    }

    #[test]
    fn colours_stay_and_everything_else_that_moves_a_terminal_goes() {
        let line = "\x1b[31mred\x1b[0m \x1b[2Jcleared\x1b]0;title\x07 \x1bcreset\x08\x7f tab\there";
        assert_eq!(harmless(line, true), "\x1b[31mred\x1b[0m cleared reset tab\there\x1b[0m");
        assert_eq!(harmless(line, false), "red cleared reset tab\there");
    }

    #[test]
    fn what_turns_text_round_or_begins_a_line_goes_and_what_joins_letters_stays() {
        let turning: String =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\u{85}".to_owned();
        assert_eq!(harmless(&format!("a{turning}b\u{200d}c"), true), "ab\u{200d}c");
    }

    #[test]
    fn an_unfinished_escape_sequence_is_harmless() {
        for line in ["\x1b", "\x1b[", "\x1b[31", "\x1b]0;title", "\x1b\u{e9}"] {
            assert!(!harmless(line, true).contains('\x1b'), "{line:?}");
        }
    }

    #[test]
    fn durations_are_as_long_as_they_need_to_be() {
        assert_eq!([duration(7), duration(1500), duration(61_000)], ["7 ms", "1.5 s", "1 min 1 s"]);
        assert_eq!(duration(3_600_000 * 30 + 61_000), "30 h 1 min");
    }

    #[test]
    fn times_and_sizes_are_told_as_roughly_as_people_want_them() {
        let then = |seconds: u64| ago(1_000_000_000, 1_000_000_000 - seconds * 1000);
        assert_eq!([then(59), then(60), then(7200), then(100_000)], ["just now", "1 min ago", "2 h ago", "1 day ago"]);
        assert_eq!(ago(0, 5), "just now", "a clock that was set back");
        assert_eq!(utc(1_000_000_000_000), "2001-09-09T01:46:40Z");
        assert_eq!(utc(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!([size(7), size(2048), size(3 << 20)], ["7 bytes", "2.0 KiB", "3.0 MiB"]);
    }
}
