//! What a build needs to be gone on with by another process than the one that began it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::{Breaks, Confined, Event, EventBody, Given, Select};

/// What a build was asked to be.
///
/// No secret is in it. Digests of secrets are keyed, with a key that the host keeps elsewhere: who has the journal alone can't try
/// values out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The SHA-256 of the script's bytes, in hexadecimal.
    pub script: String,
    /// The code.
    pub source: RequestedSource,
    /// The parameters that no secret stands in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// The digests of the parameters that a secret stands in: those are given again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_params: BTreeMap<String, String>,
    /// The digests of the secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// The secrets that the script's actions may read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reveal: BTreeSet<String>,
    /// How many jobs may run at a time.
    pub max_running: NonZeroUsize,
    /// How long the build may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether its containers and files are left for a person to look at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// Whether the containers of jobs that fail are left for a person to look into.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_failed: bool,
    /// Where its jobs stop for a person to look into them.
    #[serde(default, skip_serializing_if = "Breaks::is_empty")]
    pub breaks: Breaks,
    /// Which of its jobs are to run; all if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// What is said of its code.
    #[serde(default, skip_serializing_if = "Given::is_empty")]
    pub given: Given,
    /// What it has not that others have.
    #[serde(default, skip_serializing_if = "Confined::is_empty")]
    pub confined: Confined,
    /// Whether the journal has what actions are told, so that another process can go on with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_actions: bool,
    /// Whether the journal has all that an action was told that came to its end, and not only what something followed from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_ends: bool,
    /// A name of the key that digests are keyed with; `None` if there is none, since there are no secrets. It tells nothing of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
}

impl Requested {
    /// What the events of a build say that it was asked to be; `None` if an older host has not written it down.
    pub fn of(events: &[Event]) -> Option<&Self> {
        events.iter().find_map(|event| match &event.body {
            EventBody::BuildRequested { request } => Some(request.as_ref()),
            _ => None,
        })
    }
}

/// Where the code was to come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RequestedSource {
    /// A directory of the host's machine.
    Dir {
        /// Its path.
        path: String,
    },
    /// A git repository.
    Git {
        /// Its URL, without a login.
        url: String,
        /// The branch, tag, ref or commit; the main branch if `None`.
        reference: Option<String>,
    },
}

/// What `define` was told when it ran first: another instance that is told the same declares the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The time of day that it saw, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its calls, in their order.
    pub calls: Vec<ToldCall>,
    /// The secret that stands in an answer, so that the calls are not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
    /// The SHA-256 of the workspace's archive, if it was packed for container jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

/// A call whose answer could differ from one time to the next, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldCall {
    /// The function and its arguments; of long ones the beginning and a digest, of those with a secret in them the digest only.
    pub request: String,
    /// What it was answered.
    pub answer: ToldAnswer,
}

/// The answer to a call. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToldAnswer {
    /// A text.
    Text(String),
    /// Bytes that are no text, in base64.
    Base64(String),
    /// It is had again by the same call: a large one, or one with a secret in it.
    Again {
        /// How many bytes it has.
        bytes: u64,
        /// Their digest, keyed as those of secrets.
        digest: String,
        /// Whether a secret stands in it, or it is one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        secret: bool,
    },
    /// An error.
    Refused {
        /// The HTTP status; 0 if there was no answer.
        status: u16,
        /// What was wrong.
        message: String,
    },
}

impl ToldCall {
    /// About how many bytes it takes in the journal.
    pub fn size(&self) -> usize {
        let answer = match &self.answer {
            ToldAnswer::Text(text) | ToldAnswer::Base64(text) => text.len(),
            ToldAnswer::Again { bytes: _, digest, secret: _ } => digest.len(),
            ToldAnswer::Refused { status: _, message } => message.len(),
        };
        64 + self.request.len() + answer
    }
}
