//! Quotes and escapes of shells and of programming languages.

use super::replaced;

pub(super) fn encodings(value: &[u8]) -> Vec<Vec<u8>> {
    let quote = |quote: u8, instead: &str| replaced(value, |byte| (byte == quote).then(|| instead.to_owned()));
    let before = |escape: char, chars: &[u8]| {
        replaced(value, |byte| chars.contains(&byte).then(|| format!("{escape}{}", char::from(byte))))
    };
    let mut patterns = vec![
        // Inside '…': `set -x` and printf's %q; Python's shlex.
        quote(b'\'', r"'\''"),
        quote(b'\'', r#"'"'"'"#),
        // Inside '…' of PowerShell, SQL, YAML and expressions, inside "…" of PowerShell, cmd and CSV.
        quote(b'\'', "''"),
        quote(b'"', "\"\""),
        // Command lines on Windows.
        quote(b'"', "\\\""),
        // Inside "…".
        before('\\', b"\\\"$`"),
        before('`', b"`\"$"),
        printf_q(value),
    ];
    // bash's $'…', repr and debug forms: with either quote around, and control characters in octal or in hexadecimal.
    for single in [true, false] {
        for octal in [true, false] {
            patterns.push(replaced(value, |byte| match byte {
                b'\\' => Some("\\\\".to_owned()),
                b'\'' if single => Some("\\'".to_owned()),
                b'"' if !single => Some("\\\"".to_owned()),
                b'\n' => Some("\\n".to_owned()),
                b'\r' => Some("\\r".to_owned()),
                b'\t' => Some("\\t".to_owned()),
                7 if octal => Some("\\a".to_owned()),
                8 if octal => Some("\\b".to_owned()),
                11 if octal => Some("\\v".to_owned()),
                12 if octal => Some("\\f".to_owned()),
                27 if octal => Some("\\E".to_owned()),
                0..32 | 127 if octal => Some(format!("\\{byte:03o}")),
                0..32 | 127 => Some(format!("\\x{byte:02x}")),
                _ => None,
            }));
        }
    }
    patterns
}

/// bash's `printf %q` of what has no control characters.
fn printf_q(value: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(value.len());
    let mut before = None;
    for &byte in value {
        let escape = match byte {
            b'#' => before.is_none(),
            // Where it would be a home directory.
            b'~' => matches!(before, None | Some(b'=' | b':')),
            _ => b" !\"$&'()*,;<>?[\\]^`{|}".contains(&byte),
        };
        if escape {
            quoted.push(b'\\');
        }
        quoted.push(byte);
        before = Some(byte);
    }
    quoted
}
