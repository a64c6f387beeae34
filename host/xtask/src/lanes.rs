//! The tests of the workspace in two lanes at once: those that wait for containers, daemons and time limits leave the processors to
//! the others.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command::{run as run_command, shown};
use crate::paths::Paths;
use crate::toolchain::cargo;

/// The tests that wait most, by their targets' names. What they say is shown when they are over.
const WAITING: [&str; 3] = ["containers", "faults", "script_api"];

/// Runs all tests, which are built.
pub fn run(paths: &Paths, environment: &[(&'static str, OsString)]) -> Result<()> {
    let (waiting, others): (BTreeSet<String>, BTreeSet<String>) =
        targets(&paths.root)?.into_iter().partition(|name| WAITING.contains(&name.as_str()));
    if waiting.len() != WAITING.len() {
        bail!("of the tests {WAITING:?} there are only {waiting:?}");
    }
    let command = |arguments: &[&str], targets: &BTreeSet<String>| {
        let mut command = cargo(paths);
        command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments).envs(environment.iter().cloned());
        for name in targets {
            command.args(["--test", name]);
        }
        command
    };
    let log = paths.log("tests-that-wait")?;
    let mut beside = command(&[], &waiting);
    let shown_beside = shown(&beside);
    let output = File::create(&log).with_context(|| format!("{} can't be made", log.display()))?;
    beside.stdout(output.try_clone()?).stderr(output);
    eprintln!("$ {shown_beside}   (beside the others; shown when it is over)");
    let mut beside = beside.spawn().with_context(|| format!("cannot start `{shown_beside}`"))?;
    let all = [command(&["--lib", "--bins"], &others), command(&["--doc"], &BTreeSet::new())];
    let mut failed: Vec<String> = Vec::new();
    for mut command in all {
        eprintln!("$ {}", shown(&command));
        failed.extend(run_command(&mut command).err().map(|error| format!("{error:#}")));
    }
    let status = beside.wait().with_context(|| format!("cannot wait for `{shown_beside}`"))?;
    eprintln!("$ {shown_beside}");
    eprint!("{}", String::from_utf8_lossy(&fs::read(&log)?));
    if !status.success() {
        failed.push(format!("`{shown_beside}` failed ({status})"));
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

fn entries(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
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
        for name in WAITING.into_iter().chain(["resume", "rooms", "journal", "compiling"]) {
            assert!(found.contains(name), "{name} is not in {found:?}");
        }
    }
}
