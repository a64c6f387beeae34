//! The command line of what runs some jobs of a build, or runs them again.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgGroup;
use monkeyci_build::{Again, Select};

use super::builds::BuildArg;
use super::{BreakArgs, ByArgs, EngineArgs, InputArgs, Progress, ReportArgs, StoreArgs, duration};

/// Which jobs of a build run.
#[derive(Debug, Default, clap::Args)]
pub struct SelectArgs {
    /// Run only this job, with all that it needs. May be repeated. What is left out is shown as skipped.
    #[arg(long = "job", value_name = "JOB", conflicts_with = "until")]
    pub only: Vec<String>,
    /// Run all jobs but those that come after this one: that need it, or need one that does. May be repeated.
    #[arg(long, value_name = "JOB")]
    pub until: Vec<String>,
}

impl SelectArgs {
    /// Which jobs are to run; all if `None`.
    pub fn select(&self) -> Option<Select> {
        match (self.only.as_slice(), self.until.as_slice()) {
            ([], []) => None,
            ([], until) => Some(Select::Until(until.iter().cloned().collect())),
            (only, _) => Some(Select::Jobs(only.iter().cloned().collect())),
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "Examples:\n  monkeyci-host rerun --failed\n  monkeyci-host rerun latest --from package --secret token=token.txt\n  monkeyci-host rerun latest --job unit --with-changes"
)]
pub struct RerunArgs {
    #[command(flatten)]
    pub build: BuildArg,
    /// Run what did not succeed, and what needs it. The results of all other jobs are reused.
    #[arg(long, group = "what")]
    pub failed: bool,
    /// Run this job, and what needs it. May be repeated.
    #[arg(long, value_name = "JOB", group = "what")]
    pub from: Vec<String>,
    /// Run this job alone, with what it needs and has no result to reuse. May be repeated.
    #[arg(long = "job", value_name = "JOB", group = "what")]
    pub alone: Vec<String>,
    /// Run all jobs: nothing is reused.
    #[arg(long, group = "what")]
    pub all: bool,
    /// Take code and script as they are now, and not as they were. A job that is declared otherwise than it was runs, and what is reused
    /// was made of the code of then: that is a warning.
    #[arg(long)]
    pub with_changes: bool,
    /// With --with-changes, the script: a component, or a crate. Default: what is in .monkeyci beside the code, if that is a directory and
    /// has one; else the script of the earlier build.
    #[arg(long, value_name = "SCRIPT", requires = "with_changes")]
    pub script: Option<PathBuf>,
    /// Secrets that the script asks for are to be given again: the journal has none. Parameters are what they were, unless the command line says
    /// otherwise.
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Who we are for git servers, once more; see `run`.
    #[arg(long = "git-auth", value_name = "A")]
    pub git_auth: Vec<String>,
    /// How many jobs may run at a time. Default: as many as then.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Stop the build after this time. Default: what it was then.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Leave the build's containers and files for you to look at, until `gc --kept`.
    #[arg(long)]
    pub keep: bool,
    /// Leave the containers of jobs that fail, stopped, for `shell` to look into, until a shell in them ends, or `gc --kept`.
    #[arg(long)]
    pub keep_failed: bool,
    #[command(flatten)]
    pub breaks: BreakArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
    #[command(flatten)]
    pub by: ByArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// How to show progress.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Progress::Auto)]
    pub progress: Progress,
}

impl RerunArgs {
    /// Which jobs run again.
    pub fn what(&self) -> Again {
        let all = |jobs: &[String]| jobs.iter().cloned().collect::<BTreeSet<_>>();
        match () {
            () if self.failed => Again::Failed,
            () if !self.from.is_empty() => Again::From(all(&self.from)),
            () if !self.alone.is_empty() => Again::Jobs(all(&self.alone)),
            () => Again::All,
        }
    }
}
