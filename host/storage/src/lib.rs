//! What the host keeps: the journal of every build, and blobs (artifacts, caches, logs, workspace archives).
//!
//! The [`journal`] is in SQLite, or in PostgreSQL. [`Blobs`] are in a directory, or in a bucket that [`BlobStore`] names. Where blobs of one
//! build or repository lie is said by [`names`] only; which of its caches a build may read and write, by [`CacheScope`].
#![deny(missing_docs)]

mod blob_store;
mod blobs;
mod budget;
mod cache_scope;
#[cfg(test)]
mod hang_guard;
pub mod journal;
mod last_use;
pub mod names;
pub mod sealed;
mod stream_writer;
mod unfinished;
mod watched;

pub use blob_store::{BlobStore, BlobStoreError};
pub use blobs::{BlobBytes, Blobs, Stored, hex};
pub use budget::limits;
pub use cache_scope::{CacheScope, Found};
pub use journal::{BuildJournal, JournalError, Journals};
pub use last_use::Used;
pub use sealed::{Content, Sealed};
pub use stream_writer::written_by;
pub use watched::{Gone, Watched, Watcher};
