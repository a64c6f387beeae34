//! Files with names and values: parameters, or secrets.
//!
//! A value is the text that stands in the file: `1.10` stays `1.10`, and `010` stays `010` where the format has it. What can't
//! be kept so is refused. Errors tell a position and a reason, and never the text that stands there: it may be a secret.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::value::RawValue;

type Values = BTreeMap<String, String>;

/// Reads a file in the format that the end of its name says, or with lines `NAME=VALUE`.
pub(super) fn read(path: &Path) -> anyhow::Result<Values> {
    let bytes = std::fs::read(path)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = position(&String::from_utf8_lossy(error.as_bytes()), error.utf8_error().valid_up_to());
        anyhow!("{at}: it is not UTF-8 there")
    })?;
    // Some editors put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => json(text),
        Some("yaml" | "yml") => yaml(text),
        Some("toml") => toml(text),
        _ => lines(text),
    }
}

fn json(text: &str) -> anyhow::Result<Values> {
    let read: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_str(text);
    let values = read.map_err(|error| {
        let reason = match error.classify() {
            serde_json::error::Category::Eof => "it ends in the middle of the JSON",
            serde_json::error::Category::Data => "the JSON has to be one object, with names and values",
            _ => "this is not JSON; a text stands between double quotes",
        };
        anyhow!("line {}, column {}: {reason}", error.line(), error.column())
    })?;
    values
        .into_iter()
        .map(|(name, value)| {
            let written = value.get();
            let value = match written.as_bytes().first() {
                // The parser has read it once, so it is right.
                Some(b'"') => serde_json::from_str(written).ok(),
                Some(b'{' | b'[') => None,
                _ => Some(written.to_owned()).filter(|written| written != "null"),
            };
            value.map(|value| (name.clone(), value)).with_context(|| no_value(&name))
        })
        .collect()
}

fn yaml(text: &str) -> anyhow::Result<Values> {
    serde_saphyr::from_str(text).map_err(|error| {
        let reason = match error.without_snippet() {
            serde_saphyr::Error::NullIntoString { .. } => "there is no value; write \"\" for an empty text",
            _ => {
                "this is not YAML with names and values; a value is one text, and stands between quotes when it has a \
                 special character in front, or a colon or a # in it"
            }
        };
        match error.location() {
            Some(at) => anyhow!("line {}, column {}: {reason}", at.line(), at.column()),
            None => anyhow!("{reason}"),
        }
    })
}

fn toml(text: &str) -> anyhow::Result<Values> {
    let read: Result<BTreeMap<String, toml::Spanned<toml::Value>>, _> = toml::from_str(text);
    let values = read.map_err(|error| {
        let reason =
            "this is not TOML; a text stands between quotes, and a number has no 0 in front and at most 64 bits";
        match error.span() {
            Some(span) => anyhow!("{}: {reason}", position(text, span.start)),
            None => anyhow!("{reason}"),
        }
    })?;
    values
        .into_iter()
        .map(|(name, value)| {
            let value = match value.get_ref() {
                toml::Value::String(value) => Some(value.clone()),
                toml::Value::Array(_) | toml::Value::Table(_) => None,
                _ => text.get(value.span()).map(|written| written.trim().to_owned()),
            };
            value.map(|value| (name.clone(), value)).with_context(|| no_value(&name))
        })
        .collect()
}

fn no_value(name: &str) -> String {
    format!("the value of {name:?} is neither text nor a number nor a truth value")
}

/// Where a byte of a text is.
fn position(text: &str, at: usize) -> String {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[begin..]).chars().count() + 1;
    format!("line {line}, column {column}")
}

fn lines(text: &str) -> anyhow::Result<Values> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| pair(number, line))
        .collect()
}

/// A line `NAME=VALUE`. Quotes round the whole value are taken off; nothing in it is replaced.
fn pair(number: usize, line: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = match line.strip_prefix("export ").unwrap_or(line).split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => (name.trim(), value.trim()),
        _ => bail!("line {number} is not of the form NAME=VALUE"),
    };
    let unquoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Ok((name.to_owned(), unquoted.unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<Vec<String>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(name);
        std::fs::write(&path, content)?;
        Ok(read(&path)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn a_value_is_the_text_that_was_written() -> anyhow::Result<()> {
        let yaml = "a: 1.10\nb: 010\nc: 81111e1\nd: 00123456\ne: 2026-01-02\nf: yes\ng: True\nh: 99999999999999999999999\n\
                    i: 0x1F\nj: 'null'\nk: 1_000\nl: ''\n";
        let all = ["a=1.10", "b=010", "c=81111e1", "d=00123456", "e=2026-01-02", "f=yes", "g=True"];
        let more = ["h=99999999999999999999999", "i=0x1F", "j=null", "k=1_000", "l="];
        assert_eq!(from("p.yaml", yaml)?, [&all[..], &more].concat());
        let json = r#"{"a": 1.10, "c": 81111e1, "d": "00123456", "g": true, "h": 99999999999999999999999, "i": 1E+2, "j": "x\"y"}"#;
        let all = ["a=1.10", "c=81111e1", "d=00123456", "g=true", "h=99999999999999999999999", "i=1E+2", "j=x\"y"];
        assert_eq!(from("p.json", json)?, all);
        let toml = "a = 1.10\nc = 81111e1\nd = '00123456'\ne = 2026-01-02\nf = 07:32:00\ng = true\ni = 0x1F # a comment\nk = 1_000\n";
        let all = ["a=1.10", "c=81111e1", "d=00123456", "e=2026-01-02", "f=07:32:00", "g=true", "i=0x1F", "k=1_000"];
        assert_eq!(from("p.toml", toml)?, all);
        Ok(())
    }

    #[test]
    fn what_is_no_text_is_refused_with_the_reason() {
        for (name, content, says) in [
            ("p.yaml", "a: 1\nb:\n", "line 2, column 2: there is no value"),
            ("p.yaml", "a: [1, 2]\n", "line 1, column 4"),
            ("p.json", "{\"a\": null}", "the value of \"a\" is neither"),
            ("p.json", "{\"a\": 010}", "line 1, column"),
            ("p.json", "[1]", "has to be one object"),
            ("p.toml", "x = 1\na = 010\n", "line 2, column"),
            ("p.toml", "a = 99999999999999999999999\n", "at most 64 bits"),
            ("p.toml", "a.b = 1\n", "the value of \"a\" is neither"),
        ] {
            let error = from(name, content).expect_err(content).to_string();
            assert!(error.contains(says), "{content:?}: {error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() -> anyhow::Result<()> {
        for (name, content) in [
            ("p.env", "A=1\r\nB=2\r\n"),
            ("p.yaml", "A: 1\nB: 2\n"),
            ("p.json", "{\"A\":1,\"B\":2}"),
            ("p.toml", "A=1\nB=2"),
        ] {
            assert_eq!(from(name, format!("\u{feff}{content}"))?, ["A=1", "B=2"], "{name}");
        }
        Ok(())
    }

    #[test]
    fn an_error_tells_where_and_never_what_stands_there() {
        for (name, content, line) in [
            ("s.yaml", "user: me\npass: @sup3rs3cret\n", 2),
            ("s.yaml", "db-password = sup3rs3cret\n", 1),
            ("s.yaml", "a: 1\nb: [sup3rs3cret\n", 2),
            ("s.yaml", "a: *sup3rs3cret\n", 1),
            ("s.yaml", "a: !sup3rs3cret x\nb: sup3rs3cret: y\n", 2),
            ("s.yaml", "sup3rs3cret: 1\nsup3rs3cret: 2\n", 2),
            ("s.json", "{\"a\": \"x\",\n \"b\": sup3rs3cret}", 2),
            ("s.json", "\"sup3rs3cret\"", 1),
            ("s.json", "{\"b\": \"sup3rs3cret", 1),
            ("s.toml", "a = 1\nb = sup3rs3cret\n", 2),
            ("s.toml", "b = [ \"sup3rs3cret\"", 1),
            ("s.toml", "sup3rs3cret = 1\nsup3rs3cret = 2\n", 2),
            ("s.env", "a=1\nsup3rs3cret\n", 2),
            ("s.env", "a=1\n: sup3rs3cret\n", 2),
        ] {
            let error = from(name, content).expect_err(content);
            for said in [format!("{error}"), format!("{error:#}"), format!("{error:?}")] {
                assert!(!said.contains("sup3rs3cret") && !said.contains('@'), "{content:?}: {said}");
                assert!(said.contains(&format!("line {line}")), "{content:?}: {said}");
            }
        }
        let mut latin = b"a=1\nb=sup3rs3cret".to_vec();
        latin.push(0xe9);
        let error = format!("{:?}", from("s.env", latin).expect_err("no UTF-8"));
        assert!(error.contains("line 2, column 14") && !error.contains("sup3rs3cret"), "{error}");
    }
}
