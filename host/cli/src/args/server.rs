//! The command line of what speaks to a server.

use std::path::PathBuf;

use clap::Subcommand;

/// Which server, and as whom.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The server's address: http://127.0.0.1:8210, or https://ci.example.org.
    #[arg(long, value_name = "URL", env = "MONKEYCI_SERVER", default_value = "http://127.0.0.1:8210")]
    pub server: String,
    /// The file of an API token for it. Default: $MONKEYCI_TOKEN, the token itself.
    #[arg(long, value_name = "F", env = "MONKEYCI_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Speak to it without TLS over a network that nobody else is on: the token goes over it.
    #[arg(long)]
    pub plain_network: bool,
}

/// For which builds something is kept.
#[derive(Debug, clap::Args)]
pub struct PlaceArgs {
    /// For builds of this repository alone, as the server calls it. Default: for those of all.
    #[arg(long, short, value_name = "NAME")]
    pub repository: Option<String>,
    /// For builds of repositories with this label.
    #[arg(long, value_name = "LABEL", conflicts_with = "repository")]
    pub label: Option<String>,
    /// For builds of this branch, or of those with a pattern such as release/*.
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// For builds that come from there: push, tag, pull-request, fork or api.
    #[arg(long, value_name = "ORIGIN")]
    pub event: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host secret set deploy-key --repository app --branch main --file key.pem\n  monkeyci-host secret list --repository app\n  monkeyci-host secret rm deploy-key --repository app --branch main\n\nOf several of one name, what is kept for the build's repository counts first, then for a label, then for all; of these, for the branch's name, then\nfor a pattern of it, the longest first, then for any; then for where the build comes from."
)]
pub struct SecretArgs {
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a secret for builds, in the place of what was kept there. Its bytes come from a file, or from standard input.
    Set(SetSecretArgs),
    /// List the names of secrets, and for which builds they are. Nobody is told a value.
    List(ListInputsArgs),
    /// Remove a secret: no further build has it.
    Rm(RemoveInputArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host secret set deploy-key --repository app --file key.pem")]
pub struct SetSecretArgs {
    /// The secret's name.
    pub name: String,
    /// The file with its bytes, all of them. Default: standard input, where one line break at the end is none of it.
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,
    /// Let actions of scripts read the bytes: all others they can hand to jobs only.
    #[arg(long)]
    pub revealed: bool,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host param set region eu --repository app\n  monkeyci-host param list --repository app\n  monkeyci-host param rm region --repository app\n\nWhich one counts of several is as with secrets. What a build is asked for with counts before all of them."
)]
pub struct ParamArgs {
    #[command(subcommand)]
    pub command: ParamCommand,
}

#[derive(Debug, Subcommand)]
pub enum ParamCommand {
    /// Keep a parameter for builds, in the place of what was kept there.
    Set(SetParamArgs),
    /// List parameters, and for which builds they are.
    List(ListInputsArgs),
    /// Remove a parameter: no further build has it.
    Rm(RemoveInputArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host param set region eu --repository app")]
pub struct SetParamArgs {
    /// The parameter's name.
    pub name: String,
    /// Its value.
    pub value: String,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  monkeyci-host secret list --repository app\n  monkeyci-host param list --json")]
pub struct ListInputsArgs {
    /// What is kept for builds of this repository alone. Default: what is kept for those of all.
    #[arg(long, short, value_name = "NAME")]
    pub repository: Option<String>,
    /// Print JSON: a list of objects.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host secret rm deploy-key --repository app --branch main\n  monkeyci-host param rm region\n\nOf several of one name, it is the one that was set with just this label, branch and event."
)]
pub struct RemoveInputArgs {
    /// Its name.
    pub name: String,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}
