//! The command line of simulations.

use std::num::NonZeroU64;
use std::path::PathBuf;

use monkeyci_controller::simulation::Fault;

use super::{GivenArgs, InputArgs};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host sim\n  monkeyci-host sim ci.wasm --seeds 5000\n  monkeyci-host sim ci.wasm --seed 17 --trace\n  monkeyci-host sim ci.wasm --save found.seed\n  monkeyci-host sim ci.wasm --seed-file found.seed\n  monkeyci-host sim ci.wasm --seed 17 --fault build/1:exit=1 --fault kill=12"
)]
pub struct SimArgs {
    /// The script: a WebAssembly component, or the crate of one, which cargo compiles first. Default: what is in .monkeyci beside
    /// the code.
    #[arg(value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// The code: this directory as it stands, as `run` has it.
    #[arg(long, value_name = "D", default_value = ".")]
    pub dir: PathBuf,
    /// How many seeds to try, from 0 on, until one fails.
    #[arg(long, value_name = "N", default_value = "200", conflicts_with = "seed")]
    pub seeds: NonZeroU64,
    /// Try this seed alone.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Have this go wrong, and nothing else: JOB/ATTEMPT:FAULT, JOB:FAULT or *:FAULT, with exit=CODE, oom, killed, lost, sidecar-dies, hangs,
    /// not-started, no-image, engine-away=SECONDS, twice, late=SECONDS or not-saved; kill=RECORD and lose=RECORD, which kill the host when a
    /// record of the journal is on disk or just before; full=RECORD:SECONDS, cancel=MILLISECONDS, reject=JOB; and of the build, branch=NAME, tag=NAME,
    /// changed=PATH, param=NAME=VALUE, fork, and clock=SECONDS and random=NUMBER, which compare the run with one in which the script sees another time or
    /// other random numbers. May be repeated.
    #[arg(long = "fault", value_name = "F")]
    pub faults: Vec<Fault>,
    /// Have nothing go wrong, and the build be as it is asked for: only order and duration change from seed to seed.
    #[arg(long, conflicts_with = "faults")]
    pub no_faults: bool,
    /// Run what this file says, which --save has written. May be repeated.
    #[arg(long, value_name = "F", conflicts_with_all = ["seed", "seeds", "faults", "no_faults"])]
    pub seed_file: Vec<PathBuf>,
    /// Write the first seed that fails to this file, with the faults that are enough for it.
    #[arg(long, value_name = "F", conflicts_with = "seed_file")]
    pub save: Option<PathBuf>,
    /// Go on after a seed that fails.
    #[arg(long)]
    pub keep_going: bool,
    /// Print all that happened in the run of the seed: its journal, and what the simulated world did.
    #[arg(long, requires = "seed")]
    pub trace: bool,
    #[command(flatten)]
    pub given: GivenArgs,
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
