//! The command line of what imports: files of other systems, and builds in bundles.

use std::path::PathBuf;

use clap::Subcommand;

use super::StoreArgs;
use crate::import::System;

#[derive(Debug, clap::Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  monkeyci-host import github .github/workflows/ci.yml\n  monkeyci-host import 19a.bundle"
)]
pub struct ImportCommandArgs {
    #[command(subcommand)]
    pub system: Option<ImportSystem>,
    /// A build that `export` has written: it is taken into the home, for `show`, `events`, `replay` and so on. Its logs and artifacts are not
    /// in a bundle.
    #[arg(value_name = "BUNDLE", required = true)]
    pub bundle: Option<PathBuf>,
    /// What stands behind a word that is no system.
    #[arg(hide = true)]
    pub file: Option<PathBuf>,
    /// The same.
    #[arg(long, short, hide = true)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub stores: StoreArgs,
    /// Print JSON: an object with the build's id, and whether the home had it.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ImportSystem {
    /// Write a script from a workflow of GitHub Actions, Gitea or Forgejo.
    #[command(name = "github", after_help = "Example: monkeyci-host import github .github/workflows/ci.yml")]
    GitHub(ImportFileArgs),
    /// Write a script from a .gitlab-ci.yml.
    #[command(name = "gitlab", after_help = "Example: monkeyci-host import gitlab .gitlab-ci.yml")]
    GitLab(ImportFileArgs),
    /// Write a script from a workflow of Woodpecker.
    #[command(after_help = "Example: monkeyci-host import woodpecker .woodpecker/ci.yaml")]
    Woodpecker(ImportFileArgs),
}

#[derive(Debug, clap::Args)]
pub struct ImportFileArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The directory of the code: the script is written into .monkeyci there, as `new` does it.
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Print JSON: an object with the jobs, the secrets that they are given, and what is missing.
    #[arg(long)]
    pub json: bool,
}

/// A file of another system, and where its script goes.
#[derive(Debug)]
pub struct ImportArgs {
    /// The system that the file is for.
    pub system: System,
    /// The file.
    pub file: PathBuf,
    /// The directory of the code.
    pub output: PathBuf,
    /// Whether to print JSON.
    pub json: bool,
}

impl ImportSystem {
    /// The file, with `--json` in front of the system or behind it.
    pub fn with_json(self, in_front: bool) -> ImportArgs {
        let (system, ImportFileArgs { file, output, json }) = match self {
            Self::GitHub(args) => (System::GitHub, args),
            Self::GitLab(args) => (System::GitLab, args),
            Self::Woodpecker(args) => (System::Woodpecker, args),
        };
        ImportArgs { system, file, output, json: json || in_front }
    }
}
