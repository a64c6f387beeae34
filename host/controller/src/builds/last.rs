//! The last builds of a repository, the newest first.

use std::collections::{HashSet, VecDeque};

use monkeyci_build::BuildStatus;
use monkeyci_storage::journal::Sought;

use super::{Builds, BuildsError, outlines};
use crate::error::ControllerError;

/// So many builds are looked at, at once: whoever asks for the last ones wants few.
const PAGE: usize = 100;

/// The builds of a repository that are over, whatever came of them, but for those that could not begin: one after the other, the newest
/// first. No more of the home is read than is asked for.
#[derive(Debug)]
pub(crate) struct LastBuilds {
    builds: Builds,
    /// With what the ids of its builds begin.
    repository: String,
    skip: usize,
    is_read: bool,
    found: VecDeque<String>,
    seen: HashSet<String>,
}

impl LastBuilds {
    /// Those of a repository: its organisation and its name.
    pub(crate) fn of(builds: Builds, (org, repo): (String, String)) -> Self {
        Self {
            builds,
            repository: format!("{org}/{repo}/"),
            skip: 0,
            is_read: false,
            found: VecDeque::new(),
            seen: HashSet::new(),
        }
    }

    /// The next one; `None` when there is no other.
    ///
    /// # Errors
    /// When the journal can't be read. A build whose records can't be is passed over.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, BuildsError> {
        while self.found.is_empty() && !self.is_read {
            let page = outlines(&*self.builds.journal, &Sought::default(), self.skip, PAGE)
                .await
                .map_err(ControllerError::from)?;
            self.is_read = page.len() < PAGE;
            self.skip += page.len();
            for outline in page.into_iter().flatten() {
                let began = match outline.status {
                    None | Some(BuildStatus::BadScript | BuildStatus::Refused) => false,
                    Some(
                        BuildStatus::Success
                        | BuildStatus::Failure
                        | BuildStatus::Error
                        | BuildStatus::TimedOut
                        | BuildStatus::Cancelled,
                    ) => true,
                };
                // Builds that have begun meanwhile move the others down: one may come twice.
                if began && outline.build.starts_with(&self.repository) && self.seen.insert(outline.build.clone()) {
                    self.found.push_back(outline.build);
                }
            }
        }
        Ok(self.found.pop_front())
    }
}
