//! The logs of a build, from what is stored to what is said now.

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use monkeyci_api::LogFrame;

use super::build::Build;
use crate::control::{self, OutsideError};
use crate::error::ControllerError;
use crate::logs::{LogsError, StoredLogs};

/// A piece of a build's logs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPiece {
    /// The job; `None` for what `define` said.
    pub job: Option<String>,
    /// What was said, when, and on which stream; secrets in it are masked.
    pub frame: LogFrame,
}

/// Why a log can't be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildLogError {
    /// What is stored can't be read.
    #[error(transparent)]
    Stored(#[from] LogsError),
    /// The process that drives the build does not answer.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// What came is not what was written.
    #[error("the logs of the build {build} can't be read: {reason}")]
    Broken {
        /// The build.
        build: String,
        /// What is wrong.
        reason: String,
    },
}

/// The pieces of a build's logs, as they come.
pub type LogPieces = BoxStream<'static, Result<LogPiece, BuildLogError>>;

impl Build {
    /// The logs of the build, or that of one job: all that was said so far, and then what is said, as it comes, until the build is over. Jobs wait
    /// for nobody who listens: whoever is slower than they are misses something, which a frame of the host's own stream says.
    pub fn logs(&self, job: Option<&str>) -> LogPieces {
        let (build, job) = (self.clone(), job.map(str::to_owned));
        stream::once(async move { build.pieces(job).await }).try_flatten().boxed()
    }

    async fn pieces(self, job: Option<String>) -> Result<LogPieces, BuildLogError> {
        let piece = |(job, frame)| LogPiece { job, frame };
        let inner = &self.host.0;
        let blobs = inner.services.blobs.clone();
        let driven = self.host.reach(self.id()).await;
        let driven = driven.map_err(|error| OutsideError::Refused(error.to_string()))?;
        if let Some(driven) = driven {
            let inside = driven.inside(&self.host);
            let frames = control::log_frames(inside, job.as_deref()).await.map_err(|error| stored(error.into()))?;
            let build = self.id().to_owned();
            let broken = move |reason| BuildLogError::Broken { build: build.clone(), reason };
            return Ok(frames.map_ok(piece).map_err(broken).boxed());
        }
        // Also when it is over: what it has said last may not be in the store yet.
        if inner.home.is_live(self.id()) {
            match self.elsewhere()?.frames(job.as_deref()).await {
                Ok(frames) => return Ok(frames.map_ok(piece).map_err(BuildLogError::from).boxed()),
                // It has ended meanwhile.
                Err(_) if self.is_over().await.map_err(|error| stored(error.into()))? => {}
                Err(error) => return Err(error.into()),
            }
        }
        let logs = StoredLogs::of_home(inner.journals.shared(), blobs);
        let mut all = logs.of(self.id()).await?;
        all.retain(|log| job.is_none() || log.job == job);
        let frames = all.into_iter().map(move |log| {
            let job = log.job.clone();
            logs.frames(&log).map_ok(move |frame| LogPiece { job: job.clone(), frame }).map_err(BuildLogError::from)
        });
        Ok(stream::iter(frames.collect::<Vec<_>>()).flatten().boxed())
    }
}

fn stored(error: ControllerError) -> BuildLogError {
    BuildLogError::Stored(error.into())
}
