//! Masks secrets in streams of bytes: wherever a secret would appear, `***` appears.
//!
//! Output of jobs and scripts is hostile or careless: it may contain a secret as it is, or base64-encoded inside an
//! HTTP header, or escaped inside JSON. [`Masks`] holds the secrets of one build; [`MaskStream`] masks one stream with
//! them, whatever the borders of its chunks.
//!
//! ```
//! use monkeyci_mask::Masks;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let masks = Masks::new([("deploy-key", "s3cr3t!value"), ("pin", "12")])?;
//! assert_eq!(masks.unmaskable(), ["pin"]);
//! assert_eq!(masks.mask("key=s3cr3t!value&url=s3cr3t%21value"), "key=***&url=***");
//!
//! let mut stream = masks.stream();
//! let mut out = Vec::new();
//! stream.push(b"the key is s3cr", &mut out);
//! assert_eq!(out, b"the key is ");
//! stream.push(b"3t!value\n", &mut out);
//! stream.finish(&mut out);
//! assert_eq!(out, b"the key is ***\n");
//! # Ok(()) }
//! ```
//!
//! # What is masked
//!
//! Every secret without the blanks around it, and
//! - its lines, when it has several: each of at least 8 bytes, without the blanks around it, but not the
//!   `-----BEGIN …-----` of a key, which is no secret and in many a log; and the whole with LF as CRLF and the reverse;
//! - what is between the quotes, when it is in quotes; and the parts before and after an `&` that PowerShell prints
//!   apart.
//!
//! Each of these in the encodings
//! - base64, standard and URL-safe, with padding and without, at all three alignments inside longer data, and as lines
//!   of 64 and 76 characters;
//! - hexadecimal, in lower and in upper case;
//! - percent-encoding, of URI components, of whole URIs and of forms;
//! - JSON strings as the usual libraries write them, and such a string inside a JSON string;
//! - XML and HTML; POSIX shells, bash's `$'…'` and `printf %q`, PowerShell; doubled quotes (expressions, SQL, YAML,
//!   CSV); `repr` and debug forms.
//!
//! And each of these also where it is only seen: with escape sequences, control characters, every second byte of UTF-16, or
//! characters without width between its letters. `grep --color` writes so, and whoever shows a log takes those out.
//!
//! Matches that overlap or touch become one `***`.
//!
//! # What is not
//!
//! - A secret below 4 bytes: to mask it would shred the output. [`Masks::unmaskable`] names it, so that the host can
//!   warn.
//! - What an attacker makes of a secret on purpose: reversed, compressed, encoded twice. Masking is a net under
//!   mistakes; keeping secrets from those who may not have them is the business of secret handles.
//! - What a terminal makes of text that is written over: letters that backspaces, carriage returns or cursor movements replace. And
//!   a secret with more than 64 KiB of unseen bytes in it.
//! - In base64 inside longer data, the character at either end that the secret shares with its neighbour: at most 4
//!   bits at each end. And longer base64 in lines, where the secret is not at the beginning and a line ends inside it.
//! - The values inside a secret that is itself a document, such as the key in a cloud's JSON credentials, once a
//!   program has parsed it: they should be secrets of their own.
//! - What only looks like a secret since another one was masked: with the secrets `a***b` and `swordfish`, the output
//!   `aswordfishb` becomes `a***b`, and stays so.
//! - Nothing wipes the memory of a [`Masks`] when it is dropped.
#![deny(missing_docs)]

mod automaton;
mod budget;
mod encode;
mod filter;
mod masks;
#[cfg(test)]
mod properties;
mod search;
mod shown;
mod stream;
mod values;

pub use budget::limits;
pub use masks::{MaskError, Masks};
pub use stream::MaskStream;

/// What a secret is replaced with.
pub const MASK: &str = "***";
