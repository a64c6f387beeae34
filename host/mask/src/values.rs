//! What of a secret is masked: the whole, and the parts that appear alone.

use std::collections::BTreeSet;

use crate::encode;

/// Below this, a secret appears in any text by chance, and to mask it would tell more than it hides. Since every
/// encoding is at least as long, it is the length of the shortest pattern too.
pub(crate) const MIN_SECRET: usize = 4;
/// A secret's line is longer: `{` or `true` or `data:` may well be a line of a secret document.
const MIN_LINE: usize = 8;
/// As GitHub's runner has it.
const MIN_POWERSHELL_PART: usize = 6;

/// Whether the secret is one that can be masked.
pub(crate) fn is_maskable(secret: &[u8]) -> bool {
    let secret = secret.trim_ascii();
    // One of asterisks alone looks masked already, and masked would appear as itself.
    secret.len() >= MIN_SECRET && secret.iter().any(|&byte| byte != b'*')
}

/// Everything that a secret may look like; nothing if it can't be masked.
pub(crate) fn patterns(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut patterns = BTreeSet::new();
    if !is_maskable(secret) {
        return patterns;
    }
    // Blanks around a secret, such as the newline at the end of its file, get lost on the way to a log.
    let whole = secret.trim_ascii();
    let mut values = vec![whole];
    values.extend(unquoted(whole));
    values.extend(powershell_parts(whole));
    if whole.contains(&b'\n') {
        values.extend(lines(whole));
        let lf: Vec<u8> = whole
            .iter()
            .enumerate()
            .filter(|(i, b)| **b != b'\r' || whole.get(i + 1) != Some(&b'\n'))
            .map(|(_, b)| *b)
            .collect();
        let crlf = encode::replaced(&lf, |byte| (byte == b'\n').then(|| "\r\n".to_owned()));
        encode::text(&lf, &mut patterns);
        encode::text(&crlf, &mut patterns);
    }
    for value in values {
        encode::text(value, &mut patterns);
        encode::binary(value, &mut patterns);
    }
    patterns.retain(|pattern| pattern.len() >= MIN_SECRET);
    patterns
}

fn lines(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| line.len() >= MIN_LINE && is_maskable(line) && !is_armour(line))
}

/// The first and last line of a PEM file.
fn is_armour(line: &[u8]) -> bool {
    line.starts_with(b"-----") && line.ends_with(b"-----")
}

/// A shell or an env file may take the quotes away.
fn unquoted(whole: &[u8]) -> Option<&[u8]> {
    let quote = *whole.first()?;
    let inside = whole.strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    (matches!(quote, b'"' | b'\'') && is_maskable(inside)).then(|| inside.trim_ascii())
}

/// When a command with a secret fails, PowerShell's message colours the place of the error, so that the secret appears
/// in two parts: up to the last `&` and after it, or with `&+` up to the first such and from the second character
/// after.
fn powershell_parts(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = match whole.windows(2).position(|two| two == b"&+") {
        Some(at) => Some((at + 2, at + 3)),
        None => whole.iter().rposition(|byte| *byte == b'&').map(|at| (at + 1, at + 1)),
    };
    let parts = parts.map(|(first, second)| [whole.get(..first), whole.get(second..)]);
    parts
        .into_iter()
        .flatten()
        .flatten()
        .map(<[u8]>::trim_ascii)
        .filter(|part| part.len() >= MIN_POWERSHELL_PART && is_maskable(part))
}
