//! The file in which a container job exposes outputs: lines `name=value`.
//!
//! A value of several lines stands between `name<<WORD` and a line with that word, and keeps the line ends that it has inside.
//! Lines may end in CR LF, and the file may begin with a byte order mark, as programs from Windows write it. Lines that are empty or start with `#`
//! don't count. Names that start with `monkeyci.` are not outputs, but say something of the job itself: `monkeyci.message`,
//! `monkeyci.warning`, `monkeyci.coverage` (percent), and `monkeyci.link.TITLE` (an address).

use monkeyci_build::{Results, is_link, is_output_name};

/// The longest value, in bytes.
pub(crate) const VALUE: usize = 64 << 10;
/// The most outputs and links of one job.
pub(crate) const COUNT: usize = 1000;

/// Reads the file.
///
/// # Errors
/// Says which line is wrong; then nothing of the file counts.
pub(crate) fn parse(file: &[u8]) -> Result<Results, String> {
    let text = std::str::from_utf8(file).map_err(|error| format!("the outputs are not UTF-8: {error}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut said = Results::default();
    let mut lines = text.split_terminator('\n').enumerate();
    while let Some((index, whole)) = lines.next() {
        let number = index + 1;
        let line = without_cr(whole);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match (line.split_once("<<"), line.split_once('=')) {
            // `a=b<<c` is a plain line.
            (Some((name, word)), plain)
                if !word.is_empty() && plain.is_none_or(|(before, _)| before.len() > name.len()) =>
            {
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if without_cr(line) == word => break,
                        Some((_, line)) => value.push(line),
                        None => return Err(format!("line {number}: the value has no end: no line is {word:?}")),
                    }
                }
                // Where the first line ends in CR LF, the last one does, and its end is none of the value's.
                if let Some(last) = value.last_mut().filter(|_| line.len() < whole.len()) {
                    *last = without_cr(last);
                }
                (name, value.join("\n"))
            }
            (_, Some((name, value))) => (name, value.to_owned()),
            _ => return Err(format!("line {number} is not of the form name=value")),
        };
        take(&mut said, name, value).map_err(|wrong| format!("line {number}: {wrong}"))?;
    }
    Ok(said)
}

fn without_cr(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

fn take(results: &mut Results, name: &str, value: String) -> Result<(), String> {
    if value.len() > VALUE {
        return Err(format!("the value has {} bytes, and at most {VALUE} are allowed", value.len()));
    }
    match name.strip_prefix("monkeyci.") {
        Some("message") => results.message = Some(value),
        Some("warning") => results.warning = Some(value),
        Some("coverage") => {
            let percent = value.trim().trim_end_matches('%').parse().ok();
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            results.coverage = Some(percent.ok_or_else(|| format!("{value:?} is no percentage"))?);
        }
        Some(other) => match other.strip_prefix("link.") {
            Some(title) if is_link(&value) && results.links.len() < COUNT => {
                results.links.push((title.to_owned(), value));
            }
            Some(_) => return Err(format!("{value:?} is no address of the web, or there are too many links")),
            None => return Err(format!("\"monkeyci.{other}\" means nothing")),
        },
        None if !is_output_name(name) => {
            return Err(format!("{name:?} is no name of an output: use 1 to 128 of a-z A-Z 0-9 . _ -"));
        }
        None if results.outputs.len() >= COUNT => return Err(format!("a job has at most {COUNT} outputs")),
        None => drop(results.outputs.insert(name.to_owned(), value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_blocks_and_words_about_the_job_are_understood() {
        let file = b"# a comment\n\nversion=1.2=3\nnotes<<END\none\n\ntwo = 2\nEND\nshift=a<<b\n\
            monkeyci.coverage=87.5%\nmonkeyci.warning=look\nmonkeyci.link.Docs=https://example.org/x\n";
        let Results { outputs, links, coverage, warning, .. } = parse(file).expect("it is right");
        let outputs: Vec<_> = outputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(outputs, [("notes", "one\n\ntwo = 2"), ("shift", "a<<b"), ("version", "1.2=3")]);
        assert_eq!((coverage, warning.as_deref()), (Some(87.5), Some("look")));
        assert_eq!(links, [("Docs".to_owned(), "https://example.org/x".to_owned())]);
    }

    #[test]
    fn line_ends_inside_of_a_value_stay_as_they_are() {
        for (file, value) in [
            ("x<<END\none\r\ntwo\nEND\n", "one\r\ntwo"),
            ("x<<END\none\r\ntwo\r\nEND\n", "one\r\ntwo\r"),
            ("x<<END\r\none\r\n\r\ntwo\r\nEND\r\n", "one\r\n\r\ntwo"),
            ("x<<END\r\nEND\r\n", ""),
            ("x=one\r\n", "one"),
            ("x=one", "one"),
        ] {
            let said = parse(file.as_bytes()).expect(file);
            assert_eq!(said.outputs["x"], value, "{file:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        let said = parse(b"\xef\xbb\xbfx=1\ny=2\n").expect("it is right");
        assert_eq!(said.outputs.keys().collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (file, says) in [
            ("a=1\nnonsense", "line 2"),
            ("a b=1", "no name of an output"),
            ("x<<END\nnever", "has no end"),
            ("monkeyci.coverage=101", "no percentage"),
            ("monkeyci.link.x=javascript:alert(1)", "no address"),
            ("monkeyci.colour=red", "means nothing"),
        ] {
            let wrong = parse(file.as_bytes()).expect_err(file);
            assert!(wrong.contains(says), "{file:?}: {wrong}");
        }
        assert!(parse(b"a=\xff").is_err());
    }
}
