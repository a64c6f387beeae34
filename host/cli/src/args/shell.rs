//! The command line of `shell`.

use super::builds::JobArgs;
use super::{HomeArgs, InputArgs};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "monkeyci-host shell [OPTIONS] [BUILD] JOB [-- COMMAND...]",
    after_help = "Examples:\n  monkeyci-host shell unit-test\n  monkeyci-host shell latest unit-test -- ls -l target"
)]
pub struct ShellArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// What to run. Default: the shell of the image. What comes on standard input is for that, if it is no terminal.
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
    /// Give the program the job's secrets too, and its services theirs. They are to be given again, as for `resume`: no journal has them.
    #[arg(long)]
    pub with_secrets: bool,
    /// Leave what was kept of a failed job as it is. Otherwise it is removed when the program ends.
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub inputs: InputArgs,
    #[command(flatten)]
    pub home: HomeArgs,
    /// What runs the containers: as for `run`.
    #[arg(long, value_name = "E", default_value = "auto")]
    pub engine: String,
}
