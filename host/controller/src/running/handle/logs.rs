//! The logs of a build that runs: where they go, and who sends them.

use std::io;
use std::sync::Arc;

use monkeyci_build::EventBody;
use monkeyci_storage::Blobs;
use tokio_util::sync::CancellationToken;

use super::BuildHandle;
use crate::disk::DiskError;
use crate::logs::{Destination, LogLimits};

/// Who sends the log of a job now: one at a time.
#[derive(Default)]
pub(crate) struct LogTurn {
    gone: CancellationToken,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl LogTurn {
    /// Sends away who sends it now. Gives what tells the next one to go, and what to hold as long as it is there.
    pub(crate) fn next(&mut self) -> (CancellationToken, Arc<tokio::sync::Mutex<()>>) {
        std::mem::take(&mut self.gone).cancel();
        (self.gone.clone(), self.lock.clone())
    }
}

impl BuildHandle {
    /// Where the log of a job goes, or (none) that of `define`.
    pub(crate) fn log_of<'a>(&'a self, job: Option<&'a str>, blobs: &'a Blobs, limits: LogLimits) -> Destination<'a> {
        let Self { masking, observer, logs, id, .. } = self;
        Destination { blobs, limits, masking, observer: observer.as_ref(), logs, build: id, job }
    }

    /// Hears how storing a log went. Where the build has used its disk up, that is said in its result, once.
    pub(crate) async fn stored_log(&self, job: Option<&str>, stored: io::Result<()>) -> io::Result<()> {
        let Err(error) = &stored else { return stored };
        tracing::warn!(%error, build = self.id, job, "a part of a log could not be stored");
        if let Some(limit) = DiskError::of(error)
            && self.disk.is_said_first()
        {
            let message = format!("not all of the logs is kept: {limit}");
            // Over, if the build is: then nobody wants to know.
            let _ = self.record(EventBody::BuildWarned { message }).await;
        }
        stored
    }
}
