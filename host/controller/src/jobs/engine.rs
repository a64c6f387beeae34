//! The engine of a home: found on first use, and cleared of what killed builds have left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use monkeyci_engines::{DockerEngine, DockerOptions, Engine, EngineError, PodState};
use monkeyci_storage::{Blobs, names};
use tokio::sync::OnceCell;

use super::container;
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

/// What `gc` has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The names of what was removed, or would be.
    pub removed: Vec<String>,
    /// The builds whose host has died and whose containers still run: they wait for another host. Such a build is resumed or cancelled;
    /// after a while its containers end by themselves, and are removed as well.
    pub left: Vec<String>,
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

/// What an engine has of a build whose host has died.
pub(crate) struct Left {
    pub(super) engine: Arc<dyn Engine>,
    /// The jobs that go on.
    pub(crate) go_on: BTreeSet<String>,
    /// The keys of the other pods, which are to be removed.
    pub(super) others: BTreeSet<String>,
}

/// An attempt of a container job that ran when its host died.
pub(crate) struct Ran {
    pub(crate) job: String,
    pub(crate) attempt: u32,
    /// Whether its command is known to have begun.
    pub(crate) command_runs: bool,
    /// Whether its sidecar has said how it ended.
    pub(crate) reported: bool,
    /// Whether what its sidecar was told is there, and where it looks for the build API.
    pub(crate) finds_us: bool,
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
        let engine = self.find_engine().await?;
        self.sweep(engine.as_ref(), sweep).await
    }

    /// Looks what the engine has of a build that was begun by a process that has died. `ran` are the jobs that may go on; `left` says
    /// whether nobody has cleared anything away since.
    pub(crate) async fn found(&self, build: &str, ran: Vec<Ran>, left: bool) -> Result<Left, EngineError> {
        let engine = self.find_engine().await?;
        let pods = engine.pods(self.owner()).await?.into_iter().filter(|pod| pod.build == build);
        let mut pods: BTreeMap<String, PodState> = pods.map(|pod| (pod.key, pod.state)).collect();
        let mut go_on = BTreeSet::new();
        for Ran { job, attempt, command_runs, reported, finds_us } in ran {
            let key = container::key(build, &job, attempt);
            let goes_on = match pods.get(&key) {
                Some(PodState::Alive) => finds_us,
                Some(PodState::Over) => reported,
                // Its command can't have begun: the rest of the pod is made now.
                Some(PodState::Unfinished) | None => left && !command_runs && !reported,
            };
            if goes_on {
                pods.remove(&key);
                go_on.insert(job);
            }
        }
        Ok(Left { engine, go_on, others: pods.into_keys().collect() })
    }

    async fn find_engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match &self.choice {
            EngineChoice::Docker(options) => Arc::new(DockerEngine::connect(options.clone()).await?),
            EngineChoice::Custom(engine) => engine.clone(),
        })
    }

    async fn sweep(&self, engine: &dyn Engine, sweep: Sweep) -> Result<Swept, ControllerError> {
        let run = self.home.run();
        let fail = |source| ControllerError::Home { path: run.clone(), source };
        // In this order: a build takes its lock before it makes anything, so what is there now and has no lock later is dead.
        let known = engine.pods(&self.home.owner).await?;
        let (live, dead) = self.home.live_builds(!sweep.kept).map_err(fail)?;
        let dead = dead.into_iter().map(|dir| (std::fs::read_to_string(dir.join("build")).ok(), dir));
        let dead: Vec<(Option<String>, PathBuf)> = dead.collect();
        let waits = |build: &String| known.iter().any(|pod| pod.build == *build && pod.state == PodState::Alive);
        let is_dead = |build: &&String| dead.iter().any(|(dead, _)| dead.as_ref() == Some(*build));
        let all: BTreeSet<&String> = known.iter().map(|pod| &pod.build).collect();
        let left: BTreeSet<String> =
            all.iter().copied().filter(|build| waits(build)).filter(is_dead).cloned().collect();
        let leftovers = all.into_iter().filter(|build| !live.contains(*build) && !left.contains(*build)).cloned();
        let mut removed = engine.sweep(&self.home.owner, &leftovers.collect(), sweep.dry_run).await?;
        for (build, dir) in dead {
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
        Ok(Swept { removed, left: left.into_iter().collect() })
    }
}
