//! Artifacts on their way into the store. Which are saved says the build's state.

use std::sync::Arc;

use monkeyci_api::ArtifactInfo;
use monkeyci_build::{BuildCommand, SavedArtifact};
use monkeyci_storage::{Stored, names};
use object_store::path::Path as BlobName;

use super::handle::{BuildOver, LiveBuild, Refused};
use crate::lock::lock;

/// An artifact while it is being made. When this is dropped, it may be made again, unless it was saved.
pub(crate) struct Upload {
    build: Arc<LiveBuild>,
    id: String,
    job: String,
    attempt: u32,
}

impl Upload {
    /// Where it goes.
    pub(crate) fn name(&self) -> BlobName {
        names::artifact(&self.build.id, &self.id, self.attempt)
    }

    /// The artifact is complete in the store: has that written down. In a task of its own, so that it is done whole even when
    /// the connection breaks that brought the artifact.
    pub(crate) async fn saved(self, stored: Stored) -> Result<ArtifactInfo, Refused> {
        let recording = tokio::spawn(async move {
            let Stored { size, digest } = stored;
            let (id, job, attempt) = (self.id.clone(), self.job.clone(), self.attempt);
            let info = ArtifactInfo { id: id.clone(), job: job.clone(), size, digest: digest.clone() };
            let artifact = SavedArtifact { job, attempt, size, digest };
            self.build.command(BuildCommand::SaveArtifact { id, artifact }).await?;
            Ok(info)
        });
        recording.await.unwrap_or(Err(Refused::Over(BuildOver)))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        lock(&self.build.uploads).remove(&(self.id.clone(), self.attempt));
    }
}

impl LiveBuild {
    /// Begins an artifact of the job's attempt; `None` if it has been saved, or is being uploaded.
    pub(crate) fn upload(self: &Arc<Self>, id: &str, job: &str, attempt: u32) -> Option<Upload> {
        if self.state().artifact(id).is_some() {
            return None;
        }
        let begins = lock(&self.uploads).insert((id.to_owned(), attempt));
        begins.then(|| Upload { build: self.clone(), id: id.to_owned(), job: job.to_owned(), attempt })
    }
}
