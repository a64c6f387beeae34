//! The secrets of a build, ready to be searched for.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::automaton::State;
use crate::search::Searcher;
use crate::shown::{Shown, all_seen, seen};
use crate::stream::MaskStream;
use crate::values::{is_maskable, patterns};

/// The most bytes of patterns. Those of a token are 1 KB, those of a private key 170 KB, and the search takes up to
/// twenty times the memory: without a limit, hostile secrets could take it all.
pub(crate) const MAX_PATTERN_BYTES: usize = 16 << 20;

/// Why there can be no [`Masks`].
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// The secrets are too long, or too many.
    #[error("the secrets are too large to be masked: their encodings take {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// The bytes of what would be searched for.
        bytes: usize,
        /// The most that is allowed.
        max: usize,
    },
}

/// The secrets of a build, and everything they may look like. A clone is cheap and shares it all.
///
/// Its `Debug` shows how many secrets there are, and nothing of them.
///
/// ```
/// # use monkeyci_mask::{MaskError, Masks};
/// # fn main() -> Result<(), MaskError> {
/// let masks = Masks::new([("token", "tok-12345678")])?;
/// // `curl --user x:tok-12345678 --verbose`
/// assert_eq!(masks.mask("Authorization: Basic eDp0b2stMTIzNDU2Nzg="), "Authorization: Basic eDp***");
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Masks(Arc<Inner>);

#[derive(Default)]
struct Inner {
    secrets: Vec<(String, Vec<u8>)>,
    unmaskable: Vec<String>,
    searcher: Option<Searcher>,
}

impl Masks {
    /// No secrets: everything passes as it is.
    ///
    /// ```
    /// # use monkeyci_mask::Masks;
    /// assert_eq!(Masks::none().mask("anything"), "anything");
    /// ```
    pub fn none() -> Self {
        Self::default()
    }

    /// Masks secrets, given with their names.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("a", "correct horse"), ("b", "battery staple")])?;
    /// assert_eq!(masks.mask("correct horse, battery staple"), "***, ***");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`MaskError::TooLarge`] when all encodings of all secrets are more than 16 MiB.
    pub fn new<N, V>(secrets: impl IntoIterator<Item = (N, V)>) -> Result<Self, MaskError>
    where
        N: Into<String>,
        V: Into<Vec<u8>>,
    {
        Self::build(secrets.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// These masks and one more secret, for one that is revealed while the build runs. Costs as much as
    /// [`new`](Self::new). Streams under way take it on with [`MaskStream::set_masks`].
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("a", "correct horse")])?.with("b", "battery staple")?;
    /// assert_eq!(masks.mask("correct horse, battery staple"), "***, ***");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with(&self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Result<Self, MaskError> {
        let mut secrets = self.0.secrets.clone();
        secrets.push((name.into(), value.into()));
        Self::build(secrets)
    }

    fn build(secrets: Vec<(String, Vec<u8>)>) -> Result<Self, MaskError> {
        let unmaskable =
            secrets.iter().filter(|(_, value)| !is_maskable(value)).map(|(name, _)| name.clone()).collect();
        let mut all = BTreeSet::new();
        let mut bytes = 0;
        for (_, value) in &secrets {
            // Its encodings are longer still, so this refuses a hostile secret before it has taken the memory.
            let least = value.trim_ascii().len() * 8;
            if bytes + least > MAX_PATTERN_BYTES {
                return Err(MaskError::TooLarge { bytes: bytes + least, max: MAX_PATTERN_BYTES });
            }
            for pattern in patterns(value) {
                bytes += pattern.len();
                all.insert(pattern);
            }
            if bytes > MAX_PATTERN_BYTES {
                return Err(MaskError::TooLarge { bytes, max: MAX_PATTERN_BYTES });
            }
        }
        let searcher = (!all.is_empty()).then(|| Searcher::new(&all));
        Ok(Self(Arc::new(Inner { secrets, unmaskable, searcher })))
    }

    /// Whether there is nothing to mask.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// assert!(Masks::none().is_empty());
    /// assert!(Masks::new([("blank", "   ")])?.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn is_empty(&self) -> bool {
        self.0.searcher.is_none()
    }

    /// The names of the secrets that are not masked, since they are below 4 bytes without the blanks around them, or
    /// nothing but asterisks.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("pin", "123"), ("key", "1234"), ("empty", "")])?;
    /// assert_eq!(masks.unmaskable(), ["pin", "empty"]);
    /// # Ok(()) }
    /// ```
    pub fn unmaskable(&self) -> &[String] {
        &self.0.unmaskable
    }

    /// A text that is there as a whole, masked. Should a secret that is not UTF-8 cut a character in two, what is left
    /// of it becomes U+FFFD.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("key", "pass\"word")])?;
    /// assert_eq!(masks.mask(r#"{"key": "pass\"word"}"#), r#"{"key": "***"}"#);
    /// # Ok(()) }
    /// ```
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.mask_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(
                String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        }
    }

    /// Bytes that are there as a whole, masked.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("key", b"\xff\xfe\xfd\xfc")])?;
    /// assert_eq!(*masks.mask_bytes(b"\0\xff\xfe\xfd\xfc\0"), *b"\0***\0");
    /// # Ok(()) }
    /// ```
    pub fn mask_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(searcher) = self.searcher() else { return Cow::Borrowed(bytes) };
        let mut spans = Vec::new();
        searcher.scan(State::START, bytes, 0, &mut spans);
        if !all_seen(bytes) {
            let mut shown = Shown::default();
            shown.scan(searcher, bytes);
            spans = shown.cover(&spans);
        }
        if spans.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for span in spans {
            masked.extend_from_slice(&bytes[done..span.start]);
            masked.extend_from_slice(crate::MASK.as_bytes());
            done = span.end;
        }
        masked.extend_from_slice(&bytes[done..]);
        Cow::Owned(masked)
    }

    /// The name of a secret that appears in a text; none when none does.
    ///
    /// ```
    /// # use monkeyci_mask::{MaskError, Masks};
    /// # fn main() -> Result<(), MaskError> {
    /// let masks = Masks::new([("user", "correct horse"), ("key", "battery staple")])?;
    /// assert_eq!(masks.find("key=battery%20staple"), Some("key"));
    /// assert_eq!(masks.find("key=battery"), None);
    /// # Ok(()) }
    /// ```
    pub fn find(&self, text: &str) -> Option<&str> {
        let Cow::Owned(_) = self.mask_bytes(text.as_bytes()) else { return None };
        // The search itself does not know whose patterns it has: this is rare, and may take its time.
        let seen = seen(text.as_bytes()).0;
        let mut names = self.0.secrets.iter().filter(|(_, value)| {
            let stands_in =
                |text: &[u8], pattern: &Vec<u8>| text.windows(pattern.len()).any(|window| window == pattern);
            patterns(value).iter().any(|pattern| stands_in(text.as_bytes(), pattern) || stands_in(&seen, pattern))
        });
        names.next().map(|(name, _)| name.as_str())
    }

    /// Begins to mask a stream. See [`MaskStream`].
    ///
    /// ```
    /// # use monkeyci_mask::Masks;
    /// let mut stream = Masks::none().stream();
    /// let mut out = Vec::new();
    /// stream.push(b"anything", &mut out);
    /// assert_eq!(out, b"anything");
    /// ```
    pub fn stream(&self) -> MaskStream {
        MaskStream::new(self.clone())
    }

    pub(crate) fn searcher(&self) -> Option<&Searcher> {
        self.0.searcher.as_ref()
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masks").field("secrets", &self.0.secrets.len()).finish_non_exhaustive()
    }
}
