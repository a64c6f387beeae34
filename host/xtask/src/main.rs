//! `cargo xtask`: set-up, demo, tests and benchmarks of this repository.
//!
//! One command has to work on a fresh machine, so this depends on `std`, `anyhow` and the testbed alone, finds or installs
//! what it needs, and says what it does. Everything is idempotent: what is already there costs milliseconds.

mod bench;
mod compile;
mod demo;
mod demo_repo;
mod fuzz;
mod lanes;
mod languages;
mod paths;
mod rehearse;
mod reproduce;
mod say;
mod setup;
mod soak;
mod supply;
mod test;
mod toolchain;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};
use monkeyci_testbed::{command, programs};

use crate::paths::Paths;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  demo [-- ARGS]    set everything up, then run the quickstart script on a sample repository, in real containers.
                    ARGS go to `monkeyci-host run`
  test [--fast]     set everything up, then run every check and test; --fast: no lints, no docs, no Podman;
                    --quick: set-up and one test of each kind
  bench [--release] [-- ARGS]
                    the benchmarks, our crates optimised as in a release and the others as the tests have them; --release:
                    all of it as users get it, which takes some minutes more. ARGS go to `cargo bench`
  faults [ARGS]     kill what takes part in a job, or cancel it, in every phase, and tell how it ends; then kill at random,
                    and tell what is left. ARGS: --runs N (default: 200), --jobs N (default: 300), --phase PHASE, --victim VICTIM.
                    Needs root, and Docker
  fuzz [TARGET…] [--seconds N]
                    drive the fuzz targets by coverage, each for N seconds (default: 30)
  reproduce         build the sidecar from nothing in two places, as users get it, and compare the bytes
  soak              the long runs: the fault runs, whole what `test` takes a sample of, `reproduce`, and `fuzz` for 20 minutes
                    each; takes hours
  languages [NAME…] build the interpreters of scripts in other languages, all or those named, into target/languages: the
                    host that is built after that has them in it. Names: yaml
  rehearse [ARGS]   run demo and test on a fresh Debian 12 that is made for it, in both orders; --help tells the ARGS
  sbom              print what the host is made of, with licences and digests, in CycloneDX's JSON
  setup [--podman]  only the set-up: programs, wasm target, container engine, images

Environment:
  CARGO_TARGET_DIR          where everything is built (default: target/ of this repository)
  DOCKER_HOST               unix://PATH of the container engine to use
  MONKEYCI_GUEST_TOOLCHAIN  rustup or debian: how scripts are built (default: whatever is there, rustup first)
  PROPTEST_RNG_SEED         what the property tests of `test` draw from (default: the same each time)
  NO_COLOR                  no colours
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Task {
    Demo(Vec<OsString>),
    Test { fast: bool },
    QuickTest,
    Rehearse(rehearse::Request),
    Reproduce,
    Bench { release: bool, args: Vec<OsString> },
    Faults(Vec<OsString>),
    Fuzz(fuzz::Request),
    Languages(Vec<&'static languages::Language>),
    Soak,
    Sbom,
    Setup { podman: bool },
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
        Some("bench") => {
            let release = rest.first().is_some_and(|first| first == "--release");
            passed_on(&rest[usize::from(release)..]).map(|args| Task::Bench { release, args })
        }
        Some("faults") => Ok(Task::Faults(rest)),
        Some("fuzz") => fuzz::Request::parse(&rest).map(Task::Fuzz),
        Some("languages") => languages::named(&rest).map(Task::Languages),
        Some("reproduce") if rest.is_empty() => Ok(Task::Reproduce),
        Some("soak") if rest.is_empty() => Ok(Task::Soak),
        Some("sbom") if rest.is_empty() => Ok(Task::Sbom),
        Some("test") if rest == ["--quick"] => Ok(Task::QuickTest),
        Some("rehearse") => rehearse::Request::parse(&rest).map(Task::Rehearse),
        Some("test") => flag("--fast").map(|fast| Task::Test { fast }),
        Some("setup") => flag("--podman").map(|podman| Task::Setup { podman }),
        _ => Err(format!("unknown command {}", command.display())),
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let paths = Paths::from_env()?;
    match task {
        Task::Demo(args) => demo::run(&paths, &args),
        Task::Test { fast } => test::run(&paths, fast),
        Task::QuickTest => rehearse::run_quick_tests(&paths),
        Task::Rehearse(request) => rehearse::run(&paths, &request),
        Task::Bench { release, args } => bench::run(&paths, release, &args),
        Task::Faults(args) => soak::run(&paths, false, &args),
        Task::Languages(languages) => languages::run(&paths, &languages),
        Task::Fuzz(request) => fuzz::run(&paths, &request),
        Task::Reproduce => reproduce::run(&paths),
        Task::Sbom => supply::sbom(&paths),
        Task::Soak => soak::run(&paths, true, &[]),
        Task::Setup { podman } => {
            let scope = setup::Scope { docker: podman, podman, tests: true, ..setup::Scope::default() };
            setup::run(&paths, scope).context("set-up failed").map(|_| ExitCode::SUCCESS)
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|first| ["help", "--help", "-h"].iter().any(|help| first == help)) {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match parse(args.into_iter()).map(perform) {
        Ok(Ok(code)) => return code,
        Ok(Err(error)) => say::failure(&format!("{error:#}")),
        Err(mistake) => {
            say::failure(&format!("{mistake}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    }
    ExitCode::FAILURE
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
        assert_eq!(task(&["test", "--quick"]), Ok(Task::QuickTest));
        assert!(task(&["test", "--quick", "--fast"]).is_err());
        assert_eq!(task(&["setup", "--podman"]), Ok(Task::Setup { podman: true }));
        assert!(task(&["setup", "--fast"]).is_err());
        assert!(task(&[]).is_err());
    }

    #[test]
    fn languages_are_named_or_all_of_them() {
        let names = |words: &[&str]| match task(words) {
            Ok(Task::Languages(languages)) => Ok(languages.iter().map(|language| language.name).collect::<Vec<_>>()),
            Ok(_) => Err("another task".to_owned()),
            Err(error) => Err(error),
        };
        assert_eq!(names(&["languages", "yaml"]), Ok(vec!["yaml"]));
        assert_eq!(names(&["languages"]).map(|all| all.len()), Ok(languages::LANGUAGES.len()));
        let unknown = names(&["languages", "cobol"]).expect_err("there is none");
        assert!(unknown.contains("cobol") && unknown.contains("yaml"), "{unknown}");
    }
}
