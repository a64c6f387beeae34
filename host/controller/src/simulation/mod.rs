//! Simulations: builds in which everything but the script, the host and its journal's rules is made up, and goes wrong as a seed has it.
//!
//! **What runs**: the host as it is in production – driver, state machine, jobs' tasks, build API with its tokens and admission, watching of
//! pods, approvals, cancels, resuming – and the script in the real runtime, each action in a real instance. **What is made up**: time
//! (it goes on when nobody has anything to do), the engine with its containers, sidecars and launchers, which speak to the build API as
//! real ones do, people, the disk of the journal, and the store of blobs, in memory. The code is a real directory. **What does not run**: SQLite and
//! PostgreSQL, Docker, the sidecar's own program, sockets and HTTP, and jobs' commands, so no container job has a log.
//!
//! All of it happens in one thread, what the world does and what scripts call happens at moments of its own, and who waits for the same is
//! woken in the order in which they came to wait. So a seed gives the same run each time, to the byte.
//!
//! A fault is decided by the seed and its own name alone, so a run can be repeated with some of its faults: that is how a list of
//! them is made [short](Simulation::shrink).

mod assertions;
mod chance;
mod event;
mod fault;
mod journal;
mod people;
mod pods;
mod rules;
mod run;
mod seed_file;
mod sidecar;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use monkeyci_build::{BuildStatus, Event};
use monkeyci_script::{Compiler, Limits, LoadError, Runtime, RuntimeError, RuntimeOptions};
use monkeyci_storage::hex;
use sha2::{Digest, Sha256};
use tracing::subscriber::NoSubscriber;

use event::Learnt;
pub use fault::{Attempts, Fault, JobFault, NoFault};
pub use rules::{Broken, Rule};
pub use seed_file::{NoSeedFile, SeedFile};

use crate::error::ControllerError;
use crate::host::SubmitError;
use crate::running::BuildRequest;
use crate::source::SourceRequest;

/// How long `define` may take by the world's time.
const DEFINING: Duration = Duration::from_secs(3600);

/// A build to simulate.
///
/// ```no_run
/// use monkeyci_controller::simulation::Simulation;
/// use monkeyci_controller::{BuildRequest, SourceRequest};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let request = BuildRequest::new(std::fs::read("script.wasm")?, SourceRequest::Dir(".".into()));
/// let simulation = Simulation::new(request)?;
/// for seed in 0..1000 {
///     let run = simulation.run(seed)?;
///     if !run.broken.is_empty() {
///         let shrunk = simulation.shrink(&run)?;
///         panic!("seed {seed}: {} with {:?}", shrunk.broken[0], shrunk.faults);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Simulation {
    request: BuildRequest,
    runtime: Runtime,
    /// What an ordinary build tells of the script.
    learnt: OnceLock<Learnt>,
    /// What scripts were compiled to, if that goes with this.
    _compiled: Option<tempfile::TempDir>,
}

/// Why nothing was simulated. What a simulation finds is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// There is no place for the simulated host's home, or no thread for it.
    #[error("a simulated host can't be set up: {0}")]
    Home(#[source] io::Error),
    /// The script runtime does not work.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The script can't be loaded.
    #[error(transparent)]
    Script(#[from] LoadError),
    /// The host could not be opened.
    #[error(transparent)]
    Host(#[from] ControllerError),
    /// The host did not take the build.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The journal that a run has left can't be read.
    #[error("the journal of seed {0} can't be read: {1}")]
    Journal(u64, String),
}

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// What went wrong in it, of all that might have.
    pub faults: Vec<Fault>,
    /// The rules that were broken; none, if all is well.
    pub broken: Vec<Broken>,
    /// How the build ended; `None` if it did not.
    pub status: Option<BuildStatus>,
    /// How often a host was there for it: once, and once more each time that it was killed.
    pub lives: u32,
    /// How long it took by the world's time, in milliseconds.
    pub virtual_ms: u64,
    /// The build's journal.
    pub events: Vec<Event>,
    /// What the world did, each with its time in milliseconds.
    pub notes: Vec<String>,
    /// What the script's author says that holds sometimes, and whether it has: of many runs, it is to be so in one.
    pub sometimes: BTreeMap<String, bool>,
}

impl Run {
    /// All that happened, in text: two runs of a seed are the same if this is.
    pub fn trace(&self) -> String {
        let event = |event: &Event| {
            let body = serde_json::to_string(&event.body).unwrap_or_default();
            format!("{} {} {body}", event.seq, event.time_ms)
        };
        let lines: Vec<String> = self.events.iter().map(event).chain(self.notes.iter().cloned()).collect();
        lines.join("\n")
    }

    /// The SHA-256 of [`trace`](Self::trace), shortened.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.trace())[..8])
    }

    /// Whether it breaks one of the rules that the other one breaks.
    fn breaks_as(&self, other: &Self) -> bool {
        let rules =
            |run: &Self| run.broken.iter().map(|broken| (broken.rule, broken.job.clone())).collect::<BTreeSet<_>>();
        rules(self).intersection(&rules(other)).next().is_some()
    }
}

impl Simulation {
    /// Sets up what all runs share.
    ///
    /// # Errors
    /// When the script can't be loaded, or the script runtime does not work on this machine.
    pub fn new(request: BuildRequest) -> Result<Self, SimulationError> {
        let compiled = tempfile::tempdir().map_err(SimulationError::Home)?;
        let simulation = Self::cached(request, &compiled.path().join("compiled"))?;
        Ok(Self { _compiled: Some(compiled), ..simulation })
    }

    /// The same, where what scripts are compiled to is kept in this directory, `compiled` of a home say.
    ///
    /// # Errors
    /// Also when the directory can't be used.
    pub fn cached(request: BuildRequest, compiled: &Path) -> Result<Self, SimulationError> {
        // A call takes the world's time, and a guest's own work takes none of it.
        let limits = Limits { define_time: DEFINING, ..Limits::default() };
        let options = RuntimeOptions { cache_dir: Some(compiled.to_owned()), limits };
        let runtime = Runtime::new(options)?.with_compiler(Compiler::of_this_process());
        let runtime = runtime.load_for_all(request.script.clone())?;
        Ok(Self { request, runtime, learnt: OnceLock::new(), _compiled: None })
    }

    /// Runs the build once, with what this seed has in store for it. It takes a thread of its own, and this one waits for that.
    ///
    /// # Errors
    /// When nothing could be simulated.
    pub fn run(&self, seed: u64) -> Result<Run, SimulationError> {
        self.in_a_thread(seed, None)
    }

    /// The same, where these faults and no others happen. All else is as the seed has it: how long everything takes, and in which order.
    ///
    /// # Errors
    /// When nothing could be simulated.
    pub fn run_with(&self, seed: u64, faults: &[Fault]) -> Result<Run, SimulationError> {
        self.in_a_thread(seed, Some(faults.to_vec()))
    }

    /// Looks for a short list of faults with which the seed breaks the same rule as this run, and gives the run with these. It leaves one
    /// after the other out, as long as that changes nothing. A rule that is broken without any fault is broken by the order alone.
    ///
    /// # Errors
    /// When nothing could be simulated.
    pub fn shrink(&self, run: &Run) -> Result<Run, SimulationError> {
        let mut shortest = run.clone();
        // Half of it first, then less and less.
        let mut size = shortest.faults.len();
        while size > 0 {
            let mut at = 0;
            while at < shortest.faults.len() {
                let mut fewer = shortest.faults.clone();
                fewer.drain(at..(at + size).min(fewer.len()));
                let tried = self.run_with(run.seed, &fewer)?;
                // Of those that it was given, not all need have happened.
                if tried.breaks_as(run) && tried.faults.len() < shortest.faults.len() {
                    shortest = tried;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        Ok(shortest)
    }

    /// What is known of the script before its builds are made up.
    fn learnt(&self) -> Result<&Learnt, SimulationError> {
        if let Some(learnt) = self.learnt.get() {
            return Ok(learnt);
        }
        let ordinary = run::run(self, 0, Some(Vec::new()))?;
        let dir = match &self.request.source {
            SourceRequest::Dir(dir) => Some(dir.as_path()),
            SourceRequest::Git { .. } => None,
        };
        Ok(self.learnt.get_or_init(|| Learnt::of(&ordinary, dir)))
    }

    /// In a thread that no other runtime is entered in, and whose stack is as large as those of a host's.
    fn in_a_thread(&self, seed: u64, only: Option<Vec<Fault>>) -> Result<Run, SimulationError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(format!("seed {seed}")).stack_size(8 << 20);
            // What the simulated host logs is nothing that happens.
            let quiet = || tracing::subscriber::with_default(NoSubscriber::default(), || run::run(self, seed, only));
            let running = thread.spawn_scoped(scope, quiet).map_err(SimulationError::Home)?;
            running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
