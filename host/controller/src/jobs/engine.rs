//! The engine of a home: found on first use, and cleared of what killed builds have left.

use std::sync::Arc;

use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError};
use monkeyci_storage::{Blobs, names};
use tokio::sync::OnceCell;

use super::lease::{self, LEASE};
use crate::error::ControllerError;
use crate::home::Home;

/// What `gc` removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Remove nothing, and say what would be.
    pub dry_run: bool,
    /// Remove also what builds with `keep` have left on purpose.
    pub kept: bool,
}

/// What runs container jobs.
#[derive(Clone)]
pub enum EngineChoice {
    /// Docker or Podman, through their API.
    Docker(DockerOptions),
    /// An engine of the embedder's.
    Custom(Arc<dyn Engine>),
}

impl std::fmt::Debug for EngineChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Docker(options) => f.debug_tuple("Docker").field(options).finish(),
            Self::Custom(engine) => f.debug_tuple("Custom").field(&engine.describe()).finish(),
        }
    }
}

/// An engine that was found, with what earlier processes left behind removed.
struct Readied(Arc<dyn Engine>);

impl std::fmt::Debug for Readied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.describe())
    }
}

/// The engine of a home.
#[derive(Debug)]
pub(crate) struct Engines {
    choice: EngineChoice,
    home: Home,
    blobs: Blobs,
    readied: OnceCell<Readied>,
}

impl Engines {
    /// None is looked for yet.
    pub(crate) fn new(choice: EngineChoice, home: Home, blobs: Blobs) -> Self {
        Self { choice, home, blobs, readied: OnceCell::new() }
    }

    /// Who owns what the home's builds make.
    pub(super) fn owner(&self) -> &str {
        &self.home.owner
    }

    /// The engine: found on first use, and cleared of what killed processes of this home have left.
    pub(super) async fn get(&self) -> Result<Arc<dyn Engine>, EngineError> {
        let readied = self.readied.get_or_try_init(|| async {
            let engine = self.find_engine().await?;
            let swept = tokio::select! {
                swept = self.sweep(engine.as_ref(), Sweep::default()) => swept.map_err(|error| error.to_string()),
                reason = lease::over(engine.as_ref(), LEASE) => Err(reason),
            };
            // A leftover that can't be removed is no reason not to build.
            match swept {
                Ok(removed) if removed.is_empty() => {}
                Ok(removed) => tracing::info!("removed what a killed build had left: {}", removed.join(", ")),
                Err(reason) => tracing::warn!("what earlier builds left behind could not be removed: {reason}"),
            }
            Ok(Readied(engine))
        });
        readied.await.map(|readied| readied.0.clone())
    }

    /// Removes what no live build of this home owns. Returns the names of what was removed, or would be.
    pub(crate) async fn collect_garbage(&self, sweep: Sweep) -> Result<Vec<String>, ControllerError> {
        let engine = self.find_engine().await?;
        self.sweep(engine.as_ref(), sweep).await
    }

    /// Removes all that a build of this home has in the engine: it was begun by a process that has died.
    pub(crate) async fn clear(&self, build: &str) -> Result<(), EngineError> {
        let engine = self.find_engine().await?;
        let removed = engine.sweep(self.owner(), &[build.to_owned()].into(), false).await?;
        if !removed.is_empty() {
            tracing::info!("removed what the build had left: {}", removed.join(", "));
        }
        Ok(())
    }

    async fn find_engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match &self.choice {
            EngineChoice::Docker(options) => Arc::new(DockerEngine::connect(options.clone()).await?),
            EngineChoice::Custom(engine) => engine.clone(),
        })
    }

    async fn sweep(&self, engine: &dyn Engine, sweep: Sweep) -> Result<Vec<String>, ControllerError> {
        let run = self.home.run();
        let fail = |source| ControllerError::Home { path: run.clone(), source };
        // In this order: a build takes its lock before it makes anything, so what is there now and has no lock later is dead.
        let known = engine.builds(&self.home.owner).await?;
        let (live, dead) = self.home.live_builds(!sweep.kept).map_err(fail)?;
        let leftovers = known.difference(&live).cloned().collect();
        let mut removed = engine.sweep(&self.home.owner, &leftovers, sweep.dry_run).await?;
        for dir in dead {
            if !sweep.dry_run {
                if let Ok(build) = std::fs::read_to_string(dir.join("build")) {
                    self.blobs.remove_below(&names::workspaces(&build)).await?;
                }
                match std::fs::remove_dir_all(&dir) {
                    // Somebody else sweeps too.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    other => other.map_err(|source| ControllerError::Home { path: dir.clone(), source })?,
                }
            }
            removed.push(dir.display().to_string());
        }
        Ok(removed)
    }
}
