//! Checking a script: its jobs are declared and its graph is checked, and nothing is run or written down.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_api::BuildInfo;
use monkeyci_build::{BuildState, Checked, GraphFaults};
use monkeyci_script::{LoadError, ScriptError};

use crate::build::BuildRequest;
use crate::controller::Controller;
use crate::error::ControllerError;
use crate::jobs::{Hopeless, check_definition};
use crate::live::{LiveBuild, Places};
use crate::masking::Masking;
use crate::observer::Observer;

/// Why a script did not pass the check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The host could not check.
    #[error(transparent)]
    Host(#[from] ControllerError),
    /// The code that the script is to see can't be had.
    #[error("{0}")]
    Source(String),
    /// The component is no script, or could not be compiled.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// `define` failed.
    #[error("the script could not declare its jobs: {0}")]
    Script(#[from] ScriptError),
    /// The graph has faults.
    #[error("{message}: {faults}")]
    Graph {
        /// In a few words.
        message: String,
        /// All of them.
        faults: GraphFaults,
    },
    /// The script said itself that it failed.
    #[error("{0}")]
    Failed(String),
}

impl CheckError {
    /// Whether the script is at fault, and not the host or the code's source.
    pub fn is_script(&self) -> bool {
        match self {
            Self::Host(_) | Self::Source(_) => false,
            Self::Load(error) => error.is_script(),
            Self::Script(_) | Self::Graph { .. } | Self::Failed(_) => true,
        }
    }
}

impl Controller {
    /// Asks the script of `request` for its jobs and checks their graph, without running anything. What `define` prints
    /// goes to `observer`; events that it publishes go nowhere.
    ///
    /// # Errors
    /// See [`CheckError`].
    pub async fn check(&self, request: &BuildRequest, observer: Arc<dyn Observer>) -> Result<Checked, CheckError> {
        let (org, repo) = request.source.org_and_repo();
        let id = format!("{org}/{repo}/check-{:08x}", rand::random::<u32>());
        let state = BuildState::new(NonZeroUsize::MIN);
        let masking = Masking::new(&request.inputs).map_err(|error| ControllerError::Secret(error.to_string()))?;
        let (live, mut inbox) = LiveBuild::new(&id, &request.source, request.inputs.clone(), masking, observer, state);
        self.api.enter(live.clone());
        let result = tokio::select! {
            result = self.check_live(request, &live) => result,
            // Answers whoever wants an event written down, and writes nothing.
            never = async {
                while let Some(record) = inbox.recv().await {
                    let _ = record.written.send(());
                }
                std::future::pending().await
            } => never,
        };
        self.api.leave(&id);
        // Nothing that is only a check stays in the store.
        self.api.blobs.remove_below(&monkeyci_storage::names::logs(&id)).await.map_err(ControllerError::from)?;
        result
    }

    async fn check_live(&self, request: &BuildRequest, live: &LiveBuild) -> Result<Checked, CheckError> {
        let clone =
            tempfile::tempdir().map_err(|source| ControllerError::Home { path: std::env::temp_dir(), source })?;
        let (source, into) = (request.source.clone(), clone.path().join("checkout"));
        let checkout = tokio::task::spawn_blocking(move || source.check_out(&into))
            .await
            .map_err(|error| ControllerError::Panic(error.to_string()))?
            .map_err(|error| CheckError::Source(error.to_string()))?;
        let info = BuildInfo { id: live.id.clone(), trigger: request.trigger.clone(), source: checkout.source };
        let _ = live.info.set(info.clone());
        let workspace = Dir::open_ambient_dir(&checkout.dir, ambient_authority())
            .map_err(|error| CheckError::Source(format!("{} can't be read: {error}", checkout.dir.display())))?;
        let outputs = clone.path().join("outputs");
        let _ = live.places.set(Places { path: checkout.dir, workspace, outputs });
        let script = self.runtime.load_in_background(request.script.clone()).await?;
        let life = self.runtime.limits().define_time + Duration::from_secs(60);
        let (client, _) = self.script_client(live, None, life)?;
        let defined = script.define(&client, info).await?;
        check_definition(&script, &defined, &live.inputs).map_err(|Hopeless { message, faults, .. }| {
            if faults.is_empty() { CheckError::Failed(message) } else { CheckError::Graph { message, faults } }
        })
    }
}
