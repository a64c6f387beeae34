//! `cargo xtask`: set-up, demo, tests and benchmarks of this repository.
//!
//! One command has to work on a fresh machine, so this program depends on nothing but `std` and `anyhow`, finds or
//! installs what it needs, and says what it does. Everything is idempotent: what is already there costs milliseconds.

mod bench;
mod command;
mod compile;
mod demo;
mod demo_repo;
mod elf;
mod faults;
mod paths;
mod say;
mod setup;
#[cfg(test)]
mod sources;
mod test;
mod toolchain;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::paths::Paths;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  demo [-- ARGS]    set everything up, then run the quickstart script on a sample repository, in real containers.
                    ARGS go to `monkeyci-host run`
  test [--fast]     set everything up, then run every check and test; --fast: no lints, no docs, no Podman
  bench [-- ARGS]   release builds and benchmarks; ARGS go to `cargo bench`
  faults [ARGS]     kill what takes part in a job, or cancel it, in every phase, and tell how it ends; then kill at random,
                    and tell what is left. ARGS: --runs N (default: 200), --jobs N (default: 300), --phase PHASE, --victim VICTIM.
                    Needs root, and Docker
  setup [--podman]  only the set-up: wasm target, container engine, images

Environment:
  CARGO_TARGET_DIR          where everything is built (default: target/ of this repository)
  DOCKER_HOST               unix://PATH of the container engine to use
  MONKEYCI_GUEST_TOOLCHAIN  rustup or debian: how scripts are built (default: whatever is there, rustup first)
  NO_COLOR                  no colours
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Task {
    Demo(Vec<OsString>),
    Test { fast: bool },
    Bench(Vec<OsString>),
    Faults(Vec<OsString>),
    Setup { podman: bool },
    Help,
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Task, String> {
    let Some(command) = args.next() else {
        return Err("which command?".to_owned());
    };
    let rest: Vec<OsString> = args.collect();
    let passed_on = |rest: &[OsString]| match rest.split_first() {
        None => Ok(Vec::new()),
        Some((first, others)) if first == "--" => Ok(others.to_vec()),
        Some((first, _)) => Err(format!("unknown argument {}; what follows `--` is passed on", first.display())),
    };
    let flag = |name: &str| match rest.as_slice() {
        [] => Ok(false),
        [only] if only == name => Ok(true),
        [first, ..] => Err(format!("unknown argument {}; this command takes {name}", first.display())),
    };
    match command.to_str() {
        Some("demo") => passed_on(&rest).map(Task::Demo),
        Some("bench") => passed_on(&rest).map(Task::Bench),
        Some("faults") => Ok(Task::Faults(rest)),
        Some("test") => flag("--fast").map(|fast| Task::Test { fast }),
        Some("setup") => flag("--podman").map(|podman| Task::Setup { podman }),
        Some("help" | "--help" | "-h") => Ok(Task::Help),
        _ => Err(format!("unknown command {}", command.display())),
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let paths = Paths::from_env()?;
    match task {
        Task::Demo(args) => demo::run(&paths, &args),
        Task::Test { fast } => test::run(&paths, fast),
        Task::Bench(args) => bench::run(&paths, &args),
        Task::Faults(args) => faults::run(&paths, &args),
        Task::Setup { podman } => {
            let scope = setup::Scope { podman, test_images: podman, ..setup::Scope::default() };
            setup::run(&paths, scope).context("set-up failed").map(|_| ExitCode::SUCCESS)
        }
        Task::Help => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn main() -> ExitCode {
    let task = match parse(std::env::args_os().skip(1)) {
        Ok(task) => task,
        Err(mistake) => {
            say::failure(&mistake);
            eprint!("\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    perform(task).unwrap_or_else(|error| {
        say::failure(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(words: &[&str]) -> Result<Task, String> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_follows_two_dashes_is_passed_on() {
        assert_eq!(task(&["demo", "--", "--jobs", "1"]), Ok(Task::Demo(vec!["--jobs".into(), "1".into()])));
        assert_eq!(task(&["demo"]), Ok(Task::Demo(Vec::new())));
        assert!(task(&["demo", "--jobs"]).is_err());
    }

    #[test]
    fn flags_belong_to_their_command() {
        assert_eq!(task(&["test", "--fast"]), Ok(Task::Test { fast: true }));
        assert_eq!(task(&["setup", "--podman"]), Ok(Task::Setup { podman: true }));
        assert!(task(&["setup", "--fast"]).is_err());
        assert!(task(&[]).is_err());
    }
}
