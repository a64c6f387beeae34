//! The journal: every event of every build, in order, durable.
//!
//! - [`Journal`] is what a database does: [`SqliteJournal`] by default, [`PostgresJournal`] where several machines share it. One
//!   suite of tests holds both to the same promises.
//! - [`Journals`] is what a host has: a writer that puts the appends of all builds into as few durable writes as it can, and the
//!   journals of builds, to read.
//! - [`BuildJournal`] is what a build's driver has: the right to append to one journal.
//!
//! **Who may append.** A journal has an [`Owner`], a number that is made anew for each start of a host, and an epoch, which each
//! new owner raises. An append names both, and the number and checksum of the record that it follows. The database compares all
//! four in the transaction that writes, so an owner that was replaced, or that missed something, is refused.
//!
//! **What is damaged.** Each record carries the checksum of itself and of the checksum before it. A journal that ends early, at a
//! record's end, is one whose last records were never written; whatever else is not as it was written is refused, with the number
//! of the record.
//!
//! **What is looked up.** Which branch a build is of and how it ended stands beside where its journal ends, as an [`Index`]: it is written with
//! the records that tell it, and can be made again from them.
//!
//! **What is large.** Values of more than 16 KiB stand in the database once, by their SHA-256, and records refer to them.

mod appending;
mod build_journal;
mod content;
mod digest;
mod error;
mod history;
mod index;
mod journals;
mod memory;
mod outline;
mod postgres;
mod sqlite;
mod statements;
mod stream;
mod writer;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use build_journal::{BuildJournal, Durable};
pub use content::Piece;
pub use digest::Digest;
pub use error::{JournalError, Obstacle};
pub use history::{History, event as read_event, history, is_over, last_record};
pub use index::{Index, Sought};
pub use journals::Journals;
pub use memory::MemoryJournal;
pub use outline::{Outline, outlines};
pub use postgres::PostgresJournal;
pub use sqlite::SqliteJournal;
pub use stream::{export, import};
pub use writer::{Patience, Waiting};

pub(crate) use content::{DEPTH, LIMIT, WHOLE_LIMIT};
pub(crate) use postgres::CONNECTIONS;
pub(crate) use writer::{BATCH_BYTES, BATCH_RECORDS};

/// The layout of databases that this version writes. Layout 3 has the [`Index`]; records are as they were in layout 2.
pub const LAYOUT: i64 = 3;

/// The layout of streams that this version writes.
pub const STREAM_LAYOUT: i64 = 2;

/// Who appends: one start of one host, never a machine's name. Made at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub u128);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where a journal ends, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Who may append.
    pub owner: Owner,
    /// Raised by each new owner, from 1.
    pub epoch: u64,
    /// The number of the last record; 0 for none.
    pub last: u64,
    /// The checksum of the last record.
    pub checksum: Digest,
}

/// One event, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the build's journal, from 1 without gaps.
    pub number: u64,
    /// The epoch of who appended it.
    pub epoch: u64,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Whether `body` refers to [`Piece`]s.
    pub split: bool,
    /// The event's JSON text.
    pub body: String,
    /// The length of the event's JSON text with all that it refers to. Pages are measured by it.
    pub size: u64,
    /// Of this record and of the one before.
    pub checksum: Digest,
}

impl Record {
    /// What the checksum is of.
    fn text(&self) -> String {
        let kind = if self.split { "split" } else { "whole" };
        format!("{} {} {} {kind} {}", self.number, self.epoch, self.time_ms, self.body)
    }
}

/// Records that one build appends at once.
#[derive(Clone, Debug)]
pub struct Append {
    /// The build's id.
    pub build: Arc<str>,
    /// Who appends. The first append of epoch 1 makes the journal; all others need the owner to be the journal's.
    pub owner: Owner,
    /// The epoch that the owner was given.
    pub epoch: u64,
    /// The number of the record that these follow; 0 for none.
    pub after: u64,
    /// The checksum of that record.
    pub checksum: Digest,
    /// The records, of which there is at least one.
    pub records: Vec<Record>,
    /// What they refer to, and no record before.
    pub pieces: Vec<Piece>,
    /// What they tell that the build is looked up by.
    pub index: Index,
}

impl Append {
    /// Where the journal ends before this.
    fn before(&self) -> Head {
        Head { owner: self.owner, epoch: self.epoch, last: self.after, checksum: self.checksum }
    }

    /// Where it ends afterwards.
    fn head(&self) -> Head {
        let end = self.records.last().map(|record| (record.number, record.checksum));
        let (last, checksum) = end.unwrap_or((self.after, self.checksum));
        Head { last, checksum, ..self.before() }
    }

    /// Whether it makes the journal.
    fn begins(&self) -> bool {
        self.after == 0 && self.epoch == 1
    }

    /// Why the database has not taken it, which has this journal end so. An append that is written already is none: the answer to
    /// it was lost, and it was made again.
    fn verdict(&self, stored: Option<&Head>) -> Result<(), JournalError> {
        let build = self.build.to_string();
        match stored {
            Some(stored) if *stored == self.head() => Ok(()),
            None => Err(JournalError::Unknown { build }),
            Some(stored) if (stored.owner, stored.epoch) != (self.owner, self.epoch) => Err(JournalError::Fenced {
                build,
                owner: self.owner,
                epoch: self.epoch,
                by: stored.owner,
                their_epoch: stored.epoch,
            }),
            Some(stored) if stored.last == self.after => Err(JournalError::Damaged {
                build,
                number: stored.last,
                reason: "its checksum is not that of what this host wrote".to_owned(),
            }),
            Some(stored) => {
                Err(JournalError::UnexpectedNumber { build, number: self.after + 1, expected: stored.last + 1 })
            }
        }
    }
}

/// How much is read at once: whatever is reached first. One record is read however large it is.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// At most so many records.
    pub count: usize,
    /// At most so many bytes, what records refer to included.
    pub bytes: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { count: 1000, bytes: 4 << 20 }
    }
}

/// A database of journals. Its methods are single requests; [`Journals`] is what hosts use.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// How messages name it; no password is in it.
    fn name(&self) -> &str;

    /// Writes all of these in one transaction, and answers for each of them when that is on disk.
    ///
    /// # Errors
    /// When nothing of it was written. An append that is refused is no error: it is in the answer, and the others are written.
    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError>;

    /// Gives a journal to a new owner, if it is still as it was `seen`. False if it is not.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError>;

    /// Where the journal of a build ends; `None` if there is none.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError>;

    /// The records after a number, in order, as they are stored: nobody has looked at their checksums.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError>;

    /// What records refer to, as it is stored. What is missing is not in the answer.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError>;

    /// The ids of all builds, oldest first.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn builds(&self) -> Result<Vec<String>, JournalError>;

    /// The ids of the builds that have this text in them, oldest first.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError>;

    /// The ids of the builds that are not over, as far as their last record says, oldest first.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn open_builds(&self) -> Result<Vec<String>, JournalError>;

    /// Of the builds that are wanted, from the newest on, after the first `skip`, and at most `count`: a few records of each, with the
    /// build's id before them. These are the first, that of its code, and the last, in this order.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError>;

    /// Removes the journal of a build, and what no other build refers to. False if there was none.
    ///
    /// # Errors
    /// When the database can't be used.
    async fn remove(&self, build: &str) -> Result<bool, JournalError>;
}
