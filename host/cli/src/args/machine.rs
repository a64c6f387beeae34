//! The command line of what is about the machine and the command itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use clap_complete::Shell;

use super::{EngineArgs, HomeArgs, StoreArgs, duration, size};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host doctor")]
pub struct DoctorArgs {
    /// Print JSON: a list of objects.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub home: HomeArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: monkeyci-host completions bash >~/.local/share/bash-completion/completions/monkeyci-host"
)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  monkeyci-host man\n  monkeyci-host man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write the pages of all commands into this directory, a file each.
    #[arg(long, value_name = "D")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host version --json")]
pub struct VersionArgs {
    /// Print JSON: an object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  monkeyci-host help exit-codes\n  monkeyci-host help artifacts get")]
pub struct HelpArgs {
    /// A command, or one of exit-codes, environment, files and config.
    #[arg(value_name = "WHAT")]
    pub what: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host config show")]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show each value that counts where the command line says nothing, and where it comes from.
    Show(ConfigShowArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host config show --json")]
pub struct ConfigShowArgs {
    /// The directory of the code, whose file counts too.
    #[arg(long, value_name = "D", default_value = ".")]
    pub dir: PathBuf,
    /// Print JSON: a list of objects.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host gc --older-than 30d --keep-last 20 --dry-run")]
pub struct GcArgs {
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove also what builds with --keep or --keep-failed have left.
    #[arg(long)]
    pub kept: bool,
    /// Remove builds of which nothing was heard for longer than this, `30d` say: journal, logs, artifacts, test reports.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// Keep so many builds of each repository, however old they are; without --older-than, no more.
    #[arg(long, value_name = "N")]
    pub keep_last: Option<usize>,
    /// Keep caches of this size together, `10G` say, and remove those that were not used for longest (in a bucket: that were saved first).
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub cache_size: Option<u64>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host inspect ci.wasm")]
pub struct InspectArgs {
    /// The script: a WebAssembly component.
    #[arg(value_name = "SCRIPT.WASM")]
    pub script: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host schema >.monkeyci/build.schema.json")]
pub struct SchemaArgs {}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host limits --scopes")]
pub struct LimitsArgs {
    /// Print instead what each token opens at each route of the build API.
    #[arg(long)]
    pub scopes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
