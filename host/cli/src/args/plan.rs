//! The command line of plans.

use std::path::PathBuf;

use super::{ScriptArgs, SelectArgs};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host plan\n  monkeyci-host plan --branch main --assume last\n  monkeyci-host plan new.wasm --diff old.wasm --event push.json --event tag.json"
)]
pub struct PlanArgs {
    #[command(flatten)]
    pub script: ScriptArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    /// What to assume of results: `success`, that all jobs succeed; `last`, what they were in the last build of this repository; or FILE,
    /// JSON of jobs with their status and outputs: {"test": {"status": "failure"}, "package": {"outputs": {"version": "1.2"}}}. Where
    /// something is assumed, late jobs and actions are asked what they make of it. Default: nothing.
    #[arg(long, value_name = "success|last|FILE")]
    pub assume: Option<String>,
    /// Tell this script, a component or a crate, apart from SCRIPT, the new one: jobs, their fields, and what is asked for. Exits with 3 when
    /// they differ.
    #[arg(long, value_name = "OLD")]
    pub diff: Option<PathBuf>,
    /// Replay the last N builds of this repository with the script, and say of how many it goes another way. Exits with 3 when it does of one.
    /// What was said of them then is said again: it takes no parameters, and nothing to try conditions.
    #[arg(long, value_name = "N", conflicts_with_all = [
        // They are told as they were then.
        "diff", "assume", "only", "until", "reference", "trigger", "branch", "tag", "changed", "event", "params", "param_files", "reveal",
    ])]
    pub replay_last: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
