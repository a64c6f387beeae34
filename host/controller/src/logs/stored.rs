//! Reading the logs of builds, running or ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_api::{LogDecodeError, LogDecoder, LogFrame};
use monkeyci_build::{Event, EventBody};
use monkeyci_storage::journal::{Journal, SqliteJournal, history, is_over};
use monkeyci_storage::{BlobStore, Blobs, names};
use object_store::path::Path as BlobName;

use crate::error::ControllerError;

/// The logs that a home has stored.
#[derive(Debug)]
pub struct StoredLogs {
    journal: Option<Arc<dyn Journal>>,
    blobs: Blobs,
}

/// The log of one job, or of `define`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLog {
    /// The build, `org/repo/build`.
    pub build: String,
    /// The job; none for the log of `define`.
    pub job: Option<String>,
    parts: Vec<BlobName>,
}

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Bytes of the log are not what was written.
    #[error("the log {part} is damaged: {reason}")]
    Damaged {
        /// The name of the part in the store.
        part: String,
        /// What is wrong.
        reason: LogDecodeError,
    },
    /// Journal or store can't be used.
    #[error(transparent)]
    Store(#[from] ControllerError),
}

impl StoredLogs {
    /// Opens the journal and the store of a home. The home itself need not be there.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub async fn open(home: &Path, blobs: &BlobStore) -> Result<Self, LogsError> {
        // Looking into a home must not make one.
        let path = home.join("journal.db");
        let journal: Option<Arc<dyn Journal>> = match path.exists() {
            true => Some(Arc::new(SqliteJournal::open(&path).await.map_err(ControllerError::from)?)),
            false => None,
        };
        let local = home.join("blobs");
        let none = *blobs == BlobStore::Local && !local.exists();
        let blobs =
            if none { Blobs::none() } else { Blobs::open(blobs, &local).await.map_err(ControllerError::from)? };
        Ok(Self { journal, blobs })
    }

    /// Of a home whose journal and store are open.
    pub(crate) fn of_home(journal: Arc<dyn Journal>, blobs: Blobs) -> Self {
        Self { journal: Some(journal), blobs }
    }

    /// The logs of a build: that of `define` first, then those of its jobs in the order in which they started.
    ///
    /// # Errors
    /// When journal or store can't be read.
    pub async fn of(&self, build: &str) -> Result<Vec<StoredLog>, LogsError> {
        let events = self.events(build).await?;
        let mut started = BTreeMap::new();
        for event in events {
            if let EventBody::JobStarted { job, .. } = event.body {
                started.entry(job).or_insert(event.seq);
            }
        }
        let logs = names::logs(build);
        let mut found: BTreeMap<Option<String>, Vec<(u32, BlobName)>> = BTreeMap::new();
        for (name, _) in self.blobs.list(&logs).await.map_err(ControllerError::from)? {
            if let Some((job, number)) = names::log_part(&logs, &name) {
                found.entry(job).or_default().push((number, name));
            }
        }
        let mut found: Vec<StoredLog> = found
            .into_iter()
            .map(|(job, mut parts)| {
                parts.sort();
                StoredLog { build: build.to_owned(), job, parts: parts.into_iter().map(|(_, name)| name).collect() }
            })
            .collect();
        found.sort_by_key(|log| {
            log.job.as_ref().map(|job| (started.get(job).copied().unwrap_or(u64::MAX), job.clone()))
        });
        Ok(found)
    }

    async fn events(&self, build: &str) -> Result<Vec<Event>, LogsError> {
        let Some(journal) = &self.journal else { return Ok(Vec::new()) };
        let history = history(&**journal, build).await.map_err(ControllerError::from)?;
        Ok(history.map(|history| history.events).unwrap_or_default())
    }

    /// Whether a build is over: one whose host was killed never is.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn is_over(&self, build: &str) -> Result<bool, LogsError> {
        let Some(journal) = &self.journal else { return Ok(false) };
        Ok(is_over(&**journal, build).await.map_err(ControllerError::from)?)
    }

    /// Hands the frames of a log to `each`, in order; holds no more than one of them.
    ///
    /// # Errors
    /// When the store can't be read, or what it has is damaged.
    pub async fn read(&self, log: &StoredLog, mut each: impl FnMut(LogFrame)) -> Result<(), LogsError> {
        let mut frames = self.frames(log);
        while let Some(frame) = frames.try_next().await? {
            each(frame);
        }
        Ok(())
    }

    /// The frames of a log, in order.
    pub(crate) fn frames(&self, log: &StoredLog) -> BoxStream<'static, Result<LogFrame, LogsError>> {
        let blobs = self.blobs.clone();
        let parts = stream::iter(log.parts.clone()).then(move |part| frames_of(blobs.clone(), part));
        parts.try_flatten().boxed()
    }
}

/// The frames of a part of a log.
async fn frames_of(blobs: Blobs, part: BlobName) -> Result<BoxStream<'static, Result<LogFrame, LogsError>>, LogsError> {
    let failed = |error| LogsError::from(ControllerError::from(error));
    // It may have been removed meanwhile.
    let Some(bytes) = blobs.get(&part).await.map_err(failed)? else { return Ok(stream::empty().boxed()) };
    let name = part.to_string();
    let frames = stream::try_unfold((bytes, LogDecoder::default()), move |(mut bytes, mut decoder)| {
        let name = name.clone();
        async move {
            let damaged = |reason| LogsError::Damaged { part: name.clone(), reason };
            let mut frame = decoder.next_frame().map_err(damaged)?;
            while frame.is_none() {
                let Some(chunk) = bytes.try_next().await.map_err(failed)? else {
                    decoder.finish().map_err(damaged)?;
                    return Ok(None);
                };
                decoder.push(&chunk);
                frame = decoder.next_frame().map_err(damaged)?;
            }
            Ok(frame.map(|frame| (frame, (bytes, decoder))))
        }
    });
    Ok(frames.boxed())
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use monkeyci_api::LogStream;
    use monkeyci_storage::Journals;
    use monkeyci_storage::journal::Owner;

    use super::*;

    fn frames(text: &str) -> Bytes {
        let mut encoded = BytesMut::new();
        LogFrame { stream: LogStream::Stdout, time_ms: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) }
            .encode(&mut encoded);
        encoded.freeze()
    }

    /// A home with the builds `o/r/1` and `o/s/1`, of which the first has logs.
    async fn home() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let journals = Journals::sqlite(&dir.path().join("journal.db"), Owner(1)).await.expect("a journal");
        for (build, jobs) in [("o/r/1", &["zebra", "ape"][..]), ("o/s/1", &[])] {
            let mut journal = journals.begin(build);
            let triggered = EventBody::BuildTriggered { build: build.to_owned(), trigger: "test".to_owned() };
            journal.append(1, triggered).expect("queued");
            for job in jobs {
                let started = EventBody::JobStarted { job: (*job).to_owned(), attempt: 1 };
                journal.append(2, started).expect("queued");
            }
            journal.durable().wait(journal.last()).await.expect("written");
        }
        std::fs::create_dir(dir.path().join("blobs")).expect("a directory");
        let blobs = Blobs::local(&dir.path().join("blobs")).expect("a store");
        for (job, part, text) in
            [(Some("ape"), 0, "ape"), (Some("zebra"), 1, "two"), (Some("zebra"), 0, "one"), (None, 0, "")]
        {
            blobs.put_whole(&names::log("o/r/1", job, part), frames(text).into()).await.expect("stored");
        }
        dir
    }

    #[tokio::test]
    async fn logs_come_in_the_order_in_which_jobs_started_and_their_parts_in_order() {
        let home = home().await;
        let logs = StoredLogs::open(home.path(), &BlobStore::Local).await.expect("a home");
        let found = logs.of("o/r/1").await.expect("logs");
        let jobs: Vec<_> = found.iter().map(|log| log.job.as_deref()).collect();
        assert_eq!(jobs, [None, Some("zebra"), Some("ape")]);
        let mut text = String::new();
        let each = |frame: LogFrame| text.push_str(&String::from_utf8_lossy(&frame.bytes));
        logs.read(&found[1], each).await.expect("read");
        assert_eq!(text, "onetwo");
    }

    #[tokio::test]
    async fn looking_into_a_home_that_is_not_there_makes_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().join("home");
        let logs = StoredLogs::open(&home, &BlobStore::Local).await.expect("nothing");
        assert_eq!(logs.of("o/r/1").await.expect("nothing"), []);
        assert!(!home.exists());
    }

    #[tokio::test]
    async fn a_damaged_log_is_said_to_be_so() {
        let home = home().await;
        let path = home.path().join("blobs/logs/o/r/1/ape/0000.frames");
        let bytes = std::fs::read(&path).expect("a part");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
        let logs = StoredLogs::open(home.path(), &BlobStore::Local).await.expect("a home");
        let found = logs.of("o/r/1").await.expect("logs");
        let read = logs.read(&found[2], drop).await;
        assert!(matches!(read, Err(LogsError::Damaged { reason: LogDecodeError::Truncated, .. })), "{read:?}");
    }
}
