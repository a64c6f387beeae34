//! The encodings of a value.

mod base64;
mod json;
mod percent;
mod shell;
mod xml;

use std::collections::BTreeSet;

/// The value as it is, and as it appears inside other texts. Most values have nothing to escape, and most of these
/// encodings are then equal.
pub(crate) fn text(value: &[u8], patterns: &mut BTreeSet<Vec<u8>>) {
    patterns.insert(value.to_vec());
    patterns.extend(percent::encodings(value));
    patterns.extend(json::encodings(value));
    patterns.extend(xml::encodings(value));
    patterns.extend(shell::encodings(value));
}

/// The encodings that make text of any bytes.
pub(crate) fn binary(value: &[u8], patterns: &mut BTreeSet<Vec<u8>>) {
    patterns.extend(base64::encodings(value));
    patterns.insert(hex(value, b"0123456789abcdef"));
    patterns.insert(hex(value, b"0123456789ABCDEF"));
}

fn hex(value: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    value.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect()
}

/// The value with some of its bytes replaced.
pub(crate) fn replaced(value: &[u8], with: impl Fn(u8) -> Option<String>) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for &byte in value {
        match with(byte) {
            Some(instead) => text.extend_from_slice(instead.as_bytes()),
            None => text.push(byte),
        }
    }
    text
}
