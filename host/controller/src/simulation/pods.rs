//! The engine of a simulation. Its pods are there as long as the world is: a host that is killed leaves them behind, and they go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use monkeyci_engines::{Engine, EngineError, Part, PartExit, Pod, PodFound, PodService, PodState};
use monkeyci_storage::{Watched, Watcher};

use super::fault::JobFault;
use super::rules::Rule;
use super::sidecar;
use super::world::World;
use crate::clock::millis;

/// How long a pod's containers take to start at most, in milliseconds.
const STARTING_MS: u64 = 20_000;
/// How long the command of a job takes at most, in milliseconds.
const RUNNING_MS: u64 = 600_000;

/// A pod that was made.
pub(super) struct SimulatedPod {
    pub(super) pod: Pod,
    pub(super) attempt: u32,
    pub(super) fault: Option<JobFault>,
    /// How far its sidecar has come.
    pub(super) stage: Stage,
    /// How its containers ended, as far as they have.
    pub(super) ends: Watched<Ends>,
    /// Set when somebody wants it to end: how long that may take.
    pub(super) stop: Watched<Option<Duration>>,
}

/// How far a sidecar has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was not started.
    Made,
    /// It prepares the job.
    Prepares,
    /// The job's command runs, and ends at this moment of the world's time.
    Runs { until_ms: u64 },
}

/// How the containers of a pod ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) job: Option<Exit>,
    pub(super) sidecar: Option<Exit>,
    /// Its services have been stopped.
    pub(super) services: bool,
    /// It was removed.
    pub(super) removed: bool,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i64),
    OutOfMemory,
    /// It is not there any more.
    Gone,
}

impl Ends {
    /// How a part ended, if it has.
    fn of(&self, key: &str, part: &Part) -> Option<Result<PartExit, EngineError>> {
        let gone = || EngineError::NoSuchPart(key.to_owned());
        if self.removed {
            return Some(Err(gone()));
        }
        let exit = match part {
            Part::Job => self.job?,
            Part::Sidecar => self.sidecar?,
            // They run until somebody stops them.
            Part::Service(_) => self.services.then_some(Exit::Code(143))?,
        };
        Some(match exit {
            Exit::Code(code) => Ok(PartExit { code, out_of_memory: false }),
            Exit::OutOfMemory => Ok(PartExit { code: 137, out_of_memory: true }),
            Exit::Gone => Err(gone()),
        })
    }
}

/// The engine.
pub(super) struct WorldEngine(pub(super) Arc<World>);

impl WorldEngine {
    /// # Errors
    /// When the engine is away now.
    fn is_here(&self) -> Result<(), EngineError> {
        match self.0.now_ms() < self.0.away_until.get() {
            true => Err(EngineError::Gone("it is away".to_owned())),
            false => Ok(()),
        }
    }

    fn ends(&self, key: &str) -> Option<Watcher<Ends>> {
        self.0.pods(|pods| pods.get(key).map(|pod| pod.ends.watch()))
    }

    /// How long a step of a pod takes that takes so long at most.
    fn takes(&self, what: &str, pod: &Pod, attempt: u32, most_ms: u64) -> u64 {
        self.0.chance.spread(what, &format!("{}/{attempt}", pod.job), most_ms)
    }

    /// Has the world watch what the host starts: of each attempt a pod is made once, after it is on disk that it starts.
    fn is_made(&self, pod: &Pod, attempt: u32) {
        let job = &pod.job;
        if self.0.made(&pod.key) > 1 {
            self.0.breaks(Rule::StartsOnce, format!("the containers of {job}, attempt {attempt}, were made twice"));
        }
        self.0.note(format_args!("the containers of {job}, attempt {attempt}, are made"));
    }
}

/// Which attempt a pod is of.
fn attempt_of(pod: &Pod) -> u32 {
    pod.env.get("MONKEYCI_ATTEMPT").and_then(|attempt| attempt.parse().ok()).unwrap_or(1)
}

#[async_trait]
impl Engine for WorldEngine {
    fn describe(&self) -> String {
        "a simulation".to_owned()
    }

    async fn answers(&self) -> Result<(), EngineError> {
        self.is_here()
    }

    async fn start(&self, pod: &Pod, progress: &(dyn Fn(String) + Send + Sync)) -> Result<(), EngineError> {
        self.is_here()?;
        let attempt = attempt_of(pod);
        let known = self.0.pods(|pods| pods.get(&pod.key).map(|known| known.stage));
        if known.is_some_and(|stage| stage != Stage::Made) {
            return Ok(());
        }
        let fault = self.0.goes_wrong(&pod.job, attempt);
        if known.is_none() {
            self.is_made(pod, attempt);
            let (ends, stop) = (Watched::new(Ends::default()), Watched::new(None));
            let made = SimulatedPod { pod: pod.clone(), attempt, fault, stage: Stage::Made, ends, stop };
            self.0.pods(|pods| pods.insert(pod.key.clone(), made));
        }
        progress(format!("starting {}", pod.image));
        self.0.after(self.takes("starts", pod, attempt, STARTING_MS)).await;
        let image = pod.image.clone();
        match fault {
            Some(JobFault::NotStarted) => {
                return Err(EngineError::StartFailed { image, reason: "the simulation has it fail".to_owned() });
            }
            Some(JobFault::NoImage) => {
                return Err(EngineError::ImageNotFound { image, reason: "the simulation has none".to_owned() });
            }
            _ => {}
        }
        let key = pod.key.clone();
        let is_there = self.0.pods(|pods| pods.get_mut(&key).map(|pod| pod.stage = Stage::Prepares).is_some());
        if !is_there {
            return Err(EngineError::NoSuchPart(key));
        }
        tokio::spawn(sidecar::live(self.0.clone(), key));
        Ok(())
    }

    async fn wait(&self, key: &str, part: &Part) -> Result<PartExit, EngineError> {
        let gone = || EngineError::NoSuchPart(key.to_owned());
        let (mut ends, mut away) = (self.ends(key).ok_or_else(gone)?, self.0.away_until.watch());
        loop {
            self.is_here()?;
            ends.has_seen();
            if let Some(end) = ends.look(|ends| ends.of(key, part)) {
                return end;
            }
            tokio::select! {
                biased;
                changed = ends.changed() => changed.map_err(|_| gone())?,
                _ = away.changed() => {}
            }
        }
    }

    async fn stop(&self, key: &str, grace: Duration) -> Result<(), EngineError> {
        self.is_here()?;
        let Some(mut ends) = self.ends(key) else { return Ok(()) };
        self.0.note(format_args!("{key} is to stop within {} ms", millis(grace)));
        self.0.pods(|pods| pods.get(key).map(|pod| pod.stop.set(Some(grace))));
        // One that nobody prepares yet has nothing to stop.
        let is_prepared = self.0.pods(|pods| pods.get(key).is_some_and(|pod| pod.stage != Stage::Made));
        if is_prepared {
            let _ = ends.until(|ends| ends.job.is_some() || ends.removed).await;
        }
        Ok(())
    }

    async fn last_lines(&self, _key: &str, _part: &Part, _lines: usize) -> Result<String, EngineError> {
        self.is_here()?;
        Ok(String::new())
    }

    async fn rest(&self, key: &str, _services: &[PodService], _grace: Duration) -> Result<(), EngineError> {
        self.is_here()?;
        self.0.pods(|pods| {
            let Some(pod) = pods.get(key) else { return };
            pod.ends.change(|ends| {
                ends.services = true;
                ends.job.get_or_insert(Exit::Code(137));
                ends.sidecar.get_or_insert(Exit::Code(137));
            });
        });
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), EngineError> {
        self.is_here()?;
        let removed = self.0.pods(|pods| pods.remove(key));
        if let Some(pod) = removed {
            self.0.note(format_args!("the containers of {}, attempt {}, are removed", pod.pod.job, pod.attempt));
            pod.ends.change(|ends| ends.removed = true);
        }
        Ok(())
    }

    async fn pods(&self, owner: &str) -> Result<Vec<PodFound>, EngineError> {
        self.is_here()?;
        let state = |pod: &SimulatedPod| match (pod.stage, pod.ends.get().sidecar) {
            (Stage::Made, _) | (_, Some(Exit::Gone)) => PodState::Unfinished,
            (_, None) => PodState::Alive,
            (_, Some(_)) => PodState::Over,
        };
        let found = |(key, pod): (&String, &SimulatedPod)| PodFound {
            key: key.clone(),
            build: pod.pod.build.clone(),
            state: state(pod),
        };
        Ok(self.0.pods(|pods| pods.iter().filter(|(_, pod)| pod.pod.owner == owner).map(found).collect()))
    }

    async fn sweep(&self, owner: &str, builds: &BTreeSet<String>, dry_run: bool) -> Result<Vec<String>, EngineError> {
        let swept = self.pods(owner).await?.into_iter().filter(|pod| builds.contains(&pod.build)).map(|pod| pod.key);
        let swept: Vec<String> = swept.collect();
        if !dry_run {
            for key in &swept {
                self.remove(key).await?;
            }
        }
        Ok(swept)
    }
}

/// How long the command of a job takes that may take so long, in milliseconds.
pub(super) fn running_ms(world: &World, job: &str, attempt: u32, limit_ms: u64) -> u64 {
    world.chance.spread("runs", &format!("{job}/{attempt}"), RUNNING_MS.min(limit_ms / 4))
}
