//! The engine of a home: found on first use, and cleared of what killed builds have left.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError, PodState};
use monkeyci_storage::{Blobs, names};
use tokio::sync::OnceCell;

use super::container::kept_in;
use super::lease::{self, LEASE};
use crate::error::ControllerError;
use crate::home::{DeadBuild, Home, is_held};

/// What `gc` removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Remove nothing, and say what would be.
    pub dry_run: bool,
    /// Remove also what builds with `keep` have left on purpose.
    pub kept: bool,
}

/// What `gc` has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The names of what was removed, or would be.
    pub removed: Vec<String>,
    /// The builds whose host has died and whose containers still run: they wait for another host. Such a build is resumed or cancelled;
    /// after a while its containers end by themselves, and are removed as well.
    pub left: Vec<String>,
    /// The failed jobs whose containers are kept for somebody to look into, with their builds.
    pub kept: Vec<(String, String)>,
}

/// What runs container jobs.
#[derive(Clone)]
pub(crate) enum EngineChoice {
    /// Docker or Podman, through their API.
    Docker(Box<DockerOptions>),
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
            let engine = self.find().await?;
            let swept = tokio::select! {
                biased;
                swept = self.sweep(engine.as_ref(), Sweep::default()) => swept.map_err(|error| error.to_string()),
                reason = lease::over(engine.as_ref(), LEASE) => Err(reason),
            };
            // A leftover that can't be removed is no reason not to build.
            match swept {
                Ok(Swept { removed, .. }) if removed.is_empty() => {}
                Ok(Swept { removed, .. }) => {
                    tracing::info!("removed what a killed build had left: {}", removed.join(", "));
                }
                Err(reason) => tracing::warn!("what earlier builds left behind could not be removed: {reason}"),
            }
            Ok(Readied(engine))
        });
        readied.await.map(|readied| readied.0.clone())
    }

    /// Removes what no live build of this home owns, and what no dead one needs to go on.
    pub(crate) async fn collect_garbage(&self, sweep: Sweep) -> Result<Swept, ControllerError> {
        let engine = self.find().await?;
        self.sweep(engine.as_ref(), sweep).await
    }

    /// The engine, and nothing removed from it.
    pub(crate) async fn find(&self) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match &self.choice {
            EngineChoice::Docker(options) => Arc::new(DockerEngine::connect(*options.clone()).await?),
            EngineChoice::Custom(engine) => engine.clone(),
        })
    }

    async fn sweep(&self, engine: &dyn Engine, sweep: Sweep) -> Result<Swept, ControllerError> {
        let run = self.home.run();
        let fail = |source| ControllerError::Home { path: run.clone(), source };
        // In this order: a build takes its lock before it makes anything, so what is there now and has no lock later is dead.
        let known = engine.pods(&self.home.owner).await?;
        let (live, dead) = self.home.live_builds(!sweep.kept).map_err(fail)?;
        let is_dead = |build: &str| dead.iter().any(|dead| dead.build.as_deref() == Some(build));
        let left: BTreeSet<String> = known
            .iter()
            .filter(|pod| pod.state == PodState::Alive && is_dead(&pod.build))
            .map(|pod| pod.build.clone())
            .collect();
        // Also of a build that was not kept as a whole, because its host has died before its end.
        let is_kept = |dir: &Path| !sweep.kept && !kept_in(dir).is_empty();
        let (held, dead): (Vec<DeadBuild>, Vec<DeadBuild>) =
            dead.into_iter().partition(|dead| is_held(&dead.dir) || is_kept(&dead.dir));
        let is_held = |build: &str| held.iter().any(|held| held.build.as_deref() == Some(build));
        let leftovers = known.into_iter().map(|pod| pod.build);
        let leftovers =
            leftovers.filter(|build| !live.contains(build) && !left.contains(build) && !is_held(build)).collect();
        let mut removed = engine.sweep(&self.home.owner, &leftovers, sweep.dry_run).await?;
        for DeadBuild { build, dir } in dead {
            if build.as_ref().is_some_and(|build| left.contains(build)) {
                continue;
            }
            if !sweep.dry_run {
                if let Some(build) = build {
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
        if !sweep.dry_run {
            // Of builds they have names only, and those that were parked there have lost their host.
            self.home.remove_dead_hosts().map_err(fail)?;
        }
        let mut kept = Vec::new();
        for (build, dir) in self.home.build_dirs().map_err(fail)? {
            // With a dry run, what would be removed is still there.
            if !removed.iter().any(|removed| *removed == dir.display().to_string()) {
                kept.extend(kept_in(&dir).into_iter().map(|kept| (build.clone(), kept.job)));
            }
        }
        Ok(Swept { removed, left: left.into_iter().collect(), kept })
    }
}
