//! The command line of what carries builds elsewhere, and replays them.

use std::path::PathBuf;

use super::StoreArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host export latest -o failed.bundle")]
pub struct ExportArgs {
    /// The build: `latest`, its id, or a part of it.
    #[arg(value_name = "BUILD", default_value = "latest")]
    pub build: String,
    /// The file to write; one that is there is not replaced. Default: the last part of the build's id, with .bundle behind it.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub stores: StoreArgs,
    /// Print JSON: an object with the build's id, the file, and how many large answers it lacks.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host replay failed.bundle\n  monkeyci-host replay latest --script target/wasm32-wasip2/release/ci.wasm\n  monkeyci-host replay failed.bundle --job report --until 41 --verbose\n\nIt starts no container and asks nobody. Exit code 3: the script goes another way than the one that was recorded. Exit code 2: it\nreads a secret that was not given, or was told something that is not recorded."
)]
pub struct ReplayArgs {
    /// A bundle, if there is such a file; or a build of the home: `latest`, its id, or a part of it.
    #[arg(value_name = "BUNDLE|BUILD", default_value = "latest")]
    pub build: String,
    /// Replay the attempts of this job only. `define` is replayed always: each instance begins with it.
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Go no further than the call of this number, as --verbose numbers them.
    #[arg(long, value_name = "CALL")]
    pub until: Option<u64>,
    /// Replay another script than the one that the build had: a WebAssembly component, or the crate of one, which cargo compiles first.
    #[arg(long, value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// Give a secret whose value the script has read: the content of a file. May be repeated. No recording has secrets.
    #[arg(long = "secret", value_name = "K=FILE")]
    pub secrets: Vec<String>,
    /// Print every call, with its number, its job and its answer in short.
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    pub stores: StoreArgs,
    /// Print JSON: an object with every instance, its calls, and where they differ.
    #[arg(long)]
    pub json: bool,
}
