//! The command line of what imports files of other systems.

use std::path::PathBuf;

use crate::import::System;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host import github .github/workflows/ci.yml")]
pub struct ImportArgs {
    /// The system that the file is for.
    #[arg(value_enum, value_name = "SYSTEM")]
    pub system: System,
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
