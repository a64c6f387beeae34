//! Masking: the chunks in which a stream comes change nothing, but for what is unseen between two masks.

use monkeyci_mask::{MASK, Masks};

/// Secrets, a line each up to an empty one; then what is masked.
pub fn masking(bytes: &[u8]) -> bool {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (secrets, text) = bytes.split_at(end);
    let secrets = secrets.split(|byte| *byte == b'\n').take(4).map(|secret| ("name", &secret[..secret.len().min(200)]));
    let Ok(masks) = Masks::new(secrets) else { return false };
    let text = &text[..text.len().min(4096)];
    let whole = seen_between_masks(&masks.mask_bytes(text));
    for size in [1, 3, 64] {
        let (mut stream, mut out) = (masks.stream(), Vec::new());
        for chunk in text.chunks(size) {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(seen_between_masks(&out), whole, "masked in chunks of {size}");
    }
    *masks.mask_bytes(text) != *text
}

/// The pieces of a text between its masks, but for those that are not seen.
fn seen_between_masks(text: &[u8]) -> Vec<String> {
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    let is_seen = |piece: &&str| !piece.starts_with('\x1b') && piece.chars().any(|c| (' '..'\x7f').contains(&c));
    text.split(MASK).filter(is_seen).map(str::to_owned).collect()
}
