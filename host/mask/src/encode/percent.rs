//! Percent-encoding: in URIs and in forms.

use super::replaced;

/// What is left as it is, besides letters and digits.
const UNRESERVED: [&[u8]; 6] = [
    // RFC 3986: .NET's EscapeDataString, most others.
    b"-._~",
    // JavaScript's encodeURIComponent.
    b"-._~!'()*",
    // Python's quote, and paths in general.
    b"-._~/",
    // JavaScript's encodeURI.
    b"-._~!'()*;/?:@&=+$,#",
    // Forms: HTML's and Java's; PHP's.
    b"-._*",
    b"-._",
];

pub(super) fn encodings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut patterns = Vec::new();
    for unreserved in UNRESERVED {
        for upper in [true, false] {
            for space in ["%20", "+"] {
                patterns.push(replaced(value, |byte| match byte {
                    b' ' => Some(space.to_owned()),
                    _ if byte.is_ascii_alphanumeric() || unreserved.contains(&byte) => None,
                    _ if upper => Some(format!("%{byte:02X}")),
                    _ => Some(format!("%{byte:02x}")),
                }));
            }
        }
    }
    patterns
}
