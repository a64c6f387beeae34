//! Building the host, the sidecar and the sample scripts.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::command::shown;
use crate::languages;
use crate::paths::Paths;
use crate::say;
use crate::setup::Ready;
use crate::toolchain::cargo;

/// How host and sidecar are built. The scripts have a profile of their own.
#[derive(Clone, Copy, PartialEq)]
pub enum Profile {
    /// For demo and tests: our own crates are not optimised.
    Debug,
    /// For benchmarks: as [`Profile::Debug`], but what a benchmark measures is optimised as in a release. The rest of the
    /// dependencies, above all wasmtime, is taken as it was built for the tests.
    Measured,
    /// What users install.
    Release,
}

impl Profile {
    /// What makes `cargo build` and `cargo bench` build so.
    pub fn arguments(self) -> Vec<String> {
        match self {
            Self::Debug => Vec::new(),
            Self::Release => vec!["--release".to_owned()],
            Self::Measured => MEASURED
                .iter()
                .flat_map(|package| {
                    let set = |what| ["--config".to_owned(), format!("profile.dev.package.{package}.{what}")];
                    [set("opt-level=3"), set("debug-assertions=false"), set("overflow-checks=false")]
                })
                .flatten()
                .collect(),
        }
    }
}

/// The crates that the development profile leaves without optimisation, and that are in the way of what benchmarks measure.
const MEASURED: [&str; 18] = [
    "axum",
    "bollard",
    "bollard-stubs",
    "git2",
    "object_store",
    "reqwest",
    "sqlx-core",
    "sqlx-sqlite",
    "monkeyci-api",
    "monkeyci-archive",
    "monkeyci-build",
    "monkeyci-controller",
    "monkeyci-engines",
    "monkeyci-host",
    "monkeyci-mask",
    "monkeyci-script",
    "monkeyci-sidecar",
    "monkeyci-storage",
];

/// Which of the workspace's programs are needed.
#[derive(Clone, Copy, PartialEq)]
pub enum Extent {
    /// Host and sidecar.
    Programs,
    /// Everything that `cargo test --workspace` needs.
    Workspace,
}

/// What a build leaves behind.
pub struct Built {
    /// The `monkeyci-host` program.
    pub host: PathBuf,
    /// The static sidecar, beside the host.
    pub sidecar: PathBuf,
    /// The folder with the components.
    pub components: PathBuf,
}

impl Built {
    /// Where a build of this profile puts it all.
    pub fn of(paths: &Paths, profile: Profile) -> Self {
        let folder = paths.target.join(match profile {
            Profile::Debug | Profile::Measured => "debug",
            Profile::Release => "release",
        });
        let (host, sidecar) = (folder.join("monkeyci-host"), folder.join("monkeyci-sidecar"));
        Self { host, sidecar, components: paths.components() }
    }

    /// The component of a sample script.
    pub fn component(&self, name: &str) -> Result<PathBuf> {
        let path = self.components.join(format!("{name}.wasm"));
        if !path.is_file() {
            bail!("sample-scripts/ has no script {name}: there is no {}", path.display());
        }
        Ok(path)
    }
}

/// Builds host, sidecar and samples.
pub fn everything(paths: &Paths, ready: &Ready, profile: Profile, extent: Extent) -> Result<Built> {
    let step = say::step("build");
    let built = Built::of(paths, profile);
    let warm = [&built.host, &built.sidecar, &built.components].iter().all(|path| path.exists());
    let mut scripts = ready.guest.build(paths, &paths.samples(), &paths.samples_target())?;
    let host = programs_command(paths, profile, extent);
    if !warm {
        step.doing("host, sidecar and scripts; the first time, this takes minutes");
    }
    // The demo needs no interpreter. Those that are built with the scripts are put into the host, so it comes after them.
    let compiled = match (profile, extent) {
        (Profile::Debug, Extent::Programs) => all_at_once(vec![("host", host), ("scripts", scripts)])?,
        _ => {
            scripts.arg("--workspace");
            let mut jobs = languages::apart(paths, &ready.guest)?;
            jobs.push(("scripts", scripts));
            let compiled = all_at_once(jobs)?;
            languages::hand_in(paths, languages::LANGUAGES)?;
            cargo_job("host", host)? | compiled
        }
    };
    match compiled {
        true => step.done("host, sidecar and scripts are built"),
        false => step.already("host, sidecar and scripts"),
    }
    Ok(built)
}

/// The whole workspace is selected whatever is built of it: Cargo unifies the features of what is selected, and with other
/// features a dependency is compiled once more.
fn programs_command(paths: &Paths, profile: Profile, extent: Extent) -> Command {
    let mut command = cargo(paths);
    command.args(["build", "--workspace"]).args(profile.arguments());
    match extent {
        Extent::Programs => command.args(["--bin", "monkeyci-host", "--bin", "monkeyci-sidecar"]),
        Extent::Workspace => command.args(["--lib", "--bins", "--tests", "--examples"]),
    };
    command
}

/// Runs one cargo, with a label for its output. Says whether anything was compiled.
pub fn cargo_job(label: &str, mut command: Command) -> Result<bool> {
    if say::coloured() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let shown = shown(&command);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.with_context(|| format!("cannot start `{shown}`"))?;
    let mut compiled = false;
    for line in BufReader::new(child.stderr.take().context("a child without output")?).lines().map_while(Result::ok) {
        // Before the first word there may be its colours.
        let words = line.trim_start_matches(|c: char| c.is_ascii_digit() || "\x1b[;m ".contains(c));
        compiled |= words.starts_with("Compiling");
        // Jobs that run at once hold each other up for milliseconds.
        let dull = words.starts_with("Finished") || words.starts_with("Blocking") && line.contains("package cache");
        if !dull {
            eprintln!("{label:>7} | {line}");
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    match status.success() {
        true => Ok(compiled),
        false => bail!("building the {label} failed: `{shown}` ({status})"),
    }
}

/// All have to end before the first failure is reported, else their output would come after it.
fn all_at_once(jobs: Vec<(&str, Command)>) -> Result<bool> {
    let results: Vec<Result<bool>> = thread::scope(|scope| {
        let start = |(label, command)| scope.spawn(move || cargo_job(label, command));
        let running: Vec<_> = jobs.into_iter().map(start).collect();
        running.into_iter().map(|job| job.join().unwrap_or_else(|_| bail!("a build has panicked"))).collect()
    });
    results.into_iter().try_fold(false, |compiled, result| Ok(compiled | result?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_benchmark_optimises_only_what_the_development_profile_names() {
        let manifest =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).expect("a manifest");
        for package in MEASURED {
            assert!(manifest.contains(&format!("[profile.dev.package.{package}]\n")), "{package}");
        }
        assert!(Profile::Measured.arguments().contains(&"profile.dev.package.axum.opt-level=3".to_owned()));
    }
}
