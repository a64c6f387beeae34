//! The command line.

mod again;
mod builds;
mod bundle;
mod debug;
mod given;
mod import;
mod machine;
mod outside;
mod plan;
mod reports;
mod script;
mod serve;
mod server;
mod shell;
mod sim;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use monkeyci_api::networks::POD_NETWORKS;
use monkeyci_build::AddressRange;
use monkeyci_controller::PATIENCE;

pub use again::{RerunArgs, SelectArgs};
pub use builds::{
    ArtifactsArgs, ArtifactsCommand, EventsArgs, GetArtifactArgs, ListArgs, LogsArgs, ShowArgs, Stream, TestsArgs,
};
pub use bundle::{ExportArgs, ReplayArgs};
pub use debug::{BreakArgs, DebugArgs};
pub use given::GivenArgs;
pub use import::{ImportArgs, ImportCommandArgs};
pub use machine::{
    CompletionsArgs, ConfigArgs, ConfigCommand, ConfigShowArgs, DoctorArgs, GcArgs, HelpArgs, InspectArgs, LimitsArgs,
    ManArgs, SchemaArgs, VersionArgs,
};
pub use outside::{ApproveArgs, ByArgs, CancelArgs, PublishArgs};
pub use plan::PlanArgs;
pub use reports::ReportArgs;
pub use script::{FromFiles, InputArgs, ScriptArgs};
pub use serve::ServeArgs;
pub use server::{
    ListInputsArgs, ParamArgs, ParamCommand, PlaceArgs, RemoveInputArgs, SecretArgs, SecretCommand, ServerArgs,
    SetSecretArgs,
};
pub use shell::ShellArgs;
pub use sim::SimArgs;

/// Runs CI build scripts: programs compiled to sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "monkeyci-host",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 success, 1 a job failed or the build took too long, 2 usage, 3 bad script, 4 infrastructure, 130 interrupted.\n\nhelp WHAT says more: a command, or one of exit-codes, environment, files and config."
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a script to begin with, in .monkeyci of a directory, with what it needs.
    New(NewArgs),
    /// Write a script to begin with from a workflow file of another system, and list what of it is not translated; or take a build into the
    /// home that `export` has written.
    Import(ImportCommandArgs),
    /// Run a build: check the code out, ask the script for its jobs, run them, report.
    Run(RunArgs),
    /// Ask the script for its jobs and check their graph, without running anything.
    Check(CheckArgs),
    /// Say which jobs would run, in what order, with what, and why the others not; or what tells two scripts apart. Nothing runs.
    Plan(PlanArgs),
    /// Simulate builds of a script, whose jobs, host and engine fail in many ways and orders, and say what it does not bear. Nothing runs.
    Sim(SimArgs),
    /// Run a script's own tests, with cargo: on this machine, without a host.
    Test(TestArgs),
    /// List builds, the newest first.
    List(ListArgs),
    /// Show all that is known of a build: jobs, attempts, how they ended, results, failed tests, artifacts.
    Show(ShowArgs),
    /// Print the logs of a build: of all its jobs, or of one.
    Logs(LogsArgs),
    /// Print the events of a build; with --follow, as they come.
    Events(EventsArgs),
    /// List the artifacts of a build, or unpack one.
    Artifacts(ArtifactsArgs),
    /// Show which tests of a build failed, which were slow, and which fail now and then.
    Tests(TestsArgs),
    /// Open a terminal in a job's container: of a job that runs, or that failed with `run --keep-failed`.
    Shell(ShellArgs),
    /// Say where a job is held by `run --break-on-failure` or `--break`, or let it go on.
    Debug(DebugArgs),
    /// Approve a job of a running build that waits for it (or reject it).
    Approve(ApproveArgs),
    /// Publish an event to a running build.
    Publish(PublishArgs),
    /// Stop a build: its jobs get a signal and 10 s to end, as with Ctrl-C. What a build has left whose host has died is removed.
    Cancel(CancelArgs),
    /// Go on with a build whose host has died; without BUILD, list those that can be resumed.
    Resume(ResumeArgs),
    /// Run jobs of an earlier build again, as a new build that reuses the results of the others.
    Rerun(RerunArgs),
    /// Write a build into a file, a bundle, to be replayed elsewhere: its journal and its script, and no secret.
    Export(ExportArgs),
    /// Run a build's script once more, this one or another one, against what is recorded: nothing is done, and what differs is told.
    Replay(ReplayArgs),
    /// Serve the public API: repositories, builds by API and by webhooks, their events, logs and artifacts.
    Serve(ServeArgs),
    /// Keep secrets in a server for its builds, list their names, remove them.
    Secret(SecretArgs),
    /// Keep parameters in a server for its builds, list and remove them.
    Param(ParamArgs),
    /// Show what a component imports (its permissions), exports, and was made with.
    Inspect(InspectArgs),
    /// Print the JSON Schema of scripts in YAML, JSON and TOML, by which editors complete them.
    Schema(SchemaArgs),
    /// Print what builds may take, and why so much; or what tokens open.
    Limits(LimitsArgs),
    /// Remove what killed builds have left: containers, networks, volumes, files. `run` does so too when it starts.
    Gc(GcArgs),
    /// Look whether this machine has what builds need, and say what mends each gap.
    Doctor(DoctorArgs),
    /// Print what a shell needs to complete this command.
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands.
    Man(ManArgs),
    /// Print which version this is, and of what else: the journal, the contract of scripts; and which interpreters are in it.
    Version(VersionArgs),
    /// Show what the config files say, and what counts.
    Config(ConfigArgs),
    /// Say more of a command, of exit codes, of the environment, of files or of config files.
    Help(HelpArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host run\n  monkeyci-host run ci.wasm --git https://host/repo --ref main --param image=rust:1.95\n  monkeyci-host run --job unit\n  monkeyci-host run --until package\n  monkeyci-host run --watch --job unit"
)]
pub struct RunArgs {
    #[command(flatten)]
    pub script: ScriptArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// How many jobs may run at a time. Default: the number of processors.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Stop the build after this time, `90m` or `1h 30m` say: it has failed then. Default: only its jobs have limits.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How to show progress.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Leave the build's containers and files for you to look at, until `gc --kept`.
    #[arg(long)]
    pub keep: bool,
    /// Leave the containers of jobs that fail, stopped, for `shell` to look into, until a shell in them ends, or `gc --kept`.
    #[arg(long)]
    pub keep_failed: bool,
    #[command(flatten)]
    pub breaks: BreakArgs,
    /// Run again whenever files change that git does not ignore, until Ctrl-C: the script is asked for its jobs, its own tests run if its crate
    /// changed, then the jobs. From the first build that succeeds on, a script is told what has changed since the last one that did, so
    /// that its conditions leave out what was not touched. A build that files change under is stopped.
    #[arg(long, conflicts_with_all = ["git", "changed", "junit", "outputs_env", "break_on_failure", "breaks"])]
    pub watch: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host resume latest --secret token=token.txt")]
pub struct ResumeArgs {
    /// The build: `latest`, its id, or a part of it.
    pub build: Option<String>,
    /// Run jobs again that ran when the host died and that can't be gone on with. Without it they have failed, and run again only where their
    /// script says so.
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub by: ByArgs,
    /// Who we are for git servers, once more; see `run`.
    #[arg(long = "git-auth", value_name = "A")]
    pub git_auth: Vec<String>,
    /// Secrets are to be given again: the journal has none. Parameters are known, but for those that a secret stands in.
    #[command(flatten)]
    pub inputs: InputArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// How to show progress.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Progress::Auto)]
    pub progress: Progress,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host check --tag v1.2 --changed src/lib.rs")]
pub struct CheckArgs {
    #[command(flatten)]
    pub script: ScriptArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct HomeArgs {
    /// Where the host keeps its journal, artifacts, caches and compiled scripts. Default: $MONKEYCI_HOME, or
    /// monkeyci-host in $XDG_STATE_HOME (~/.local/state).
    #[arg(long, value_name = "D")]
    pub home: Option<PathBuf>,
}

/// Everything that the host keeps.
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    #[command(flatten)]
    pub home: HomeArgs,
    /// Keep artifacts, caches and logs in a bucket: s3://bucket or s3://bucket/prefix. Keys, region and endpoint come from
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL (and AWS_ALLOW_HTTP=true). Default: a
    /// directory in the home.
    #[arg(long, value_name = "URL", env = "MONKEYCI_BLOBS")]
    pub blobs: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    /// What runs containers: auto, docker, podman, or the address of its API (unix:///path, http://host:port, tcp://host:port,
    /// ssh://user@host). For TLS at tcp:// see `help environment`.
    #[arg(long, value_name = "E", default_value = "auto")]
    pub engine: String,
    /// A private network, 10.1.0.0/16 say, that jobs may be let reach if they ask for it. May be given more than once.
    #[arg(long = "permit-network", value_name = "RANGE")]
    pub permitted_networks: Vec<AddressRange>,
    /// The range that pods' networks are taken from; jobs reach none of it but their own. At least 64 addresses, and the same one for all
    /// hosts of a machine.
    #[arg(long = "pod-networks", value_name = "RANGE", default_value_t = POD_NETWORKS)]
    pub pod_networks: AddressRange,
    /// Pull images with the logins in this file, as `docker login` writes it (~/.docker/config.json). Any job may name any image
    /// that they open. Default: without login.
    #[arg(long = "registry-auth", value_name = "F", env = "MONKEYCI_REGISTRY_AUTH")]
    pub registry_auth: Option<PathBuf>,
    /// An address of this machine, IP or IP:PORT, that containers reach: there they find the build API, over TLS. An engine on another
    /// machine needs one; others find it at a socket.
    #[arg(long = "api-address", value_name = "IP[:PORT]", value_parser = api_address)]
    pub api_address: Option<SocketAddr>,
    /// What keeps jobs from private networks, this machine and each other. It needs a kernel with nf_tables.
    #[arg(long = "network-fence", value_enum, value_name = "F", default_value_t = Fence::Required)]
    pub network_fence: Fence,
    /// How long the containers of a job wait for another host when this one dies, at least 10s: `resume` in that time finds them running.
    #[arg(long = "wait-for-host", value_name = "T", default_value = "15m", value_parser = wait_for_host)]
    pub wait_for_host: Duration,
}

/// Whether jobs need the fence round their network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fence {
    /// A job that can't have one does not start.
    Required,
    /// Jobs run without, on a machine that can't make one: they reach what their engine's networks lead to.
    Off,
}

impl Default for EngineArgs {
    /// Whatever answers, and no private networks.
    fn default() -> Self {
        Self {
            engine: "auto".to_owned(),
            permitted_networks: Vec::new(),
            pod_networks: POD_NETWORKS,
            registry_auth: None,
            api_address: None,
            network_fence: Fence::Required,
            wait_for_host: PATIENCE,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: monkeyci-host test .monkeyci -- --nocapture")]
pub struct TestArgs {
    /// The script's crate, or a directory above it: every script below is tested.
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// For `cargo test`: the name of tests, or options.
    #[arg(value_name = "ARGS", allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// For the tests themselves: `-- --nocapture`, say.
    #[arg(value_name = "OPTIONS", last = true)]
    pub options: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host new demo && cd demo && monkeyci-host check\n  monkeyci-host new --lang yaml && monkeyci-host run"
)]
pub struct NewArgs {
    /// The directory of the code; it is made if it is not there.
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The language of the script.
    #[arg(long, value_enum, value_name = "L", default_value_t = NewLanguage::Rust)]
    pub lang: NewLanguage,
}

/// The languages that `new` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewLanguage {
    /// A crate, with the SDK: all that a script can do, and tests of it. Cargo compiles it.
    Rust,
    /// A file of container jobs. Nothing is compiled.
    Yaml,
    /// A file with all that a script can do, and the types by which editors complete it. Nothing is compiled.
    #[value(alias = "typescript")]
    Ts,
    /// The same in JavaScript.
    #[value(alias = "javascript")]
    Js,
}

/// An address that others can be told of. Without a port, the system chooses one.
fn api_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 0)));
    match address {
        Ok(address) if address.ip().is_unspecified() => {
            Err("nobody reaches a machine by that; name one of this machine's own addresses".to_owned())
        }
        Ok(address) => Ok(address),
        Err(_) => Err("write an address of this machine, 192.0.2.1 or 192.0.2.1:7000 or [2001:db8::1]:7000".to_owned()),
    }
}

/// How long containers wait: less than it takes to start a host anew is none.
fn wait_for_host(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        wait if wait < Duration::from_secs(10) => Err("it is at least 10s".to_owned()),
        wait => Ok(wait),
    }
}

/// A time as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write 90s, 30m, or 1h 30m"))
}

/// A size as people write it, in bytes.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        other => return Err(format!("there is no unit {other:?}; write 500M, 10G or 1T, of 1024 each")),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{digits:?} is no whole number: {error}"))?;
    number.checked_mul(1 << unit).ok_or_else(|| format!("{text} is more than there can be"))
}

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// `tty` on a terminal, `plain` elsewhere.
    Auto,
    /// Running jobs at the bottom of the terminal, their output above.
    Tty,
    /// Lines, each with its job in front.
    Plain,
    /// One JSON object a line: every event, and the logs.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The words of a command line, as a shell has them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for c in line.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (None, ' ') => words.push(std::mem::take(&mut word)),
                (_, c) => word.push(c),
            }
        }
        words.push(word);
        words
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_is_one() {
        Args::command().debug_assert();
        let mut commands: Vec<_> = Args::command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                help.lines().filter_map(|line| line.split_once("monkeyci-host ").map(|(_, rest)| rest)).collect();
            assert!(help.starts_with("Example") && !examples.is_empty(), "{name}: {help}");
            // clap's own check is compiled out with its debug assertions: of two options of one id, one takes what the other is given.
            let ids: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
            let distinct: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(ids.len(), distinct.len(), "{name}: two options have one id: {ids:?}");
            for example in examples {
                let example = example.split([';', '>', '&']).next().unwrap_or_default().trim();
                let words = ["monkeyci-host".to_owned()].into_iter().chain(words(example));
                let parsed = Args::try_parse_from(words);
                assert!(parsed.is_ok(), "{name}: {example}: {:?}", parsed.err().map(|error| error.to_string()));
                assert!(example.split(' ').any(|word| word == name), "{name}: {example}");
            }
        }
    }

    #[test]
    fn a_size_is_a_whole_number_with_a_unit() {
        for (text, bytes) in [("0", 0), ("12", 12), ("500M", 500 << 20), ("10G", 10 << 30), ("1TiB", 1 << 40)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "1.5G", "-1", "1X", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
