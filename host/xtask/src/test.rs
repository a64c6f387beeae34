//! Every check and test of the repository, as CI runs them.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::{run as run_command, shown};
use crate::compile::{Extent, Profile, everything};
use crate::lanes;
use crate::paths::Paths;
use crate::say::{failure, heading, seconds};
use crate::setup;
use crate::supply;
use crate::toolchain::cargo;

/// The stages so far: name, time, and what went wrong. One that fails does not keep the next from running, so one run shows
/// everything.
#[derive(Default)]
struct Stages(Vec<(&'static str, Duration, Option<String>)>);

impl Stages {
    fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Result<T>) -> Option<T> {
        heading(&format!("== {name}"));
        let began = Instant::now();
        let result = stage();
        let time = began.elapsed();
        match &result {
            Ok(_) => heading(&format!("== {name}: passed in {}", seconds(time))),
            Err(error) => failure(&format!("{name}, after {}: {error:#}", seconds(time))),
        }
        self.0.push((name, time, result.as_ref().err().map(|error| format!("{error:#}"))));
        result.ok()
    }

    fn command(&mut self, name: &'static str, mut command: Command) {
        self.run(name, || {
            eprintln!("$ {}", shown(&command));
            run_command(&mut command)
        });
    }

    fn summary(&self) -> ExitCode {
        heading("== summary");
        for (name, time, error) in &self.0 {
            eprintln!("  {}  {name} ({})", if error.is_none() { "passed" } else { "FAILED" }, seconds(*time));
        }
        let failed: Vec<_> = self.0.iter().filter_map(|(name, _, error)| Some((name, error.as_ref()?))).collect();
        failed.iter().for_each(|(name, error)| failure(&format!("{name}: {error}")));
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Runs everything, or with `fast` only the tests, without Podman.
pub fn run(paths: &Paths, fast: bool) -> Result<ExitCode> {
    let scope = setup::Scope { docker: !fast, podman: !fast, tests: true, lints: !fast, ..setup::Scope::default() };
    let ready = setup::run(paths, scope).context("set-up failed")?;
    let mut stages = Stages::default();
    if !fast {
        lint(&mut stages, paths);
    }
    let built = stages.run("build", || everything(paths, &ready, Profile::Debug, Extent::Workspace));
    if let Some(built) = built {
        stages.run("tests", || lanes::run(paths, &ready.environment(&built)));
        for scripts in [paths.samples(), paths.root.join("tests/probe-script"), paths.root.join("guest-sdk/yaml")] {
            let mut command = std::process::Command::new(&built.host);
            command.arg("test").arg(scripts).env("CARGO_TARGET_DIR", paths.target.join("samples-lint"));
            stages.command("tests of scripts", command);
        }
        let command = of_typescript(paths, &["test", "--lib"]);
        stages.command("tests of the interpreter of TypeScript", command);
    }
    Ok(stages.summary())
}

/// Of what needs no host, for this machine's target: without QuickJS, and so without a C compiler.
fn of_typescript(paths: &Paths, args: &[&str]) -> Command {
    let mut command = cargo(paths);
    command.args(args).current_dir(paths.root.join("guest-sdk/typescript"));
    command.env("CARGO_TARGET_DIR", paths.target.join("samples-lint"));
    command
}

fn lint(stages: &mut Stages, paths: &Paths) {
    const FORMAT: &[&str] = &["fmt", "--all", "--check"];
    const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let mut check = |name, args: &[&str], scripts: bool| {
        let mut command = cargo(paths);
        command.args(args).env("RUSTDOCFLAGS", "-D warnings");
        if scripts {
            command.current_dir(paths.samples()).env("CARGO_TARGET_DIR", paths.target.join("samples-lint"));
        }
        stages.command(name, command);
    };
    check("format", FORMAT, false);
    check("format of scripts", FORMAT, true);
    check("clippy", CLIPPY, false);
    // For this machine's target: Debian's toolchain has no clippy, and scripts are plain Rust but for their imports.
    check("clippy of scripts", CLIPPY, true);
    check("docs", &["doc", "--workspace", "--no-deps"], false);
    stages.command("format of the interpreter of TypeScript", of_typescript(paths, FORMAT));
    stages.run("supply chain", || supply::check(paths));
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
