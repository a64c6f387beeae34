//! The journal of a simulation: in memory, with a disk that may be full, and a host that may be killed at any of its records.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use monkeyci_storage::journal::{
    Append, Digest, Head, Journal, JournalError, MemoryJournal, Obstacle, Page, Piece, Record, Sought,
};

use super::fault::Fault;
use super::rules::Rule;
use super::world::World;

/// So many first records are on disk together, or none of them.
const TOGETHER: u64 = 2;
/// A build that has written so many records does not come to an end.
pub(super) const ENDLESS: u64 = 20_000;

/// The journal. It outlives the host that writes it.
pub(super) struct WorldJournal {
    inner: Arc<MemoryJournal>,
    world: Arc<World>,
}

impl fmt::Debug for WorldJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldJournal")
    }
}

impl WorldJournal {
    pub(super) fn new(inner: Arc<MemoryJournal>, world: Arc<World>) -> Self {
        Self { inner, world }
    }

    /// A host that is dead does nothing any more.
    async fn unless_dead(&self) {
        if self.world.is_killed() {
            std::future::pending::<()>().await;
        }
    }

    async fn dies(&self) -> ! {
        self.world.note("the host is killed");
        self.world.kill();
        loop {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether the record is among these, which come to be written, at which something goes wrong.
fn reached(appends: &[Append], fault: &Fault) -> bool {
    match fault {
        Fault::Kill { record } | Fault::Lose { record } | Fault::DiskFull { record, .. } => {
            appends.iter().flat_map(|append| &append.records).any(|written| written.number == *record)
        }
        _ => false,
    }
}

#[async_trait]
impl Journal for WorldJournal {
    fn name(&self) -> &str {
        "of the simulation"
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
        self.unless_dead().await;
        if appends.iter().flat_map(|append| &append.records).any(|record| record.number > ENDLESS) {
            self.world.breaks(Rule::Ends, format!("the build has written more than {ENDLESS} records"));
            self.dies().await;
        }
        if let Some(Fault::DiskFull { seconds, .. }) =
            self.world.take_ahead(|fault| matches!(fault, Fault::DiskFull { .. }) && reached(appends, fault))
        {
            let until = self.world.while_ill(self.world.now_ms() + seconds * 1000);
            self.world.note(format_args!("the disk is full for {seconds} s"));
            self.world.disk_full_until(until);
        }
        if self.world.is_disk_full() {
            let source = Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
            return Err(JournalError::Blocked { journal: self.name().to_owned(), obstacle: Obstacle::Full, source });
        }
        let is_kill = |fault: &Fault| matches!(fault, Fault::Kill { .. } | Fault::Lose { .. });
        let last = match self.world.take_ahead(|fault| is_kill(fault) && reached(appends, fault)) {
            // The first are written together, however little there is time for.
            Some(Fault::Kill { record }) => record.max(TOGETHER),
            Some(Fault::Lose { record }) if record > TOGETHER => record - 1,
            Some(_) => 0,
            None => return self.inner.commit(appends).await,
        };
        // Those up to there are on disk, as if the rest had come in a write of its own.
        let mut written = appends.to_vec();
        written.iter_mut().for_each(|append| append.records.retain(|written| written.number <= last));
        written.retain(|append| !append.records.is_empty());
        self.inner.commit(&written).await?;
        self.dies().await
    }

    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError> {
        self.unless_dead().await;
        self.inner.take_over(build, seen, new).await
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        self.inner.head(build).await
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError> {
        self.inner.records(build, after, page).await
    }

    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError> {
        self.inner.pieces(digests).await
    }

    async fn builds(&self) -> Result<Vec<String>, JournalError> {
        self.inner.builds().await
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        self.inner.open_builds().await
    }

    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError> {
        self.inner.builds_with(text).await
    }

    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError> {
        self.inner.outlines(of, skip, count).await
    }

    async fn remove(&self, build: &str) -> Result<bool, JournalError> {
        self.unless_dead().await;
        self.inner.remove(build).await
    }
}
