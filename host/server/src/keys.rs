//! Values at rest. Each is sealed with a data key of its own, and that with the master key: so whoever has the database alone has none of them,
//! and another master key means that the data keys are sealed anew, and nothing else.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use monkeyci_api::Hidden;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use crate::tokens::hex;

/// How many bytes a key has.
const KEY: usize = 32;
/// The largest file that is looked at for a key.
const KEY_FILE: u64 = 4 << 10;

/// The key that the keys of all values are sealed with: 32 random bytes, in base64 where it is a text. `openssl rand -base64 32` draws one.
#[derive(Clone)]
pub struct MasterKey {
    key: Hidden<[u8; KEY]>,
    /// Where it is from, in words.
    from: String,
}

// Its name tells nothing of it.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("name", &self.name()).field("from", &self.from).finish_non_exhaustive()
    }
}

/// Why something is no master key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Its file can't be read.
    #[error("the master key {} can't be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can read its file.
    #[error("the master key {} can be read by others (its mode is {mode:03o}): chmod 600 it, and draw a new one if somebody has", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no key.
    #[error("{from} is no master key: that is 32 random bytes in base64, as `openssl rand -base64 32` prints")]
    NoKey {
        /// Where it is from.
        from: String,
    },
}

/// Something that was sealed can't be opened: it was sealed with another key, or changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it can't be opened: it was sealed with another key, or has been changed")]
pub(crate) struct NotOpened;

/// A value as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The value's own key, sealed with the master key.
    pub(crate) data_key: Vec<u8>,
    /// The value, sealed with that.
    pub(crate) value: Vec<u8>,
}

impl MasterKey {
    /// A key from a text; `from` says where that is from, for messages.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, from: impl Into<String>) -> Result<Self, KeyError> {
        let from = from.into();
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(key) => Ok(Self { key: Hidden(key), from }),
            None => Err(KeyError::NoKey { from }),
        }
    }

    /// The key in a file that nobody else can read.
    ///
    /// # Errors
    /// When it can't be read, others can read it, or it is no key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(KEY_FILE).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text, format!("the file {}", path.display()))
    }

    /// Draws one.
    pub(crate) fn draw(from: impl Into<String>) -> Self {
        Self { key: Hidden(rand::random()), from: from.into() }
    }

    /// As it stands in a file.
    pub(crate) fn text(&self) -> Hidden<String> {
        Hidden(format!("{}\n", STANDARD.encode(self.key.0)))
    }

    /// By which the database knows with which key it is sealed.
    pub(crate) fn name(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"the name of a master key of monkeyci-host\0");
        digest.update(self.key.0);
        hex(&digest.finalize()[..6])
    }

    /// Where it is from, in words.
    pub(crate) fn from(&self) -> &str {
        &self.from
    }

    /// Seals a value. It opens for whoever says the same of it (whose it is, and what for), so that nobody puts it in the place of another one.
    pub(crate) fn seal(&self, about: &str, value: &[u8]) -> Result<Sealed, NotOpened> {
        let data_key: [u8; KEY] = rand::random();
        Ok(Sealed {
            data_key: shut(&self.key.0, ("key", about), &data_key)?,
            value: shut(&data_key, ("value", about), value)?,
        })
    }

    /// Opens a value that was sealed.
    pub(crate) fn open(&self, about: &str, sealed: &Sealed) -> Result<Vec<u8>, NotOpened> {
        let data_key = self.data_key(about, &sealed.data_key)?;
        opened(&data_key, ("value", about), &sealed.value)
    }

    /// Seals the key of a value with another master key.
    pub(crate) fn reseal(&self, about: &str, data_key: &[u8], with: &Self) -> Result<Vec<u8>, NotOpened> {
        shut(&with.key.0, ("key", about), &self.data_key(about, data_key)?)
    }

    fn data_key(&self, about: &str, sealed: &[u8]) -> Result<[u8; KEY], NotOpened> {
        opened(&self.key.0, ("key", about), sealed)?.try_into().map_err(|_| NotOpened)
    }
}

/// A nonce, the sealed bytes, and their tag. Nonces are drawn: a data key seals one value, and the master key as many keys as there are values,
/// which is far from where two of 96 bits are the same.
fn shut(key: &[u8; KEY], about: (&str, &str), value: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut sealed = value.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(about), &mut sealed)
        .map_err(|_| NotOpened)?;
    Ok([&nonce[..], &sealed].concat())
}

fn opened(key: &[u8; KEY], about: (&str, &str), sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(NotOpened)?;
    let mut rest = rest.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let value = cipher(key)?.open_in_place(nonce, aad(about), &mut rest).map_err(|_| NotOpened)?;
    Ok(value.to_vec())
}

fn cipher(key: &[u8; KEY]) -> Result<LessSafeKey, NotOpened> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| NotOpened)
}

fn aad((what, about): (&str, &str)) -> Aad<Vec<u8>> {
    Aad::from([what.as_bytes(), about.as_bytes()].join(&0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_value_opens_with_its_key_for_what_it_was_sealed_for_and_with_no_bit_changed() {
        let (key, other) = (MasterKey::draw("a"), MasterKey::draw("b"));
        let sealed = key.seal("[\"secret\",\"a\"]", b"hunter2").expect("sealed");
        assert_eq!(key.open("[\"secret\",\"a\"]", &sealed).as_deref(), Ok(&b"hunter2"[..]));
        assert_eq!(key.open("[\"secret\",\"b\"]", &sealed), Err(NotOpened));
        assert_eq!(other.open("[\"secret\",\"a\"]", &sealed), Err(NotOpened));
        // What is the same is not seen to be the same.
        let again = key.seal("[\"secret\",\"a\"]", b"hunter2").expect("sealed");
        assert!(again.value != sealed.value && again.data_key != sealed.data_key);
        assert_eq!(key.open("[\"secret\",\"a\"]", &Sealed { value: again.value, ..sealed.clone() }), Err(NotOpened));
        for part in 0..2 {
            let length = if part == 0 { sealed.data_key.len() } else { sealed.value.len() };
            for at in 0..length {
                let mut wrong = sealed.clone();
                let bytes = if part == 0 { &mut wrong.data_key } else { &mut wrong.value };
                bytes[at] ^= 1;
                assert_eq!(key.open("[\"secret\",\"a\"]", &wrong), Err(NotOpened), "{part} {at}");
                let bytes = if part == 0 { &mut wrong.data_key } else { &mut wrong.value };
                bytes.truncate(at);
                assert_eq!(key.open("[\"secret\",\"a\"]", &wrong), Err(NotOpened), "{part} cut at {at}");
            }
        }
    }

    #[test]
    fn a_value_whose_key_was_sealed_anew_opens_with_the_new_master_key_alone() {
        let (old, new) = (MasterKey::draw("a"), MasterKey::draw("b"));
        let sealed = old.seal("x", b"hunter2").expect("sealed");
        let data_key = old.reseal("x", &sealed.data_key, &new).expect("resealed");
        assert_eq!(new.reseal("x", &sealed.data_key, &old), Err(NotOpened));
        let sealed = Sealed { data_key, ..sealed };
        assert_eq!((new.open("x", &sealed).as_deref(), old.open("x", &sealed)), (Ok(&b"hunter2"[..]), Err(NotOpened)));
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_in_a_file_that_nobody_else_can_read_and_shows_nothing_of_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let key = MasterKey::draw("a");
        fs::write(&path, &key.text().0).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert!(matches!(MasterKey::read(&path), Err(KeyError::Open { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        assert_eq!(MasterKey::read(&path).expect("a key").name(), key.name());
        let shown = format!("{key:?} {:?}", key.text());
        assert!(!shown.contains(key.text().0.trim()) && shown.contains(&key.name()), "{shown}");
        for wrong in ["", "hunter2", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            let error = MasterKey::parse(wrong, "the variable K").expect_err("no key").to_string();
            assert!(error.starts_with("the variable K is no master key") && !error.contains("hunter2"), "{error}");
        }
        assert!(matches!(MasterKey::read(&dir.path().join("none")), Err(KeyError::File { .. })));
    }
}
