//! One run: the lives of a host, in each of which it drives the build as far as it comes.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use monkeyci_build::{BuildState, Event, EventBody};
use monkeyci_storage::journal::{Journal, MemoryJournal, history};
use monkeyci_storage::{Blobs, JournalError};

use super::chance::Chance;
use super::event;
use super::fault::Fault;
use super::journal::WorldJournal;
use super::people::{self, People};
use super::pods::{Stage, WorldEngine};
use super::rules::{Broken, Rule, broken_by, differs, parts};
use super::world::{Outside, World, WorldClock, WorldSurroundings};
use super::{Run, Simulation, SimulationError};
use crate::host::{Host, Shutdown, Substitutes};
use crate::jobs::Sweep;
use crate::running::{BuildHandle, BuildReport, BuildRequest, ResumeError, ResumeRequest};

/// A build that has not ended after this time does not end.
const ENDLESS: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long it takes until a host that was killed is there again, at most, in milliseconds.
const DOWN_MS: u64 = 1_200_000;
/// How many jobs run at a time, at most.
const AT_A_TIME: u64 = 8;
/// How often a host is there again: it is killed less often.
const LIVES: u32 = 64;
/// How long the host has to clear away when the build is over.
const CLEARING: Duration = Duration::from_secs(600);
/// Where the homes of hosts are, where there is such a place: they are small, and gone in a moment.
const IN_MEMORY: &str = "/dev/shm";
/// Tells the build from others of its repository, and makes its id the same each time.
const KEY: &str = "simulation";

/// How a life of the host came to its end.
enum Life {
    /// The build is over.
    Over(Option<Arc<BuildHandle>>),
    /// It was killed.
    Killed,
    /// It broke a rule.
    Broke(Broken),
}

/// What outlives the hosts of a run.
struct Setting<'a> {
    simulation: &'a Simulation,
    request: BuildRequest,
    world: Arc<World>,
    journal: Arc<MemoryJournal>,
    blobs: Blobs,
    home: &'a Path,
}

/// Runs the build once; and once more for each fault by which it is to be compared with another run.
pub(super) fn run(simulation: &Simulation, seed: u64, only: Option<Vec<Fault>>) -> Result<Run, SimulationError> {
    let mut run = once(simulation, seed, only, Outside::default())?;
    for fault in run.faults.clone() {
        let outside = match fault {
            Fault::Clock { seconds } => Outside { ahead_ms: seconds.saturating_mul(1000), number: 0 },
            Fault::Random { number } => Outside { ahead_ms: 0, number },
            _ => continue,
        };
        let other = once(simulation, seed, Some(run.faults.clone()), outside)?;
        run.broken.extend(parts(&run, &other, &fault));
    }
    Ok(run)
}

fn once(
    simulation: &Simulation,
    seed: u64,
    only: Option<Vec<Fault>>,
    outside: Outside,
) -> Result<Run, SimulationError> {
    let chance = Chance { seed };
    let about = match &only {
        None => simulation.learnt()?.drawn(&chance, &simulation.request),
        Some(faults) => faults.iter().filter(|fault| fault.is_about_the_build()).cloned().collect(),
    };
    // By its id, what is in the script's hash maps has its order.
    let key = if outside.number == 0 { KEY.to_owned() } else { format!("{KEY}-{}", outside.number) };
    let request = event::with(simulation.request.clone(), &about).key(key);
    let home = tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir()).map_err(SimulationError::Home)?;
    // The same in every run: what is drawn for a home stands in journals.
    for (name, content) in [("owner", "5".repeat(16)), ("digest-key", "5".repeat(64))] {
        std::fs::write(home.path().join(name), content).map_err(SimulationError::Home)?;
    }
    let (journal, blobs) = (Arc::new(MemoryJournal::default()), Blobs::none());
    let world = World::new(chance, only, &about, outside);
    let setting = Setting { simulation, request, world, journal, blobs, home: home.path() };
    let world = &setting.world;
    let mut broken = Vec::new();
    let mut lives = 0;
    let live = loop {
        lives += 1;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .map_err(SimulationError::Home)?;
        let life = runtime.block_on(live(&setting, lives));
        // What is left of it does not go on: it is as if its process had been killed.
        drop(runtime);
        match life? {
            Life::Over(live) => break live,
            Life::Broke(rule) => {
                broken.push(rule);
                break None;
            }
            Life::Killed if !world.broken().is_empty() || lives > LIVES => break None,
            Life::Killed => {}
        }
    };
    let events = read(&setting)?;
    let faults = world.happened();
    let is_slow = faults.iter().any(Fault::is_slow);
    broken.extend(world.broken());
    broken.extend(world.said(|said| said.broken()));
    let is_said = !broken.is_empty();
    // That the build has not ended is said once.
    broken.extend(
        broken_by(&events, is_slow, world.healed_at()).into_iter().filter(|found| !is_said || found.rule != Rule::Ends),
    );
    if let Some(live) = live {
        broken.extend(differs(&events, &BuildState::clone(&live.state())));
        let left: Vec<String> = world.pods(|pods| pods.values().map(|pod| pod.pod.job.clone()).collect());
        for job in left {
            broken.push(Broken::new(Rule::NothingLeft, Some(&job), "its containers are left when the build is over"));
        }
    }
    let virtual_ms = world.now_ms();
    let report = BuildReport::of(&build_of(&events), &events);
    Ok(Run {
        seed,
        faults,
        lives,
        virtual_ms,
        status: report.map(|report| report.status),
        broken,
        events,
        notes: world.notes(),
        sometimes: world.said(|said| said.sometimes()),
    })
}

fn build_of(events: &[Event]) -> String {
    let build = events.first().and_then(|event| match &event.body {
        EventBody::BuildTriggered { build, .. } => Some(build.clone()),
        _ => None,
    });
    build.unwrap_or_default()
}

/// The journal of the build, as it is in the end.
fn read(Setting { journal, world, .. }: &Setting<'_>) -> Result<Vec<Event>, SimulationError> {
    let read = async {
        match journal.builds().await?.first() {
            Some(build) => Ok(history(&**journal, build).await?.map(|history| history.events).unwrap_or_default()),
            None => Ok(Vec::new()),
        }
    };
    let failed = |error: String| SimulationError::Journal(world.chance.seed, error);
    // What is in memory is there at once.
    let read: Option<Result<_, JournalError>> = read.now_or_never();
    read.unwrap_or_else(|| Ok(Vec::new())).map_err(|error| failed(error.to_string()))
}

/// A life of the host.
async fn live(setting: &Setting<'_>, life: u32) -> Result<Life, SimulationError> {
    let world = &setting.world;
    let down_ms = if life == 1 { 0 } else { world.chance.spread("down", &life.to_string(), DOWN_MS) };
    world.begin_life(Duration::from_millis(down_ms));
    world.note(format_args!("life {life} of the host"));
    let came = tokio::select! {
        biased;
        () = world.until_killed() => Ok(Life::Killed),
        came = drive(setting, life) => came,
        () = tokio::time::sleep(ENDLESS) => {
            let how = format!("the build has not ended after {} days", ENDLESS.as_secs() / 86_400);
            Ok(Life::Broke(Broken::new(Rule::Ends, None, how)))
        }
    };
    if let Some(host) = world.host() {
        host.dies();
    }
    world.end_life();
    came
}

/// Drives the build to its end, from its beginning, or from where the journal ends.
async fn drive(setting: &Setting<'_>, life: u32) -> Result<Life, SimulationError> {
    let Setting { simulation, request, world, journal, blobs, home } = setting;
    let substitutes = Substitutes {
        journal: Arc::new(WorldJournal::new(journal.clone(), world.clone())),
        blobs: blobs.clone(),
        runtime: simulation.runtime.clone().simulated(Arc::new(WorldSurroundings(world.clone()))),
        pace: Arc::new(world.clone()),
    };
    let host = Host::builder(home)
        .engine(Arc::new(WorldEngine(world.clone())))
        .observer(Arc::new(People(world.clone())))
        .clock(WorldClock(world.clone()))
        // Whatever file: it is not run.
        .sidecar_program(home.join("owner"))
        .park_after(None)
        .substitutes(substitutes)
        .open()
        .await?;
    world.enters(host.clone());
    let prepared = world.pods(|pods| {
        let runs = pods.iter().filter(|(_, pod)| pod.stage != Stage::Made && pod.ends.get().sidecar.is_none());
        runs.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    });
    for key in prepared {
        tokio::spawn(super::sidecar::live(world.clone(), key));
    }
    let known = journal.builds().await.ok().and_then(|builds| builds.first().cloned());
    let build = match known {
        None => {
            let mut request = request.clone();
            // Not as many as this machine has processors: a seed is the same everywhere.
            let more = usize::try_from(world.chance.below("at a time", "", AT_A_TIME)).unwrap_or(0);
            request.max_running = NonZeroUsize::MIN.saturating_add(more);
            host.submit(request).await?
        }
        Some(build) => {
            // An engine that is away can't say what it has: whoever resumes is told so, and tries again.
            world.until_engine_is_back().await;
            let mut resume = ResumeRequest::new(build, "the simulation");
            resume.inputs = request.inputs.clone();
            resume.inputs.params.clear();
            resume.again = world.chance.unit("again", &life.to_string()) < 0.5;
            match host.resume(resume).await {
                Ok(build) => build,
                Err(ResumeError::Over { .. }) => return Ok(Life::Over(None)),
                Err(error) => return Ok(Life::Broke(Broken::new(Rule::Resumes, None, error.to_string()))),
            }
        }
    };
    let live = host.live(build.id());
    people::go_on(world, &host, &build);
    if let Err(error) = build.wait().await {
        return Ok(Life::Broke(Broken::new(Rule::Ends, None, error.to_string())));
    }
    // What an engine was asked to remove that was away, is removed when it is back.
    world.until_engine_is_back().await;
    if world.was_away() {
        host.collect_garbage(Sweep::default()).await?;
    }
    host.shutdown(Shutdown::Drain, CLEARING).await;
    Ok(Life::Over(live))
}
