//! JSON.

use crate::tree::{Entry, Fault, Kind, Node, Tree, each_once, may_begin};

/// Reads a file.
pub fn read(text: &str) -> Result<Tree, Fault> {
    let mut reader = Reader { text, at: 0 };
    let root = reader.value(0)?;
    reader.space();
    match reader.next() {
        None => Ok(root),
        Some(_) => Err(reader.fault("more follows here, and a script is one value")),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fault(&self, message: impl std::fmt::Display) -> Fault {
        Fault::new(self.at, format!("this is not JSON: {message}"))
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// Takes this character if it is the next.
    fn takes(&mut self, wanted: char) -> bool {
        self.space();
        let there = self.next() == Some(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    fn value(&mut self, depth: usize) -> Result<Tree, Fault> {
        self.space();
        let at = self.at;
        let kind = match self.next() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Kind::Text(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.fault("it ends here, and a value is missing")),
        };
        Node::new(at, kind)
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        may_begin(depth, self.at)?;
        let mut entries = Vec::new();
        self.takes('{');
        while !self.takes('}') {
            if !entries.is_empty() && !self.takes(',') {
                return Err(self.fault("a `,` or a `}` is missing"));
            }
            self.space();
            let at = self.at;
            if self.next() != Some('"') {
                return Err(self.fault("a key in quotes is missing"));
            }
            let key = self.string()?;
            if !self.takes(':') {
                return Err(self.fault("a `:` is missing"));
            }
            entries.push(Entry { key, at, value: self.value(depth + 1)? });
        }
        each_once(&entries)?;
        Ok(Kind::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Fault> {
        may_begin(depth, self.at)?;
        let mut items = Vec::new();
        self.takes('[');
        while !self.takes(']') {
            if !items.is_empty() && !self.takes(',') {
                return Err(self.fault("a `,` or a `]` is missing"));
            }
            items.push(self.value(depth + 1)?);
        }
        Ok(Kind::List(items))
    }

    /// A number, a truth value or `null`, as it stands there.
    fn word(&mut self) -> Result<Kind, Fault> {
        let end = self.rest().find(|char: char| !(char.is_ascii_alphanumeric() || "+-.".contains(char)));
        let word = &self.rest()[..end.unwrap_or(self.rest().len())];
        let kind = match word {
            "null" => Kind::Nothing,
            "true" | "false" => Kind::Text(word.to_owned()),
            _ if is_number(word) => Kind::Text(word.to_owned()),
            _ => return Err(self.fault("a value is missing; texts stand in quotes")),
        };
        self.at += word.len();
        Ok(kind)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let Some(char) = self.next() else { return Err(self.fault("it ends in the middle of a text")) };
            if char < ' ' {
                return Err(self.fault("a line ends in the middle of a text; write \\n"));
            }
            self.at += char.len_utf8();
            match char {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                char => text.push(char),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Fault> {
        let char = self.next();
        let plain = match char {
            Some(char @ ('"' | '\\' | '/')) => char,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let first = self.unit()?;
                let code = match first {
                    0xd800..=0xdbff if self.rest().starts_with("\\u") => {
                        self.at += 1;
                        let second = self.unit()?;
                        0x10000 + ((first - 0xd800) << 10) + (second.wrapping_sub(0xdc00) & 0x3ff)
                    }
                    code => code,
                };
                return char::from_u32(code).ok_or_else(|| self.fault("this is half a character"));
            }
            _ => return Err(self.fault("there is no such escape; a backslash is `\\\\`")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// The four digits behind `u`.
    fn unit(&mut self) -> Result<u32, Fault> {
        let digits = self.rest().get(1..5).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.fault("four hexadecimal digits are missing"))?;
        self.at += 5;
        Ok(code)
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let starts = digits.starts_with(|char: char| char.is_ascii_digit());
    let zero =
        digits.len() > 1 && digits.starts_with('0') && digits[1..].starts_with(|char: char| char.is_ascii_digit());
    starts && !zero && word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;
    use crate::tree::line_and_column;

    #[test]
    fn values_come_as_they_stand_there() {
        let text = r#"{"a": [1.10, -2e3, true, null], "b\n": "\u00e4\ud83d\ude00\/\"", "c": {}, "d": []}"#;
        assert_eq!(shown(&read(text).expect("JSON")), "{a:[1.10 -2e3 true -] b\n:ä😀/\" c:{} d:[]}");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, place, says) in [
            ("{\"a\": 1,\n \"b\": }", (2, 7), "a value is missing"),
            ("{\"a\": 1\n \"b\": 2}", (2, 2), "a `,` or a `}`"),
            ("{a: 1}", (1, 2), "a key in quotes"),
            ("[1, 2] 3", (1, 8), "more follows"),
            ("[01]", (1, 2), "a value is missing"),
            ("\"a\nb\"", (1, 3), "a line ends"),
            ("\"\\x\"", (1, 3), "no such escape"),
            ("\"\\ud800\"", (1, 8), "half a character"),
            ("{\"a\": 1, \"a\": 2}", (1, 10), "twice"),
            ("", (1, 1), "it ends here"),
            (&"[".repeat(80), (1, 65), "more than 64"),
        ] {
            let fault = read(text).expect_err(says);
            assert!(fault.message.contains(says), "{says}: {fault:?}");
            assert_eq!(line_and_column(text, fault.at), place, "{says}: {fault:?}");
        }
    }
}
