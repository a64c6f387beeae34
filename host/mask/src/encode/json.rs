//! JSON strings, as the usual libraries write them.

use super::replaced;

#[derive(Clone, Copy)]
struct Style {
    /// Characters that are written as `\u…` though they need not be: Go does so for HTML's, .NET for some more.
    cautious: &'static [u8],
    /// `\/`, as PHP writes it.
    solidus: bool,
    /// Nothing but ASCII, as Python and PHP write it.
    ascii: bool,
    /// `\u00AB` instead of `\u00ab`.
    upper: bool,
}

const PLAIN: Style = Style { cautious: b"", solidus: false, ascii: false, upper: false };

pub(super) fn encodings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut patterns = Vec::new();
    for cautious in [b"".as_slice(), b"<>&", b"<>&'\"+`"] {
        for bits in 0..8 {
            let style = Style { cautious, solidus: bits & 1 != 0, ascii: bits & 2 != 0, upper: bits & 4 != 0 };
            patterns.push(string(value, style));
        }
    }
    // A log in JSON of a message in JSON.
    patterns.push(string(&string(value, PLAIN), PLAIN));
    patterns
}

fn string(value: &[u8], style: Style) -> Vec<u8> {
    let unicode = |unit: u16| if style.upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    let ascii = |byte: u8| match byte {
        _ if style.cautious.contains(&byte) => Some(unicode(byte.into())),
        b'"' => Some("\\\"".to_owned()),
        b'\\' => Some("\\\\".to_owned()),
        b'/' if style.solidus => Some("\\/".to_owned()),
        b'\n' => Some("\\n".to_owned()),
        b'\r' => Some("\\r".to_owned()),
        b'\t' => Some("\\t".to_owned()),
        8 => Some("\\b".to_owned()),
        12 => Some("\\f".to_owned()),
        0..32 => Some(unicode(byte.into())),
        _ => None,
    };
    match std::str::from_utf8(value) {
        Ok(text) if style.ascii => {
            let mut string = Vec::with_capacity(value.len());
            for char in text.chars() {
                match u8::try_from(char) {
                    Ok(byte) if byte.is_ascii() => string.extend(replaced(&[byte], ascii)),
                    _ => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| string.extend(unicode(*unit).bytes())),
                }
            }
            string
        }
        _ => replaced(value, ascii),
    }
}
