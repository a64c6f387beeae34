//! What can be wrong with a journal.

use std::sync::Arc;

use super::{LAYOUT, Owner};

/// Why a journal can't be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The database can't be read or written.
    #[error("the journal {journal} can't be used: {source}")]
    Database {
        /// The database.
        journal: String,
        /// What it said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The database can't be used now, and may be soon.
    #[error("the journal {journal} can't be used now: {obstacle}: {source}")]
    Blocked {
        /// The database.
        journal: String,
        /// What is in the way.
        obstacle: Obstacle,
        /// What it said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Another owner has the journal.
    #[error(
        "the journal of {build} belongs to another host now ({by}, epoch {their_epoch}): nothing that this one ({owner}, epoch {epoch}) still does counts, and it has to leave the build alone"
    )]
    Fenced {
        /// The build.
        build: String,
        /// Who was refused.
        owner: Owner,
        /// The epoch of who was refused; 0 for one that never had the journal.
        epoch: u64,
        /// Who has the journal.
        by: Owner,
        /// Their epoch.
        their_epoch: u64,
    },
    /// A record does not follow the last one.
    #[error("record {number} of the journal of {build} can't be written: the next one is {expected}")]
    UnexpectedNumber {
        /// The build.
        build: String,
        /// The number that was to be written.
        number: u64,
        /// The number that would follow.
        expected: u64,
    },
    /// There is no such journal.
    #[error("there is no journal of {build}: it was removed, or never begun")]
    Unknown {
        /// The build.
        build: String,
    },
    /// A record is not what was written.
    #[error(
        "the journal of {build} is damaged at record {number}: {reason}. What follows it can't be trusted, so the build can't go on; start it anew"
    )]
    Damaged {
        /// The build.
        build: String,
        /// The first record that is not as it was written.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version wrote the journal.
    #[error(
        "the journal {journal} has layout {layout}, and this version knows {LAYOUT}: use the version of monkeyci-host that wrote it, or a newer one, or another home"
    )]
    Newer {
        /// The database.
        journal: String,
        /// Its layout.
        layout: i64,
    },
    /// A journal of an older layout can't be brought to this one.
    #[error(
        "the journal {journal} has layout {layout}, and can't be brought to layout {LAYOUT}: {reason}. It is left as it was; move it away, or use another home"
    )]
    Migration {
        /// The database.
        journal: String,
        /// Its layout.
        layout: i64,
        /// What is in the way.
        reason: String,
    },
    /// An event is larger than a record may be.
    #[error("record {number} of the journal of {build} would have {size} bytes, and {limit} is the most")]
    TooLarge {
        /// The build.
        build: String,
        /// The record.
        number: u64,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// The writer has ended, with its runtime.
    #[error("the journal's writer has ended")]
    Closed,
}

/// What is in the way of a write that can be made later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// There is no room.
    #[error("the disk is full")]
    Full,
    /// Somebody else writes.
    #[error("the database is busy")]
    Busy,
    /// The server does not answer.
    #[error("the database can't be reached")]
    Away,
}
