//! The journals of a host's builds.

use std::path::Path;
use std::sync::Arc;

use monkeyci_build::Event;
use tokio::sync::{mpsc, watch};

use super::history::{self, event};
use super::writer::{Request, write};
use super::{
    BuildJournal, Digest, Head, History, Journal, JournalError, Owner, Page, Patience, SqliteJournal, Waiting,
};

/// The journals of a host's builds, and who writes them. Clones share the writer.
#[derive(Clone, Debug)]
pub struct Journals {
    journal: Arc<dyn Journal>,
    owner: Owner,
    queue: mpsc::UnboundedSender<Request>,
    waiting: watch::Receiver<Option<Waiting>>,
}

impl Journals {
    /// Starts the writer of a database, as a task of the runtime that this is called in. It ends when the last clone and the
    /// last [`BuildJournal`] are gone.
    pub fn new(journal: Arc<dyn Journal>, owner: Owner, patience: Patience) -> Self {
        let (queue, queued) = mpsc::unbounded_channel();
        let (told, waiting) = watch::channel(None);
        tokio::spawn(write(journal.clone(), queued, patience, told));
        Self { journal, owner, queue, waiting }
    }

    /// Opens the SQLite database at `path`, and makes it if it is not there.
    ///
    /// # Errors
    /// See [`SqliteJournal::open`].
    pub async fn sqlite(path: &Path, owner: Owner) -> Result<Self, JournalError> {
        Ok(Self::new(Arc::new(SqliteJournal::open(path).await?), owner, Patience::default()))
    }

    /// Begins the journal of a new build. Nothing is written before the first append, which is refused if the build has one.
    pub fn begin(&self, build: &str) -> BuildJournal {
        let head = Head { owner: self.owner, epoch: 1, last: 0, checksum: Digest::first(build) };
        BuildJournal::new(build, head, self.queue.clone())
    }

    /// Takes the journal of a build over from whoever has it: their appends are refused from now on. `history` is what the
    /// caller has read and will go on from.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when the journal is not as it was read: its owner goes on, or another one was quicker.
    pub async fn take_over(&self, build: &str, history: &History) -> Result<BuildJournal, JournalError> {
        let head = Head { owner: self.owner, epoch: history.stored.epoch + 1, ..history.head };
        if self.journal.take_over(build, &history.stored, &head).await? {
            return Ok(BuildJournal::new(build, head, self.queue.clone()));
        }
        let build = build.to_owned();
        match self.journal.head(&build).await? {
            Some(Head { owner: by, epoch: their_epoch, .. }) => {
                Err(JournalError::Fenced { build, owner: self.owner, epoch: 0, by, their_epoch })
            }
            None => Err(JournalError::Unknown { build }),
        }
    }

    /// The whole journal of a build, checked; `None` if there is none.
    ///
    /// # Errors
    /// When it can't be read, or a record is not what was written.
    pub async fn history(&self, build: &str) -> Result<Option<History>, JournalError> {
        history::history(&*self.journal, build).await
    }

    /// All events of a build, in order; none if there is no journal of it.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub async fn events(&self, build: &str) -> Result<Vec<Event>, JournalError> {
        Ok(self.history(build).await?.map(|history| history.events).unwrap_or_default())
    }

    /// The events after a number, as many as `page` says. Their checksums are not looked at.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn events_after(&self, build: &str, after: u64, page: Page) -> Result<Vec<Event>, JournalError> {
        let mut events = Vec::new();
        for record in self.journal.records(build, after, page).await? {
            events.push(event(&*self.journal, build, &record).await?);
        }
        Ok(events)
    }

    /// The ids of all builds, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn builds(&self) -> Result<Vec<String>, JournalError> {
        self.journal.builds().await
    }

    /// The ids of the builds that are not over, oldest first: they run, in whatever process, or their host has died.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        self.journal.open_builds().await
    }

    /// Why nothing can be written now; `None` when it can.
    pub fn waiting(&self) -> watch::Receiver<Option<Waiting>> {
        self.waiting.clone()
    }

    /// The database, for somebody else to read.
    pub fn shared(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// The database.
    pub fn database(&self) -> &dyn Journal {
        &*self.journal
    }
}
