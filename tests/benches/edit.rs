//! How long it takes from an edit of a script in Rust to its first job: `run` compiles the crate, loads what comes of it, and asks it for its
//! jobs. And the same where nothing has changed. The bars are 2.5 s and 100 ms; beside them, what `cargo build` alone takes of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monkeyci_tests::place;

/// How often each is done.
const ROUNDS: usize = 5;

fn main() {
    let project = Project::new();
    // The first round compiles the SDK and all that it needs.
    project.first_job(0);
    let mut times: [Vec<Duration>; 3] = Default::default();
    for round in 1..=ROUNDS {
        times[0].push(project.first_job(round));
        times[1].push(project.first_job(round));
        project.edit(ROUNDS + round);
        times[2].push(project.cargo());
    }
    let [edited, unchanged, cargo] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("from the command to the first job of a script in Rust (medians of {ROUNDS})");
    println!("  after an edit       {edited:>8.0?}   bar 2.5 s; {:.2} x cargo build alone", ratio(edited, cargo));
    println!("  nothing changed     {unchanged:>8.0?}   bar 100 ms");
    println!("  cargo build alone   {cargo:>8.0?}   after an edit");
}

fn ratio(ours: Duration, baseline: Duration) -> f64 {
    ours.as_secs_f64() / baseline.as_secs_f64()
}

/// Code with a script as `new` makes one.
struct Project {
    dir: tempfile::TempDir,
    /// Where cargo puts what it makes: with what the samples are made of, so that no registry is asked.
    target: PathBuf,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let target = place::script("probe_script").parent().expect("a folder").join("../..");
        let project = Self { dir, target };
        let made = project.host(&["new", "."]).stdout(Stdio::null()).status().expect("the host runs");
        assert!(made.success(), "`new` works");
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-scripts/Cargo.lock");
        fs::copy(lock, project.script().join("Cargo.lock")).expect("copied");
        project
    }

    fn script(&self) -> PathBuf {
        self.dir.path().join(".monkeyci")
    }

    /// A command of the host's, in the project.
    fn host(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(place::path(place::BENCH_HOST));
        command.args(arguments).env("MONKEYCI_HOME", self.dir.path().join(".home"));
        self.inside(command)
    }

    fn inside(&self, mut command: Command) -> Command {
        command.current_dir(self.dir.path()).env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", &self.target);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Makes the script another one; the same number makes the same.
    fn edit(&self, number: usize) {
        let source = format!(
            "use monkeyci_sdk::prelude::*;\n\nfn script(_: &Build) -> Result<impl IntoJobs> {{\n    Ok(action(\"first\", |context| \
             context.report(\"edit {number}\")))\n}}\n\nmonkeyci_sdk::script!(script);\n"
        );
        let path = self.script().join("src/lib.rs");
        if fs::read_to_string(&path).is_ok_and(|known| known == source) {
            return;
        }
        fs::write(path, source).expect("written");
    }

    /// Runs this edit, and takes the time until its job begins.
    fn first_job(&self, number: usize) -> Duration {
        self.edit(number);
        let begun = Instant::now();
        let mut command = self.host(&["run", "--progress", "json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the host runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let started = lines.find(|line| line.contains("job/started"));
        let took = begun.elapsed();
        let rest: String = started.iter().cloned().chain(lines).collect();
        assert!(child.wait().expect("an end").success(), "the build succeeds: {rest}");
        assert!(rest.contains(&format!("edit {number}")), "another edit has run: {rest}");
        took
    }

    /// Compiles the script as `run` does, with cargo alone.
    fn cargo(&self) -> Duration {
        let mut command = self.inside(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())));
        command.args(["build", "--release", "--target", "wasm32-wasip2", "--manifest-path"]);
        command.arg(self.script().join("Cargo.toml")).stdout(Stdio::null());
        let begun = Instant::now();
        assert!(command.status().expect("cargo runs").success(), "the script compiles");
        begun.elapsed()
    }
}
