//! The builds of a home, for whoever reads: running or ended, in whatever process. Nothing of it is changed, and none is made.

mod artifacts;
mod error;
mod last;
mod list;
mod record;
mod reports;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use monkeyci_build::{BuildState, Event, EventBody};
use monkeyci_storage::journal::{History, Journal, Page, Sought, SqliteJournal, history, outlines, read_event};

pub use artifacts::ArtifactBytes;
pub use error::BuildsError;
pub(crate) use last::LastBuilds;
pub use list::{FailedJob, Listed, Standing, Wanted};
pub use record::{ArtifactRecord, AttemptRecord, BuildRecord, JobRecord, RemovedJob};
pub use reports::{FlakyTest, TestCase, TestReports, Tests};

use crate::error::ControllerError;
use crate::home::Home;
use crate::naming::{Named, in_words, named};

/// The newest build, by this name.
const LATEST: &str = "latest";

/// The builds of a home.
#[derive(Clone, Debug)]
pub struct Builds {
    home: Home,
    journal: Arc<dyn Journal>,
}

impl Builds {
    /// Opens the journal of a home.
    ///
    /// # Errors
    /// When there is no such home, it is somebody else's, or its journal can't be used.
    pub async fn open(home: &Path) -> Result<Self, BuildsError> {
        let none = || BuildsError::NoHome { home: home.to_owned() };
        let home = Home::existing(home)?.ok_or_else(none)?;
        let journal = home.journal();
        if !journal.exists() {
            return Err(none());
        }
        let journal = SqliteJournal::open(&journal).await.map_err(ControllerError::from)?;
        Ok(Self::of(home, Arc::new(journal)))
    }

    /// Of a home whose journal is open.
    pub(crate) fn of(home: Home, journal: Arc<dyn Journal>) -> Self {
        Self { home, journal }
    }

    /// The home's directory.
    pub fn home(&self) -> &Path {
        self.home.root()
    }

    /// The id of the build that is called so: `latest`, the newest one; a whole id `org/repo/build`; its last part; or the beginning or the
    /// end of either, if no other build has that.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn find(&self, name: &str) -> Result<String, BuildsError> {
        let begun = self.just_begun().await?;
        if name == LATEST {
            let live = self.live()?;
            if let Some(newest) = begun.iter().rfind(|build| live.contains(*build)) {
                return Ok(newest.clone());
            }
            let newest = self.journal.outlines(&Sought::default(), 0, 1).await.map_err(ControllerError::from)?.pop();
            let none = || BuildsError::NoBuilds { home: self.home().to_owned() };
            return newest.map(|(build, _)| build).ok_or_else(none);
        }
        // Nothing is more exact than a whole id.
        if self.journal.head(name).await.map_err(ControllerError::from)?.is_some() {
            return Ok(name.to_owned());
        }
        let all = self.journal.builds_with(name).await.map_err(ControllerError::from)?;
        // One that had just begun may be in the journal by now.
        let all: BTreeSet<&str> = all.iter().chain(&begun).map(String::as_str).collect();
        match named(name, all.iter().copied()) {
            Named::One(build) => Ok(build),
            Named::Several(found) => Err(BuildsError::Ambiguous { build: name.to_owned(), found }),
            Named::None => Err(BuildsError::NoBuild { build: name.to_owned(), home: self.home().to_owned() }),
        }
    }

    /// The id of the build that is called so, as [`Self::find`] says; of several that may be meant, the one that runs, if one does.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn find_running(&self, name: &str) -> Result<String, BuildsError> {
        match self.find(name).await {
            Err(BuildsError::Ambiguous { build, found }) => {
                let live = self.live()?;
                let mut running = found.iter().filter(|id| live.contains(*id));
                match (running.next(), running.next()) {
                    (Some(one), None) => Ok(one.clone()),
                    _ => Err(BuildsError::Ambiguous { build, found }),
                }
            }
            found => found,
        }
    }

    /// Whether a process drives the build now, or has parked it.
    ///
    /// # Errors
    /// When the home can't be read.
    pub fn is_live(&self, build: &str) -> Result<bool, BuildsError> {
        Ok(self.home.is_live(build))
    }

    /// The events of a build after a number, as many as are read at once; none when there are no more yet. Their checksums are not looked at.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn events_after(&self, build: &str, after: u64) -> Result<Vec<Event>, BuildsError> {
        let failed = ControllerError::from;
        let mut events = Vec::new();
        for record in self.journal.records(build, after, Page::default()).await.map_err(failed)? {
            events.push(read_event(&*self.journal, build, &record).await.map_err(failed)?);
        }
        Ok(events)
    }

    /// All that is known of a build.
    ///
    /// # Errors
    /// When its journal can't be read, or is damaged.
    pub async fn record(&self, build: &str) -> Result<BuildRecord, BuildsError> {
        let live = self.is_live(build)?;
        let events = self.history(build).await?.map(|history| history.events).unwrap_or_default();
        Ok(BuildRecord::of(build, &events, live))
    }

    /// The home.
    pub(crate) fn of_home(&self) -> &Home {
        &self.home
    }

    /// The events of a build, and what it came to with them, if it has come further than `seen`, which is then where it is.
    pub(crate) async fn beyond(
        &self,
        build: &str,
        seen: &mut u64,
    ) -> Result<Option<(Vec<Event>, BuildState)>, BuildsError> {
        let head = self.journal.head(build).await.map_err(ControllerError::from)?;
        if head.is_some_and(|head| head.last <= *seen) {
            return Ok(None);
        }
        let history = self.history(build).await?;
        let none = || BuildsError::NoBuild { build: build.to_owned(), home: self.home().to_owned() };
        let events = history.ok_or_else(none)?.events;
        let state = BuildState::of(&events);
        *seen = events.last().map_or(0, |event| event.seq);
        Ok(Some((events, state)))
    }

    /// The ids of all builds, the oldest first.
    async fn all(&self) -> Result<Vec<String>, BuildsError> {
        Ok(self.journal.builds().await.map_err(ControllerError::from)?)
    }

    /// What names the code of a build: its commit; the build itself where the code has more than was committed, or is none of git's.
    async fn code(&self, build: &str) -> Result<String, BuildsError> {
        let page = Page { count: 16, ..Page::default() };
        let failed = ControllerError::from;
        for record in self.journal.records(build, 0, page).await.map_err(failed)? {
            if let EventBody::BuildCheckedOut { source } =
                read_event(&*self.journal, build, &record).await.map_err(failed)?.body
            {
                return Ok(source.commit.filter(|_| !source.dirty).unwrap_or_else(|| build.to_owned()));
            }
        }
        Ok(build.to_owned())
    }

    async fn history(&self, build: &str) -> Result<Option<History>, BuildsError> {
        Ok(history(&*self.journal, build).await.map_err(ControllerError::from)?)
    }

    fn live(&self) -> Result<BTreeSet<String>, BuildsError> {
        Ok(self.home.live_builds(false).map_err(|source| self.unreadable(source))?.0)
    }

    /// The builds of which nothing is on disk: those that run, each for a moment, and those whose host has died in that moment.
    async fn just_begun(&self) -> Result<Vec<String>, BuildsError> {
        let mut begun = Vec::new();
        for build in self.home.begun_builds().map_err(|source| self.unreadable(source))? {
            if self.journal.head(&build).await.map_err(ControllerError::from)?.is_none() {
                begun.push(build);
            }
        }
        Ok(begun)
    }

    fn unreadable(&self, source: std::io::Error) -> ControllerError {
        ControllerError::Home { path: self.home.run(), source }
    }
}

#[cfg(test)]
mod tests;
