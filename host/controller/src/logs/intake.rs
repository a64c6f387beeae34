//! A log as it comes: masked, shown to whoever watches, and stored.

use std::io;

use monkeyci_api::LogFrame;
use monkeyci_storage::Blobs;
use tokio::sync::watch;
use tokio::time::Instant;

use super::followers::OpenLogs;
use super::mark::{Mark, Source};
use super::masked::MaskedLog;
use super::store::{LogLimits, LogWriter};
use crate::error::ControllerError;
use crate::logs::Masking;
use crate::observer::Observer;

/// Whose log it is, and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) blobs: &'a Blobs,
    pub(crate) limits: LogLimits,
    pub(crate) masking: &'a Masking,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) logs: &'a OpenLogs,
    /// The build's id.
    pub(crate) build: &'a str,
    /// The job; none for `define`.
    pub(crate) job: Option<&'a str>,
}

/// A log that is being taken in.
pub(crate) struct LogIntake<'a> {
    to: Destination<'a>,
    masked: MaskedLog,
    stored: LogWriter<'a>,
}

impl<'a> LogIntake<'a> {
    /// One that nobody goes on with.
    pub(crate) fn new(to: Destination<'a>) -> Self {
        let stored = LogWriter::new(to.blobs, to.build, to.logs, to.job, to.limits);
        Self { masked: MaskedLog::new(to.masking), stored, to }
    }

    /// One that can be gone on with, by this process or another one, and that is gone on with where it was begun: with what is sent from
    /// the place `from` on. What was kept of that before is kept once.
    ///
    /// # Errors
    /// When the store can't say what was kept.
    pub(crate) async fn go_on(to: Destination<'a>, source: Source, from: u64) -> Result<Self, ControllerError> {
        let (parts, others) = to.job.map_or((0, false), |job| to.logs.parts(job));
        let begun = from > 0 || others;
        let mark = match to.job.filter(|_| begun) {
            Some(job) => Mark::find(to.blobs, to.build, job, parts, &source).await?,
            None => None,
        };
        let stored = LogWriter::new(to.blobs, to.build, to.logs, to.job, to.limits);
        let stored = stored.going_on(source, mark.as_ref(), from);
        Ok(Self { masked: MaskedLog::going_on(to.masking, stored.place(), from), stored, to })
    }

    /// Takes a frame.
    pub(crate) async fn push(&mut self, frame: LogFrame) {
        let frames = self.masked.push(frame);
        self.take(frames).await;
    }

    async fn take(&mut self, frames: Vec<LogFrame>) {
        for frame in frames {
            self.to.observer.log(self.to.build, self.to.job, &frame);
            self.stored.push(&frame);
        }
        self.stored.reached(self.masked.place(), self.masked.came(), self.masked.take_left_out()).await;
    }

    /// When to call [`Self::write`], unless there is more before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.stored.due()
    }

    /// Stores what has come.
    pub(crate) async fn write(&mut self) {
        self.stored.write().await;
    }

    /// Tells up to where it is stored, or counts as left out.
    pub(crate) fn settled(&self) -> watch::Receiver<u64> {
        self.stored.settled()
    }

    /// It has come whole.
    ///
    /// # Errors
    /// When a part of it could not be stored.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        let last = self.masked.finish();
        self.take(last).await;
        self.stop().await
    }

    /// The rest does not come here: what is held back comes again.
    ///
    /// # Errors
    /// When a part of it could not be stored.
    pub(crate) async fn stop(self) -> io::Result<()> {
        self.stored.finish().await
    }
}
