//! What a container job's sidecar says at its end.

use serde::{Deserialize, Serialize};

use crate::Ending;
use crate::words::Words;

/// What a sidecar reports at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SidecarReport {
    /// The job ended so.
    Ended(Ending),
    /// The launcher went away without a word: its container was killed. The engine knows how.
    LauncherGone {
        /// What was being prepared for the job then; none when its command ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
}

impl SidecarReport {
    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words).
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        match self {
            Self::Ended(ending) => ending.words(see),
            Self::LauncherGone { during } => during.iter_mut().for_each(|during| see(Words::Text(during))),
        }
    }
}
