//! `cargo xtask test --quick`: set-up and one test of each kind, to see that tests find all they need.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::command::{output, run as run_command};
use crate::compile::{Built, Extent, Profile, everything};
use crate::paths::Paths;
use crate::say::{self, failure, heading};
use crate::setup::{self, Ready};
use crate::toolchain::cargo;

/// A test that stands for its kind.
struct Sample {
    kind: &'static str,
    /// Where it is: the name of a file of tests of the workspace, or of a script.
    from: From,
    name: &'static str,
}

enum From {
    File(&'static str),
    Script(&'static str),
}

const fn sample(kind: &'static str, from: From, name: &'static str) -> Sample {
    Sample { kind, from, name }
}

/// One of each kind. One that no longer exists fails; put another of its kind in its place.
const SAMPLES: [Sample; 9] = [
    sample("without machine", From::File("encodings"), "a_secret_is_masked_as_every_program_writes_it"),
    sample("engine: Docker", From::File("conformance"), "docker::job_and_sidecar_share_a_volume"),
    sample("engine: Podman", From::File("conformance"), "podman::job_and_sidecar_share_a_volume"),
    sample("build: Docker", From::File("containers"), "docker::the_quickstart_succeeds_with_all_of_its_five_jobs"),
    sample("build: Podman", From::File("containers"), "podman::the_quickstart_succeeds_with_all_of_its_five_jobs"),
    sample(
        "daemon of its own",
        From::File("faults"),
        "daemon::a_daemon_that_is_killed_and_comes_back_ends_the_job_and_leaves_nothing",
    ),
    sample("network of its own", From::File("fence"), "both_versions_of_addresses_are_fenced_alike"),
    sample("terminal", From::File("script_only"), "a_terminal_gets_colours_unless_it_wants_none"),
    sample("script", From::Script("sample-scripts/release"), "tests::a_topic_branch_is_tested_and_nothing_else"),
];

/// Sets up, builds what is not built, and runs them and the check of the format.
pub fn run(paths: &Paths) -> Result<ExitCode> {
    let scope = setup::Scope { docker: true, podman: true, tests: true, lints: true, ..setup::Scope::default() };
    let ready = setup::run(paths, scope).context("set-up failed")?;
    let built = everything(paths, &ready, Profile::Debug, Extent::Workspace)?;
    let mut failed = Vec::new();
    let mut tell = |kind: &'static str, result: Result<()>| {
        if let Err(error) = result {
            failure(&format!("{kind}: {error:#}"));
            failed.push(kind);
        }
    };
    tell("format", run_command(cargo(paths).args(["fmt", "--all", "--check"])));
    for sample in &SAMPLES {
        let step = say::step("test");
        let result = sample.run(paths, &ready, &built);
        if result.is_ok() {
            step.done(&format!("{}: {}", sample.kind, sample.name));
        }
        tell(sample.kind, result);
    }
    match failed.is_empty() {
        true => {
            heading("== one test of each kind: all passed");
            Ok(ExitCode::SUCCESS)
        }
        false => bail!("FAILED: {}", failed.join(", ")),
    }
}

impl Sample {
    fn command(&self, paths: &Paths, ready: &Ready, built: &Built) -> Command {
        match self.from {
            // All of the workspace, so that dependencies have the features with which they are built.
            From::File(file) => {
                let mut command = cargo(paths);
                command.args(["test", "--workspace", "--test", file, "--", "--exact", self.name]);
                command.envs(ready.environment(built));
                command
            }
            From::Script(dir) => {
                let mut command = Command::new(&built.host);
                command.arg("test").arg(paths.root.join(dir)).args([self.name, "--", "--exact"]);
                command.env("CARGO_TARGET_DIR", paths.target.join("samples-lint"));
                command
            }
        }
    }

    fn run(&self, paths: &Paths, ready: &Ready, built: &Built) -> Result<()> {
        let text = output(&mut self.command(paths, ready, built))?;
        match tests_passed(&text) {
            1 => Ok(()),
            0 => bail!("there is no test {} in {}: name another of its kind in {}", self.name, self.place(), file!()),
            more => bail!("{more} tests have the name {} in {}", self.name, self.place()),
        }
    }

    fn place(&self) -> String {
        match self.from {
            From::File(file) => format!("tests/{file}"),
            From::Script(dir) => dir.to_owned(),
        }
    }
}

/// How many tests passed, by what libtest prints for each program.
fn tests_passed(text: &str) -> usize {
    let counts = text.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ok. "));
    counts.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_all_programs_are_counted_and_none_is_none() {
        let line = |passed: u32| {
            format!("test result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 7 filtered out\n")
        };
        assert_eq!(tests_passed(&format!("running 1 test\n{}running 0 tests\n{}", line(1), line(0))), 1);
        assert_eq!(tests_passed(&line(0)), 0);
        assert_eq!(tests_passed("test result: FAILED. 0 passed; 1 failed"), 0);
    }
}
