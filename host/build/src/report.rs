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
    /// Whether the job's command has run, by what this says. Who reports may have said so to a host that died before it was written down.
    pub fn tells_that_the_command_ran(&self) -> bool {
        match self {
            Self::LauncherGone { during } => during.is_none(),
            Self::Ended(ending) => matches!(
                ending,
                Ending::Succeeded
                    | Ending::Warned { .. }
                    | Ending::Exited { .. }
                    | Ending::Signalled { .. }
                    | Ending::OutOfMemory { .. }
                    | Ending::DiskFull { code: Some(_), .. }
                    | Ending::ArtifactMissing { .. }
            ),
        }
    }

    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words).
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        match self {
            Self::Ended(ending) => ending.words(see),
            Self::LauncherGone { during } => during.iter_mut().for_each(|during| see(Words::Text(during))),
        }
    }
}
