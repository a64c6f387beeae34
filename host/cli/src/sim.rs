//! `monkeyci-host sim`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use monkeyci_build::BuildStatus;
use monkeyci_controller::simulation::{Fault, NoSeedFile, Run, SeedFile, Simulation, SimulationError};
use monkeyci_controller::{BuildRequest, SourceRequest};
use serde_json::json;

use crate::Done;
use crate::args::SimArgs;
use crate::exit::Exit;
use crate::text::{duration, harmless_lines, print_line, quoted};
use crate::{given, inputs, script};

type Failed = (Exit, anyhow::Error);

/// Runs the build in a simulation, with one seed after the other, and says which rules are broken.
pub async fn sim(args: SimArgs) -> Done {
    let simulation = Arc::new(simulation(&args)?);
    let only: Option<Arc<[Fault]>> = match (args.no_faults, args.faults.as_slice()) {
        (true, _) => Some(Arc::from([])),
        (false, []) => None,
        (false, faults) => Some(faults.into()),
    };
    let files = args.seed_file.iter().map(|path| seed_file(path)).collect::<Result<Vec<_>, _>>()?;
    let seeds = match args.seed {
        _ if !files.is_empty() => 0..0,
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..args.seeds.get(),
    };
    let runs = files.into_iter().map(|file| (file.seed, Some(Arc::from(file.faults))));
    let runs = runs.chain(seeds.map(|seed| (seed, only.clone())));
    let (began, mut summary) = (Instant::now(), Summary::default());
    for (seed, only) in runs {
        let run = run(&simulation, seed, only.clone()).await?;
        summary.count(&run);
        if args.trace {
            print_line(&harmless_lines(&run.trace()));
        }
        if run.broken.is_empty() {
            continue;
        }
        let failed = Finding::of(&simulation, run, only.is_some()).await?;
        if let Some(path) = args.save.as_ref().filter(|_| summary.failed.is_empty()) {
            save(path, &SeedFile::of(&failed.run))?;
        }
        if !args.json {
            failed.lines().iter().for_each(|line| print_line(&harmless_lines(line)));
        }
        summary.failed.push(failed);
        if !args.keep_going {
            break;
        }
    }
    // Of a single run, or of one that was broken off, nobody can say what others come to.
    if args.seed.is_some() || !args.seed_file.is_empty() || (!summary.failed.is_empty() && !args.keep_going) {
        summary.sometimes.clear();
    }
    match args.json {
        true => print_line(&summary.json().to_string()),
        false => {
            summary.never().iter().for_each(|what| {
                print_line(&harmless_lines(&format!("in none of {} seeds: {what}", summary.seeds)));
            });
            print_line(&summary.line(began.elapsed()));
        }
    }
    let is_good = summary.failed.is_empty() && summary.never().is_empty();
    Ok(if is_good { Exit::Success } else { Exit::BadScript })
}

fn seed_file(path: &Path) -> Result<SeedFile, Failed> {
    let usage =
        |error: anyhow::Error| (Exit::Usage, error.context(format!("the seed file {} can't be used", path.display())));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.into()))?;
    text.parse().map_err(|error: NoSeedFile| usage(error.into()))
}

fn save(path: &Path, file: &SeedFile) -> Result<(), Failed> {
    let failed = |error| (Exit::Usage, anyhow!("the seed can't be written to {}: {error}", path.display()));
    std::fs::write(path, file.to_string()).map_err(failed)
}

fn simulation(args: &SimArgs) -> Result<Simulation, Failed> {
    let usage = |error: anyhow::Error| (Exit::Usage, error);
    let given = given::collect(&args.given).map_err(usage)?;
    let place = script::of(args.script.as_deref(), &args.dir)?;
    if !args.dir.is_dir() {
        let error = anyhow!("{} is not a directory; name the code's directory with --dir", args.dir.display());
        return Err(usage(error));
    }
    let trigger = given::trigger(&given);
    let mut request = BuildRequest::new(script::at(&place)?, SourceRequest::Dir(args.dir.clone())).trigger(trigger);
    request.inputs = inputs::collect(&args.inputs, std::env::vars_os()).map_err(usage)?;
    request.given = given;
    Simulation::new(request).map_err(failed)
}

fn failed(error: SimulationError) -> Failed {
    let exit = match &error {
        SimulationError::Script(_) => Exit::BadScript,
        _ => Exit::Infrastructure,
    };
    (exit, error.into())
}

/// A run, on a thread for what blocks: whoever interrupts the command waits for no more than this.
async fn run(simulation: &Arc<Simulation>, seed: u64, only: Option<Arc<[Fault]>>) -> Result<Run, Failed> {
    blocking(simulation, move |simulation| match only {
        None => simulation.run(seed),
        Some(faults) => simulation.run_with(seed, &faults),
    })
    .await
}

async fn blocking<T: Send + 'static>(
    simulation: &Arc<Simulation>,
    work: impl FnOnce(&Simulation) -> Result<T, SimulationError> + Send + 'static,
) -> Result<T, Failed> {
    let simulation = simulation.clone();
    let done = tokio::task::spawn_blocking(move || work(&simulation)).await;
    done.map_err(|error| (Exit::Infrastructure, anyhow!("a simulation came to no end: {error}")))?.map_err(failed)
}

/// A seed that fails, made short.
struct Finding {
    run: Run,
    /// Whether a second run of it was the same, to the byte.
    repeats: bool,
    /// How many faults there were before.
    of: usize,
}

impl Finding {
    async fn of(simulation: &Arc<Simulation>, run: Run, given: bool) -> Result<Self, Failed> {
        let of = run.faults.len();
        let shrunk = blocking(simulation, move |simulation| {
            let run = if given { run } else { simulation.shrink(&run)? };
            let again = simulation.run_with(run.seed, &run.faults)?;
            Ok((again.trace() == run.trace(), run))
        });
        let (repeats, run) = shrunk.await?;
        Ok(Self { run, repeats, of })
    }

    fn faults(&self) -> Vec<String> {
        self.run.faults.iter().map(Fault::to_string).collect()
    }

    fn lines(&self) -> Vec<String> {
        let seed = self.run.seed;
        let mut lines: Vec<String> =
            self.run.broken.iter().map(|broken| format!("seed {seed} breaks {broken}")).collect();
        let faults = match self.run.faults.as_slice() {
            [] => "it takes no fault: it is the order alone".to_owned(),
            _ => {
                let of = if self.of == 1 { "1 fault".to_owned() } else { format!("{} faults", self.of) };
                format!("it takes {}, of {of} in that seed", self.faults().join(", "))
            }
        };
        lines.push(format!("  {faults}"));
        lines.push(format!("  again: {}", repeat(std::env::args(), &self.run)));
        if !self.repeats {
            lines.push(
                "  a second run of it was another one, which is a fault of the simulation: please report it".to_owned(),
            );
        }
        lines
    }
}

/// The command that runs a seed with its faults again: this one, with them.
fn repeat(words: impl Iterator<Item = String>, run: &Run) -> String {
    /// What of this command goes, and whether a value follows it.
    const GOES: [(&str, bool); 9] = [
        ("--seeds", true),
        ("--seed", true),
        ("--seed-file", true),
        ("--save", true),
        ("--fault", true),
        ("--no-faults", false),
        ("--keep-going", false),
        ("--json", false),
        ("--trace", false),
    ];
    let (mut kept, mut skip) = (Vec::new(), false);
    for (at, word) in words.enumerate() {
        if at == 0 {
            kept.push("monkeyci-host".to_owned());
        } else if std::mem::take(&mut skip) {
            continue;
        } else if let Some((_, value)) = GOES.iter().find(|(option, _)| *option == word) {
            skip = *value;
        } else if !GOES.iter().any(|(option, value)| *value && word.starts_with(&format!("{option}="))) {
            kept.push(quoted(&word));
        }
    }
    kept.push(format!("--seed {}", run.seed));
    match run.faults.as_slice() {
        [] => kept.push("--no-faults".to_owned()),
        faults => kept.extend(faults.iter().map(|fault| format!("--fault {}", quoted(&fault.to_string())))),
    }
    kept.join(" ")
}

/// What all runs came to.
#[derive(Default)]
struct Summary {
    seeds: u64,
    /// How many builds ended so.
    ended: BTreeMap<&'static str, u64>,
    faults: usize,
    kills: u64,
    virtual_ms: u64,
    /// What is to be so sometimes, and whether it was.
    sometimes: BTreeMap<String, bool>,
    failed: Vec<Finding>,
}

impl Summary {
    fn count(&mut self, run: &Run) {
        self.seeds += 1;
        *self.ended.entry(run.status.map_or("no end", BuildStatus::as_str)).or_default() += 1;
        self.faults += run.faults.len();
        self.kills += u64::from(run.lives.saturating_sub(1));
        self.virtual_ms = self.virtual_ms.saturating_add(run.virtual_ms);
        for (what, is_so) in &run.sometimes {
            *self.sometimes.entry(what.clone()).or_default() |= *is_so;
        }
    }

    /// What is to be so sometimes, and never was.
    fn never(&self) -> Vec<&str> {
        self.sometimes.iter().filter(|(_, is_so)| !**is_so).map(|(what, _)| what.as_str()).collect()
    }

    fn line(&self, took: Duration) -> String {
        let ended: Vec<String> = self.ended.iter().map(|(how, count)| format!("{count} {how}")).collect();
        let Self { seeds, faults, kills, virtual_ms, failed, .. } = self;
        format!(
            "sim: {seeds} seeds, {} failed; builds: {}; {faults} faults, {kills} kills of the host; {} of builds in {:.1} s",
            failed.len(),
            ended.join(", "),
            duration(*virtual_ms),
            took.as_secs_f64()
        )
    }

    fn json(&self) -> serde_json::Value {
        let finding = |finding: &Finding| {
            let broken = finding
                .run
                .broken
                .iter()
                .map(|broken| json!({ "rule": broken.rule.name(), "job": broken.job, "how": broken.how }));
            json!({
                "seed": finding.run.seed, "broken": broken.collect::<Vec<_>>(), "faults": finding.faults(),
                "repeat": repeat(std::env::args(), &finding.run), "repeats": finding.repeats,
            })
        };
        let failed: Vec<_> = self.failed.iter().map(finding).collect();
        json!({
            "ok": failed.is_empty() && self.never().is_empty(), "never": self.never(), "seeds": self.seeds, "failed": failed, "ended": self.ended, "faults": self.faults,
            "kills": self.kills, "virtual_ms": self.virtual_ms,
        })
    }
}
