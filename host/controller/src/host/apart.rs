//! Builds that nobody runs: their scripts are asked something, and nothing of them stays.

use std::num::NonZeroUsize;
use std::sync::Arc;

use monkeyci_build::BuildState;
use monkeyci_storage::{Blobs, names};
use tokio::sync::mpsc::Receiver;

use super::Host;
use super::drive::masking;
use crate::error::ControllerError;
use crate::inputs::Inputs;
use crate::jobs::CheckError;
use crate::observer::Observer;
use crate::running::{BuildHandle, BuildRequest, Record};

/// A build that nobody runs: the build API serves it until this is dropped, and no journal knows it.
pub(super) struct Apart {
    host: Host,
    live: Arc<BuildHandle>,
    inbox: Option<Receiver<Record>>,
    /// Whether what it has put into the store may be there still.
    has_stored: bool,
}

impl Apart {
    /// The build of `request`, by this id.
    ///
    /// # Errors
    /// When its secrets can't be masked.
    pub(super) fn begin(
        host: &Host,
        id: &str,
        request: &BuildRequest,
        inputs: Inputs,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, ControllerError> {
        let state = BuildState::new(NonZeroUsize::MIN);
        let (live, inbox) = BuildHandle::new(id, &request.source, inputs, masking(request)?, observer, state);
        host.0.api.register(live.clone());
        Ok(Self { host: host.clone(), live, inbox: Some(inbox), has_stored: true })
    }

    /// The build.
    pub(super) fn live(&self) -> Arc<BuildHandle> {
        self.live.clone()
    }

    /// What comes of `asking`, while the build takes in what it records. Then it is over, and what it has put into the store goes.
    ///
    /// # Errors
    /// As `asking`, or when something could not be removed.
    pub(super) async fn ask<T>(mut self, asking: impl Future<Output = Result<T, CheckError>>) -> Result<T, CheckError> {
        let inbox = self.inbox.take();
        let came = tokio::select! {
            came = asking => came,
            never = async {
                if let Some(inbox) = inbox {
                    self.live.clone().take_in_all(inbox).await;
                }
                std::future::pending().await
            } => never,
        };
        self.host.0.api.deregister(&self.live.id);
        let removed = remove(&self.host.0.services.blobs, &self.live.id).await;
        self.has_stored = false;
        let came = came?;
        removed?;
        Ok(came)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.host.0.api.deregister(&self.live.id);
        if self.has_stored {
            let (blobs, id) = (self.host.0.services.blobs.clone(), self.live.id.clone());
            self.host.0.runtime.spawn(async move {
                if let Err(error) = remove(&blobs, &id).await {
                    tracing::warn!(%error, build = id, "what a script has stored that was only asked something could not be removed");
                }
            });
        }
    }
}

async fn remove(blobs: &Blobs, id: &str) -> Result<(), ControllerError> {
    for dir in names::of_build(id) {
        blobs.remove_below(&dir).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hang_guard::ends;
    use crate::observer::Silent;
    use crate::source::SourceRequest;

    const ID: &str = "local/code/plan-1";

    /// A build that has stored something.
    async fn begun(host: &Host) -> Apart {
        let request = BuildRequest::new(Vec::new(), SourceRequest::Dir(".".into()));
        let apart = Apart::begin(host, ID, &request, request.inputs.clone(), Arc::new(Silent)).expect("no secrets");
        for dir in names::of_build(ID) {
            host.0.services.blobs.put_whole(&dir.join("part"), "x".into()).await.expect("stored");
        }
        assert!(host.0.api.build(ID).is_some());
        apart
    }

    async fn is_forgotten(host: &Host) -> bool {
        for dir in names::of_build(ID) {
            if !host.0.services.blobs.list(&dir).await.expect("a list").is_empty() {
                return false;
            }
        }
        host.0.api.build(ID).is_none()
    }

    #[tokio::test]
    async fn nothing_stays_of_a_build_that_nobody_runs_whether_it_ends_with_an_error_or_is_dropped() {
        let home = tempfile::tempdir().expect("a directory");
        let host = Host::builder(home.path()).sidecar_program("none").open().await.expect("a host");
        assert_eq!(begun(&host).await.ask(async { Ok(7) }).await.expect("an answer"), 7);
        assert!(is_forgotten(&host).await);
        let failed = begun(&host).await.ask(async { Err::<(), _>(CheckError::Failed("no luck".into())) }).await;
        assert_eq!(failed.expect_err("an error").to_string(), "no luck");
        assert!(is_forgotten(&host).await);
        let apart = begun(&host).await;
        drop(apart.ask(std::future::pending::<Result<(), _>>()));
        assert!(host.0.api.build(ID).is_none(), "at once");
        let forgotten = async {
            while !is_forgotten(&host).await {
                tokio::task::yield_now().await;
            }
        };
        ends("what it has stored", forgotten).await;
    }
}
