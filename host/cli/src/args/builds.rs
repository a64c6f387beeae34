//! The command line of what looks at builds.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Subcommand, ValueEnum};
use monkeyci_controller::Standing;

use super::{HomeArgs, StoreArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host list --branch main --status failure")]
pub struct ListArgs {
    /// Only builds of this branch.
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Only builds that stand so. May be repeated.
    #[arg(long = "status", value_parser = standing(), value_name = "S")]
    pub standing: Vec<Standing>,
    /// At most so many.
    #[arg(long, short = 'n', value_name = "N", default_value = "20")]
    pub limit: NonZeroUsize,
    /// Print JSON: a list of objects.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub home: HomeArgs,
}

/// Where builds are, by their words.
fn standing() -> impl TypedValueParser<Value = Standing> {
    PossibleValuesParser::new(Standing::ALL.map(Standing::as_str)).try_map(|word| {
        let known = Standing::ALL.into_iter().find(|standing| standing.as_str() == word);
        known.ok_or("no build can stand so")
    })
}

/// A job of a build, by default of the newest.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    /// The job; before it, the build: `latest`, its id, or a part of it. Default: `latest`.
    #[arg(value_name = "JOB", num_args = 1..=2, required = true)]
    pub names: Vec<String>,
}

impl JobArgs {
    /// The build, and the job.
    pub fn names(&self) -> (&str, &str) {
        match self.names.as_slice() {
            [build, job] => (build, job),
            // The command line has one or two.
            names => ("latest", names.first().map_or("", String::as_str)),
        }
    }
}

/// A build, by default the newest.
#[derive(Debug, clap::Args)]
pub struct BuildArg {
    /// The build: `latest`, its id, or a part of it: its beginning, its end, or what comes after the last /.
    #[arg(value_name = "BUILD", default_value = "latest")]
    pub build: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host show latest")]
pub struct ShowArgs {
    #[command(flatten)]
    pub build: BuildArg,
    /// Print JSON: an object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host events latest --follow --json")]
pub struct EventsArgs {
    #[command(flatten)]
    pub build: BuildArg,
    /// Of a build that runs, print what comes too, until it is over.
    #[arg(long, short)]
    pub follow: bool,
    /// Print JSON, one event a line, as `run --progress json` does.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  monkeyci-host artifacts latest\n  monkeyci-host artifacts get app -o out"
)]
pub struct ArtifactsArgs {
    #[command(subcommand)]
    pub command: Option<ArtifactsCommand>,
    #[command(flatten)]
    pub build: BuildArg,
    /// Print JSON: a list of objects.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// Unpack an artifact: all of it, or nothing. Its files have the paths that they had in the job; what is there is never replaced.
    Get(GetArtifactArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host artifacts get app --build latest -o out")]
pub struct GetArtifactArgs {
    /// The artifact's id.
    pub id: String,
    /// The build, named as everywhere.
    #[arg(long, short, value_name = "BUILD", default_value = "latest")]
    pub build: String,
    /// The directory to unpack into; it is made if it is not there.
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    #[command(flatten)]
    pub stores: StoreArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host tests latest --slowest 20")]
pub struct TestsArgs {
    #[command(flatten)]
    pub build: BuildArg,
    /// How many of the slowest tests to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub slowest: usize,
    /// In how many builds of the repository to look for tests that pass and fail, up to this one.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub last: usize,
    /// Print JSON: an object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stores: StoreArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host logs latest unit --follow\n  monkeyci-host logs latest --failed --grep 'error|panicked'"
)]
pub struct LogsArgs {
    #[command(flatten)]
    pub build: BuildArg,
    /// Only the log of this job; `define` is what the script said while it declared its jobs.
    pub job: Option<String>,
    /// Only the logs of jobs that failed.
    #[arg(long, conflicts_with_all = ["job", "follow"])]
    pub failed: bool,
    /// Only this attempt of each job, from 1.
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    pub attempt: Option<u32>,
    /// Only lines in which this regular expression is found.
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only this stream. May be repeated.
    #[arg(long = "stream", value_enum, value_name = "S")]
    pub streams: Vec<Stream>,
    /// Print what the services of jobs wrote; without --stream, nothing else. Without this option that is left out.
    #[arg(long)]
    pub service: bool,
    /// Of a build that runs, print what comes too, as it comes, until the build is over. Any number of readers may do so.
    #[arg(long, short)]
    pub follow: bool,
    /// Print JSON, one object for each piece of a log, as `run --progress json` does.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub stores: StoreArgs,
}

/// A stream of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// The job's standard output.
    Stdout,
    /// The job's standard error.
    Stderr,
    /// What the host had to say.
    Host,
    /// What the job's services wrote, each line with its service in front.
    Service,
}
