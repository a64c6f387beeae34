//! XML and HTML.

use super::replaced;

pub(super) fn encodings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut patterns = Vec::new();
    // Quotes need no escape in text, nor does `>`; where they have one, each library has its own.
    for double in ["\"", "&quot;", "&#34;"] {
        for single in ["'", "&apos;", "&#39;", "&#x27;"] {
            for greater in [">", "&gt;"] {
                patterns.push(replaced(value, |byte| match byte {
                    b'&' => Some("&amp;".to_owned()),
                    b'<' => Some("&lt;".to_owned()),
                    b'>' => Some(greater.to_owned()),
                    b'"' => Some(double.to_owned()),
                    b'\'' => Some(single.to_owned()),
                    _ => None,
                }));
            }
        }
    }
    patterns
}
