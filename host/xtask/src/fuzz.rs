//! The fuzz targets, driven by coverage: libFuzzer, with what a stable compiler offers.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail};

use monkeyci_testbed::handed;

use crate::command::{program, run as run_command, tail};
use crate::paths::Paths;
use crate::say::{failure, heading};
use crate::setup::{self, Ready};
use crate::toolchain::cargo;

/// What has LLVM count which branches an input takes. A stable compiler does it; the sanitizers, which cargo-fuzz adds, need another one.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// How long each target runs where nobody says.
const SECONDS: u32 = 30;

/// What to fuzz.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The targets; all when there are none.
    targets: Vec<String>,
    /// How long each runs.
    seconds: u32,
}

impl Request {
    /// All targets, so long each.
    pub fn all(seconds: u32) -> Self {
        Self { targets: Vec::new(), seconds }
    }

    /// Reads `[TARGET…] [--seconds N]`.
    pub fn parse(args: &[OsString]) -> Result<Self, String> {
        let mut request = Self { targets: Vec::new(), seconds: SECONDS };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--seconds") => {
                    let number = args.next().and_then(|number| number.to_str()?.parse().ok()).filter(|n| *n > 0);
                    request.seconds = number.ok_or("--seconds takes a number of seconds")?;
                }
                Some(name) if !name.starts_with('-') => request.targets.push(name.to_owned()),
                _ => {
                    return Err(format!(
                        "unknown argument {}; it takes names of targets and --seconds N",
                        arg.display()
                    ));
                }
            }
        }
        Ok(request)
    }
}

/// Builds the targets and runs each for its time, as many at once as there are processors. What they find, and the inputs that take
/// branches of their own, stay in `target/fuzz`.
pub fn run(paths: &Paths, request: &Request) -> Result<ExitCode> {
    let ready =
        setup::run(paths, setup::Scope { fuzzing: true, ..setup::Scope::default() }).context("set-up failed")?;
    let known = targets(&paths.root)?;
    if let Some(name) = request.targets.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {name}; there are {}", known.join(", "));
    }
    let wanted = if request.targets.is_empty() { known } else { request.targets.clone() };
    let program = build(paths, &ready)?;
    heading(&format!("== fuzzing {} targets, {} s each", wanted.len(), request.seconds));
    let queue = Mutex::new(VecDeque::from(wanted));
    let failed = Mutex::new(Vec::new());
    let next = || queue.lock().ok()?.pop_front();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    match fuzz(paths, &program, &target, request.seconds) {
                        Ok(told) => eprintln!("{target}: {told}"),
                        Err(error) => {
                            failure(&format!("{target}: {error:#}"));
                            failed.lock().map(|mut failed| failed.push(target)).unwrap_or_default();
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!("findings in {}", failed.join(", ")) }
}

/// The names of the targets: their files.
fn targets(root: &Path) -> Result<Vec<String>> {
    let dir = root.join("tests/fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).with_context(|| format!("{} can't be read", dir.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Builds the script that one of the targets calls, and the program that has all of them.
fn build(paths: &Paths, ready: &Ready) -> Result<PathBuf> {
    run_command(&mut ready.guest.build(paths, &paths.samples(), &paths.samples_target())?)?;
    let (target, host) = (folder(paths), &ready.toolchain.host);
    let mut command = cargo(paths);
    // With a target, what only runs while compiling is not instrumented.
    command.args(["build", "--bin", "any", "--target", host, "--manifest-path", "tests/fuzz/Cargo.toml"]);
    run_command(command.env("CARGO_TARGET_DIR", &target).env("RUSTFLAGS", INSTRUMENTED))?;
    Ok(target.join(host).join("debug/any"))
}

/// Where all of it is: a target folder of its own, with what the targets have found.
fn folder(paths: &Paths) -> PathBuf {
    paths.target.join("fuzz")
}

/// Says which target a program that has all of them is to run.
const TARGET: &str = "MONKEYCI_FUZZ_TARGET";

/// Runs one target for its time. Says what it has done.
fn fuzz(paths: &Paths, any: &Path, name: &str, seconds: u32) -> Result<String> {
    let (corpus, seeds) = (folder(paths).join("corpus").join(name), paths.root.join("tests/fuzz/corpus").join(name));
    let (findings, scratch) = (folder(paths).join("findings"), folder(paths).join("scratch").join(name));
    // A target that panics leaves its directories behind.
    let _ = fs::remove_dir_all(&scratch);
    for dir in [&corpus, &findings, &scratch] {
        fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
    }
    let log = paths.log(&format!("fuzz-{name}"))?;
    let output = File::create(&log).with_context(|| format!("{} can't be made", log.display()))?;
    let mut command = program(any);
    command.arg(format!("-max_total_time={seconds}")).args(["-rss_limit_mb=3072", "-timeout=60"]);
    command.args(["-print_final_stats=1".to_owned(), format!("-artifact_prefix={}/{name}-", findings.display())]);
    // What takes a branch of its own is added to the first folder.
    command.args([corpus, seeds]).env(TARGET, name).env("TMPDIR", &scratch).env(handed::SAMPLES, paths.components());
    let status = command.stdout(output.try_clone()?).stderr(output).status();
    let status = status.with_context(|| format!("{} does not start", any.display()))?;
    let ran = Ran::of(&String::from_utf8_lossy(&fs::read(&log)?));
    match ran.finding {
        Some(finding) => bail!(
            "a finding, after {} inputs: {finding}. To see it again: {TARGET}={name} {} {finding}. The log, {}, ends with\n{}",
            ran.inputs,
            any.display(),
            log.display(),
            tail(&log, 40)
        ),
        None if !status.success() => bail!("{status}; the log, {}, ends with\n{}", log.display(), tail(&log, 40)),
        None => Ok(format!("{} inputs in {seconds} s, {} branches taken, no finding", ran.inputs, ran.branches)),
    }
}

/// What a target has done, as its log says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    inputs: u64,
    branches: u64,
    /// The file with the input on which it panicked, took too long, or took too much memory.
    finding: Option<String>,
}

impl Ran {
    fn of(log: &str) -> Self {
        let mut ran = Self::default();
        for line in log.lines() {
            // `#4096	pulse  cov: 421 ft: 1073 corp: …`
            if let Some(number) = line.strip_prefix('#').and_then(|line| line.split_whitespace().next()?.parse().ok()) {
                ran.inputs = number;
            }
            let covered = line.split_once(" cov: ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            ran.branches = covered.unwrap_or(ran.branches);
            if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
                ran.inputs = number.trim().parse().unwrap_or(ran.inputs);
            }
            if let Some((_, file)) = line.split_once("Test unit written to ") {
                ran.finding = Some(file.trim().to_owned());
            }
        }
        ran
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: &[&str]) -> Result<Request, String> {
        Request::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn targets_and_their_time_are_asked_for() {
        assert_eq!(request(&[]), Ok(Request { targets: Vec::new(), seconds: SECONDS }));
        let wanted = Request { targets: vec!["tar".to_owned()], seconds: 5 };
        assert_eq!(request(&["tar", "--seconds", "5"]), Ok(wanted));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--second", "1"]] {
            assert!(request(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_target_has_a_program_and_seeds() {
        let paths = Paths::from_env().expect("a repository");
        let manifest = fs::read_to_string(paths.root.join("tests/fuzz/Cargo.toml")).expect("a manifest");
        let names = targets(&paths.root).expect("targets");
        assert!(names.len() >= 12, "{names:?}");
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
            assert!(paths.root.join("tests/fuzz/corpus").join(&name).is_dir(), "{name}");
        }
    }

    #[test]
    fn what_a_target_has_done_and_found_is_read_from_its_log() {
        let quiet = "#2\tINITED cov: 30 ft: 31 corp: 1/1b\n#512\tNEW    cov: 41 ft: 60\nDone 900 runs in 3 second(s)\n\
                     stat::number_of_executed_units: 900\nstat::average_exec_per_sec: 300\n";
        assert_eq!(Ran::of(quiet), Ran { inputs: 900, branches: 41, finding: None });
        let found = "#512\tpulse  cov: 41 ft: 60\nthread '<unnamed>' panicked\n==7== ERROR: libFuzzer: deadly signal\n\
                     artifact_prefix='/t/tar-'; Test unit written to /t/tar-crash-00ff\nBase64: AA==\n";
        let finding = Some("/t/tar-crash-00ff".to_owned());
        assert_eq!(Ran::of(found), Ran { inputs: 512, branches: 41, finding });
        assert_eq!(Ran::of(""), Ran::default());
    }
}
