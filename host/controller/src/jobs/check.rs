//! Checking a script: its jobs are declared and its graph is checked, and nothing is run or written down.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_api::BuildInfo;
use monkeyci_build::{Checked, EventBody, GraphFaults, SelectError, Source};
use monkeyci_script::{LoadError, Script, ScriptError, Transcript};

use super::Services;
use super::checkout::check_out;
use super::define::{Hopeless, check_definition};
use crate::error::ControllerError;
use crate::running::{BuildHandle, BuildRequest};

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
    /// Jobs were asked for that are not there.
    #[error(transparent)]
    Select(#[from] SelectError),
}

impl CheckError {
    /// Whether the script is at fault, and not the host or the code's source.
    pub fn is_script(&self) -> bool {
        match self {
            Self::Host(_) | Self::Source(_) | Self::Select(_) => false,
            Self::Load(error) => error.is_script(),
            Self::Script(_) | Self::Graph { .. } | Self::Failed(_) => true,
        }
    }
}

/// Asks the script of `request` for its jobs and checks their graph.
///
/// # Errors
/// See [`CheckError`].
pub(crate) async fn check(
    services: &Services,
    request: &BuildRequest,
    live: &BuildHandle,
) -> Result<Checked, CheckError> {
    let clone = tempfile::tempdir().map_err(|source| ControllerError::Home { path: std::env::temp_dir(), source })?;
    let dir = clone.path().to_owned();
    let (source, warnings) = check_out(live, request.source.clone(), (&request.trigger, &request.given), dir, None)
        .await
        .map_err(|message| CheckError::Source(live.masking.text(&message)))?;
    for warning in warnings {
        tracing::warn!("{}", live.masking.text(&warning));
    }
    let script = services.runtime.load_in_background(request.script.clone()).await?;
    let Declared { checked, unasked_params, .. } =
        declare(services, (&request.trigger, &script), live, (&live.id, source, None)).await?;
    for (_, message) in unasked_params {
        tracing::warn!("{message}; nobody asked while jobs were declared, though an action may");
    }
    Ok(checked)
}

/// A script that has declared its jobs.
pub(super) struct Declared {
    pub(super) checked: Checked,
    /// What it was told.
    pub(super) transcript: Arc<Transcript>,
    /// The parameters that were given and that it has neither declared nor asked for, each with what to say of it.
    pub(super) unasked_params: Vec<(String, String)>,
}

/// Asks a script for its jobs, as those of the build of this id and this code, at this time or now, and checks their graph.
///
/// # Errors
/// See [`CheckError`].
pub(super) async fn declare(
    services: &Services,
    (trigger, script): (&str, &Script),
    live: &BuildHandle,
    (id, source, time_ms): (&str, Source, Option<u64>),
) -> Result<Declared, CheckError> {
    // What the script may do says the build's state.
    tell(live, EventBody::BuildTriggered { build: live.id.clone(), trigger: trigger.to_owned() }).await?;
    tell(live, EventBody::BuildCheckedOut { source: source.clone() }).await?;
    let info = BuildInfo { id: id.to_owned(), trigger: trigger.to_owned(), source };
    let life = services.runtime.limits().define_time + Duration::from_secs(60);
    let client = services.script_client(live, None, life)?;
    let defined = match time_ms {
        Some(time_ms) => script.define_at(&client, info, time_ms).await?,
        None => script.define(&client, info).await?,
    };
    let checked = check_definition(script, &defined, live).map_err(|Hopeless { message, faults, .. }| {
        let (message, faults) = (live.masking.text(&message), live.masking.faults(faults));
        if faults.is_empty() { CheckError::Failed(message) } else { CheckError::Graph { message, faults } }
    })?;
    let Checked { graph, removed, params } = checked.clone();
    tell(live, EventBody::ScriptDefined { jobs: graph.into_jobs(), removed, params }).await?;
    Ok(Declared { checked, transcript: defined.transcript, unasked_params: live.unasked_params() })
}

async fn tell(live: &BuildHandle, body: EventBody) -> Result<(), CheckError> {
    live.record(body).await.map_err(|refused| CheckError::Failed(refused.to_string()))
}
