//! The command line of what speaks to a build that runs.

use super::{EngineArgs, HomeArgs, StoreArgs};

/// In whose name.
#[derive(Debug, clap::Args)]
pub struct ByArgs {
    /// Who does it, for the build's journal. Default: $USER.
    #[arg(id = "by", long = "by", value_name = "NAME", env = "USER", default_value = "somebody")]
    pub name: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host approve latest deploy --comment 'ship it'")]
pub struct ApproveArgs {
    /// The build: `latest`, its id, or a part of it.
    pub build: String,
    /// The job that waits.
    pub job: String,
    /// Reject it: the job fails, and what needs it is skipped.
    #[arg(long)]
    pub reject: bool,
    #[command(flatten)]
    pub by: ByArgs,
    /// What to say to it.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host publish latest deploy/finished '{\"region\": \"eu\"}'")]
pub struct PublishArgs {
    /// The build: `latest`, its id, or a part of it.
    pub build: String,
    /// The event's name.
    pub name: String,
    /// The event's payload, a JSON text.
    #[arg(default_value = "null")]
    pub payload: String,
    #[command(flatten)]
    pub by: ByArgs,
    #[command(flatten)]
    pub home: HomeArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host cancel latest")]
pub struct CancelArgs {
    /// The build: `latest`, its id, or a part of it.
    pub build: String,
    #[command(flatten)]
    pub by: ByArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}
