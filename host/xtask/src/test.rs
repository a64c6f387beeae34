//! Every check and test of the repository, as CI runs them.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::{run as run_command, shown};
use crate::compile::{Extent, Profile, everything};
use crate::paths::Paths;
use crate::say::{failure, heading, seconds};
use crate::setup;
use crate::toolchain::cargo;

/// What came of a stage.
struct Outcome {
    name: &'static str,
    time: Duration,
    error: Option<String>,
}

/// The stages so far. One that fails does not keep the next from running, so one run shows everything.
#[derive(Default)]
struct Stages(Vec<Outcome>);

impl Stages {
    fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Result<T>) -> Option<T> {
        heading(&format!("== {name}"));
        let began = Instant::now();
        let result = stage();
        let time = began.elapsed();
        let (value, error) = match result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        match &error {
            None => heading(&format!("== {name}: passed in {}", seconds(time))),
            Some(error) => failure(&format!("{name}, after {}: {error}", seconds(time))),
        }
        self.0.push(Outcome { name, time, error });
        value
    }

    fn command(&mut self, name: &'static str, mut command: Command) {
        self.run(name, || {
            eprintln!("$ {}", shown(&command));
            run_command(&mut command)
        });
    }

    fn summary(&self) -> ExitCode {
        heading("== summary");
        for Outcome { name, time, error } in &self.0 {
            let verdict = if error.is_none() { "passed" } else { "FAILED" };
            eprintln!("  {verdict}  {name} ({})", seconds(*time));
        }
        let failed: Vec<&Outcome> = self.0.iter().filter(|stage| stage.error.is_some()).collect();
        for stage in &failed {
            let error = stage.error.as_deref().unwrap_or_default();
            failure(&format!("{}: {error}", stage.name));
        }
        match failed.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

/// Runs everything, or with `fast` only the tests, without Podman.
pub fn run(paths: &Paths, fast: bool) -> Result<ExitCode> {
    let scope = setup::Scope { docker: !fast, podman: !fast, tests: true, benchmarks: false, lints: !fast };
    let ready = setup::run(paths, scope).context("set-up failed")?;
    let mut stages = Stages::default();
    if !fast {
        lint(&mut stages, paths);
    }
    let built = stages.run("build", || everything(paths, &ready, Profile::Debug, Extent::Workspace));
    if let Some(built) = built {
        let mut command = cargo(paths);
        command.args(["test", "--workspace", "--no-fail-fast"]).envs(ready.environment(&built));
        stages.command("tests", command);
        for scripts in [paths.samples(), paths.root.join("tests/probe-script")] {
            let mut command = std::process::Command::new(&built.host);
            command.arg("test").arg(scripts).env("CARGO_TARGET_DIR", paths.target.join("samples-lint"));
            stages.command("tests of scripts", command);
        }
    }
    Ok(stages.summary())
}

fn lint(stages: &mut Stages, paths: &Paths) {
    let samples = paths.samples().join("Cargo.toml");
    let with = |args: &[&str], manifest: Option<&Path>, rest: &[&str]| {
        let mut command = cargo(paths);
        command.args(args);
        if let Some(manifest) = manifest {
            command.arg("--manifest-path").arg(manifest).env("CARGO_TARGET_DIR", paths.target.join("samples-lint"));
        }
        command.args(rest);
        command
    };
    let check = ["--all", "--check"];
    stages.command("format", with(&["fmt"], None, &check));
    stages.command("format of scripts", with(&["fmt"], Some(&samples), &check));

    let deny = ["--all-targets", "--", "-D", "warnings"];
    stages.command("clippy", with(&["clippy", "--workspace"], None, &deny));
    // For this machine's target: Debian's toolchain has no clippy, and scripts are plain Rust but for their imports.
    let scripts = with(&["clippy", "--workspace"], Some(&samples), &deny);
    stages.command("clippy of scripts", scripts);

    let mut docs = with(&["doc", "--workspace", "--no-deps"], None, &[]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    stages.command("docs", docs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_failed_stage_fails_the_run_and_does_not_stop_it() {
        let mut stages = Stages::default();
        let failed: Option<()> = stages.run("one", || Err(anyhow!("broken")));
        let passed = stages.run("two", || Ok(7));
        assert_eq!((failed, passed), (None, Some(7)));
        assert_eq!(stages.summary(), ExitCode::FAILURE);
        assert_eq!(Stages::default().summary(), ExitCode::SUCCESS);
    }
}
