//! Base64, alone and inside longer data.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// What OpenSSL and PEM, and what `base64` and MIME break their lines at.
const LINES: [usize; 2] = [64, 76];
/// A line that is shorter is only looked for after the one before.
const MIN_LINE: usize = 8;

pub(super) fn encodings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut patterns = Vec::new();
    for engine in [&STANDARD, &URL_SAFE] {
        for before in 0..3 {
            let mut data = vec![0; before];
            data.extend_from_slice(value);
            let text = engine.encode(&data).into_bytes();
            // Characters of 6 bits: those with bits of the data before or after are not the value's alone.
            let (start, end) = ((before * 8).div_ceil(6), data.len() * 8 / 6);
            patterns.push(text[start..end].to_vec());
            // At the end of the data the rest of the last character is zero. So it is when a newline follows.
            patterns.push(text[start..(data.len() * 8).div_ceil(6)].to_vec());
            patterns.push(text[start..].to_vec());
        }
    }
    let text = STANDARD.encode(value).into_bytes();
    for length in LINES {
        patterns.extend(lines(&text, length));
    }
    patterns
}

fn lines(text: &[u8], length: usize) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.chunks(length).map(<[u8]>::to_vec).collect();
    if lines.len() > 1
        && let Some(short) = lines.pop_if(|line| line.len() < MIN_LINE)
        && let Some(last) = lines.last().cloned()
    {
        lines.push([&last, b"\n".as_slice(), &short].concat());
        lines.push([&last, b"\r\n".as_slice(), &short].concat());
    }
    lines
}
