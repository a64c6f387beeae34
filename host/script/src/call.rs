//! A call as a tape has it, and as it stands in the journal.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use monkeyci_build::{ToldAnswer, ToldCall};

/// Answers of more bytes than this are asked for again: 16 KiB.
pub(crate) const WHOLE_ANSWER: usize = 16 << 10;
/// So many bytes of a request are on the tape; of a longer one its digest too.
pub(crate) const WHOLE_REQUEST: usize = 240;

/// One call whose answer could differ from one time to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The function and its arguments, as text.
    pub(crate) request: String,
    pub(crate) reply: Reply,
}

/// The answer to a call: its value as bytes, or the HTTP status and message of an error.
pub(crate) type Answer = Result<Vec<u8>, (u16, String)>;

/// How much of an answer is on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// All of it: it can't be had again, and what it is made of has no secrets.
    Whole,
    /// All of it, unless it is large, or has a secret in it.
    Small,
    /// Its digest: it is a secret.
    Digest,
}

/// What a tape has of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// All of it.
    Whole(Answer),
    /// That it can be had again, and what it is then.
    Again { bytes: u64, digest: String, secret: bool },
}

impl Call {
    /// As it stands in the journal.
    pub(crate) fn told(&self) -> ToldCall {
        let answer = match &self.reply {
            Reply::Whole(Ok(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => ToldAnswer::Text(text.to_owned()),
                Err(_) => ToldAnswer::Base64(BASE64_STANDARD.encode(bytes)),
            },
            Reply::Whole(Err((status, message))) => ToldAnswer::Refused { status: *status, message: message.clone() },
            Reply::Again { bytes, digest, secret } => {
                ToldAnswer::Again { bytes: *bytes, digest: digest.clone(), secret: *secret }
            }
        };
        ToldCall { request: self.request.clone(), answer }
    }

    /// Those of a journal.
    ///
    /// # Errors
    /// Says what in them is not of the right form.
    pub(crate) fn read_all(told: &[ToldCall]) -> Result<Vec<Self>, String> {
        let call = |(number, ToldCall { request, answer }): (usize, &ToldCall)| {
            let reply = match answer {
                ToldAnswer::Text(text) => Reply::Whole(Ok(text.as_bytes().to_vec())),
                ToldAnswer::Base64(text) => match BASE64_STANDARD.decode(text) {
                    Ok(bytes) => Reply::Whole(Ok(bytes)),
                    Err(error) => return Err(format!("the answer to call {}: {error}", number + 1)),
                },
                ToldAnswer::Refused { status, message } => Reply::Whole(Err((*status, message.clone()))),
                ToldAnswer::Again { bytes, digest, secret } => {
                    Reply::Again { bytes: *bytes, digest: digest.clone(), secret: *secret }
                }
            };
            Ok(Self { request: request.clone(), reply })
        };
        told.iter().enumerate().map(call).collect()
    }

    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        let reply = match &self.reply {
            Reply::Whole(Ok(bytes)) => bytes.len(),
            Reply::Whole(Err((_, message))) => message.len(),
            Reply::Again { digest, .. } => digest.len(),
        };
        size_of::<Self>() + self.request.len() + reply
    }
}
