//! The tests of the workspace in lanes at once: those that wait for containers, daemons and time limits leave the processors to the others.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};

use crate::command::{run as run_command, shown};
use crate::paths::Paths;
use crate::toolchain::cargo;

/// The tests that wait most, by their targets' names: a lane each. What they say is shown when they are over.
const WAITING: [&[&str]; 3] = [&["faults"], &["containers", "resume", "script_api"], &["conformance"]];

/// What the property tests draw from, unless it is set: `cargo xtask test` takes the same sample each time, so that it says the same
/// twice. `cargo xtask soak` draws anew, and so does a test that is run alone.
const SEED: &str = "20261127";

/// A lane that runs beside the others.
struct Beside {
    shown: String,
    log: PathBuf,
    child: Child,
}

impl Beside {
    fn start(paths: &Paths, mut command: Command, name: &str) -> Result<Self> {
        let (shown, log) = (shown(&command), paths.log(&format!("tests-{name}"))?);
        let output = File::create(&log).with_context(|| format!("{} can't be made", log.display()))?;
        command.stdout(output.try_clone()?).stderr(output);
        eprintln!("$ {shown}   (beside the others; shown when it is over; log: {})", log.display());
        let child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        Ok(Self { shown, log, child })
    }

    fn finish(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("cannot wait for `{}`", self.shown))?;
        eprintln!("$ {}", self.shown);
        eprint!("{}", String::from_utf8_lossy(&fs::read(&self.log)?));
        if status.success() { Ok(()) } else { bail!("`{}` failed ({status})", self.shown) }
    }
}

/// Runs all tests, which are built.
pub fn run(paths: &Paths, environment: &[(&'static str, OsString)]) -> Result<()> {
    let mut others = targets(&paths.root)?;
    for name in WAITING.into_iter().flatten() {
        if !others.remove(*name) {
            bail!("there is no test {name:?}, which has a lane");
        }
    }
    let command = |arguments: &[&str], targets: &[&str]| {
        let mut command = cargo(paths);
        command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments).envs(environment.iter().cloned());
        if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
            command.env("PROPTEST_RNG_SEED", SEED);
        }
        for name in targets {
            command.args(["--test", name]);
        }
        command
    };
    let beside = WAITING.map(|lane| Beside::start(paths, command(&[], lane), &lane.join("-")));
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let mut failed: Vec<String> = Vec::new();
    for mut command in [command(&["--lib", "--bins"], &others), command(&["--doc"], &[])] {
        eprintln!("$ {}", shown(&command));
        failed.extend(run_command(&mut command).err().map(|error| format!("{error:#}")));
    }
    for lane in beside {
        failed.extend(lane.and_then(Beside::finish).err().map(|error| format!("{error:#}")));
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("; ")) }
}

/// The names of all test targets, as cargo finds them: files of a crate's `tests`, and folders there with a `main.rs`.
fn targets(root: &Path) -> Result<BTreeSet<String>> {
    let mut crates = vec![root.join("tests"), root.join("guest-sdk")];
    crates.extend(entries(&root.join("host"))?);
    let mut targets = BTreeSet::new();
    for dir in crates.iter().map(|dir| dir.join("tests")).filter(|dir| dir.is_dir()) {
        for path in entries(&dir)? {
            let is_target = path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").is_file();
            if let (true, Some(name)) = (is_target, path.file_stem().and_then(|name| name.to_str())) {
                targets.insert(name.to_owned());
            }
        }
    }
    Ok(targets)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("{} can't be read", dir.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_is_in_a_lane() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository");
        let found = targets(root).expect("targets");
        for name in WAITING.into_iter().flatten().copied().chain(["resume", "rooms", "journal", "compiling"]) {
            assert!(found.contains(name), "{name} is not in {found:?}");
        }
    }
}
