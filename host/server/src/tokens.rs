//! API tokens: `mci_ID_SECRET`. The database has the digest of the secret, so that whoever reads it can't call anybody.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "mci_";

/// A token that was just made.
pub(crate) struct NewToken {
    /// By which it is found, and called when it is to be removed.
    pub(crate) id: String,
    pub(crate) digest: [u8; 32],
    /// All of it, for whoever is to have it: nobody is told again.
    pub(crate) text: String,
}

impl NewToken {
    /// Draws one.
    pub(crate) fn draw() -> Self {
        let id = hex(&rand::random::<[u8; 6]>());
        let secret = drawn();
        Self { digest: digest(&secret), text: format!("{PREFIX}{id}_{secret}"), id }
    }
}

/// A token as it comes: its id, and the digest of its secret.
pub(crate) fn parse(text: &str) -> Option<(&str, [u8; 32])> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let fits = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && secret.len() <= 128;
    fits.then(|| (id, digest(secret)))
}

/// Whether two digests are the same, in a time that tells nothing of where they differ.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// 256 random bits.
pub(crate) fn drawn() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_and_no_other_text_is() {
        let made = NewToken::draw();
        assert_ne!(NewToken::draw().text, made.text);
        let (id, found) = parse(&made.text).expect("a token");
        assert!(id == made.id && same(&found, &made.digest));
        let mut other = made.text.clone();
        other.push('x');
        assert!(!same(&parse(&other).expect("the form of one").1, &made.digest));
        for wrong in ["", "mci_", "mci_abc", "mci_zzzzzzzzzzzz_x", "mch_000000000000_x", &made.text[1..]] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
