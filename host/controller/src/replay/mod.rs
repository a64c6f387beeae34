//! Replaying a build: its script runs once more, in real instances that are told what the journal says they were told. Nothing is done, no
//! container is started and nobody is asked; what the script does is compared with what it did.
//!
//! [`RecordedBuild`] is what a journal has of a script, [`replay`] runs this script or another one against it, and [`Replay`] says where they
//! part. Each instance is told its own calls in their order, so that those of different jobs need no order among them.

mod answers;
mod differing;
mod recorded;
mod running;
pub(crate) mod values;

use std::collections::BTreeMap;

use monkeyci_api::Hidden;
use monkeyci_script::LoadError;
use serde::Serialize;

pub use differing::{Class, Difference};
pub use recorded::RecordedBuild;
pub use running::replay;

/// How a build is replayed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// Replay the instances of this job only; of all if `None`. `define` is replayed always: each instance begins with it.
    pub job: Option<String>,
    /// Go no further than the call of this number.
    pub until: Option<u64>,
    /// Secrets whose values the script has read: no recording has them.
    pub secrets: BTreeMap<String, Hidden<Vec<u8>>>,
}

impl ReplayOptions {
    /// All of it, without secrets.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// The build.
    pub build: String,
    /// The SHA-256 of the script that was replayed, in hexadecimal.
    pub script: String,
    /// Whether it is the one that the build had.
    pub same_script: bool,
    /// The instances, in the order in which they began: `define` first.
    pub instances: Vec<ReplayedInstance>,
    /// How many calls were made as they were recorded.
    pub same: u64,
    /// How many are recorded.
    pub recorded: u64,
    /// How many of the calls were compared without the digests in them: they are keyed, and the key stays in its home.
    pub unkeyed: u64,
    /// How much the differences matter.
    pub class: Class,
    /// Of all calls that were made as they were recorded, and how instances ended: the same wherever the same is replayed.
    pub digest: String,
}

/// An instance of the script that was replayed.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedInstance {
    /// The job that it worked for; `None` for `define`.
    pub job: Option<String>,
    /// `define`, `refine` or `act`.
    pub function: &'static str,
    /// The attempt of the job, from 1; 0 for `define`.
    pub attempt: u32,
    /// The calls that were made as they were recorded.
    pub calls: Vec<ReplayedCall>,
    /// How many are recorded.
    pub recorded: u64,
    /// Where it does something else than it did.
    pub differences: Vec<Difference>,
    /// Why it went no further; `None` if it came to its end, or parted from what was recorded.
    pub stopped: Option<Stopped>,
}

/// A call of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedCall {
    /// Its number, over all of the replay, from 1.
    pub call: u64,
    /// The function and its arguments, as they are recorded.
    pub request: String,
    /// The answer, in short.
    pub answer: String,
}

/// Why an instance went no further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
#[non_exhaustive]
pub enum Stopped {
    /// It reads the value of a secret, which was not given.
    Secret {
        /// The number of the call.
        call: u64,
        /// The secret.
        secret: String,
    },
    /// It was told something large, or with a secret in it, which is not recorded.
    Answer {
        /// The number of the call.
        call: u64,
        /// The call.
        request: String,
        /// How many bytes it was told.
        bytes: u64,
    },
    /// No more is recorded: it was stopped then, or its host died, or the host of the time kept no more.
    EndOfRecording,
    /// That was asked for.
    Until,
    /// Its job is not declared any more.
    NoJob,
}

impl Replay {
    /// All differences, in their order.
    pub fn differences(&self) -> impl Iterator<Item = &Difference> {
        self.instances.iter().flat_map(|instance| &instance.differences)
    }

    /// The first instance that goes another way.
    pub fn divergence(&self) -> Option<&Difference> {
        self.differences().find(|difference| difference.class == Class::Divergent)
    }

    /// The instances that lack something to go on: a secret, or an answer.
    pub fn lacking(&self) -> impl Iterator<Item = (&ReplayedInstance, &Stopped)> {
        let lacks = |stopped: &&Stopped| matches!(stopped, Stopped::Secret { .. } | Stopped::Answer { .. });
        self.instances.iter().filter_map(move |one| Some((one, one.stopped.as_ref().filter(lacks)?)))
    }
}

/// Why a build is not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Its journal does not say enough.
    #[error("the build {build} can't be replayed: {reason}")]
    NotEnough {
        /// The build.
        build: String,
        /// What is missing.
        reason: String,
    },
    /// It has no such job, or none that runs in the script.
    #[error("the build {build} has no attempt of an action {job:?} to replay; {}", those(actions))]
    NoJob {
        /// The build.
        build: String,
        /// What was asked for.
        job: String,
        /// The jobs that can be replayed.
        actions: Vec<String>,
    },
    /// What was recorded is not of the right form.
    #[error("the recording of {build} can't be read: {reason}")]
    Unreadable {
        /// The build.
        build: String,
        /// What is wrong.
        reason: String,
    },
    /// The script can't be loaded.
    #[error(transparent)]
    Script(#[from] LoadError),
}

fn those(jobs: &[String]) -> String {
    if jobs.is_empty() { "it has none at all".to_owned() } else { format!("it has {}", jobs.join(", ")) }
}
