//! Whether the sidecar is the same bytes wherever it is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::command::{output, program, run as run_command};
use crate::paths::Paths;
use crate::say;
use crate::toolchain::cargo;

/// Where it is built, below the target folder: their paths have other words, and another length.
const PLACES: [&str; 2] = ["reproduce/here", "reproduce/somewhere/else"];

/// Builds the sidecar from nothing in two places, as users get it, and compares what comes out. Takes the files that git knows or would
/// add, as they are now.
pub fn run(paths: &Paths) -> Result<ExitCode> {
    let step = say::step("reproduce");
    let folder = paths.target.join("reproduce");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} can't be removed", folder.display()))?;
    }
    let mut built = Vec::new();
    for place in PLACES {
        let place = paths.target.join(place);
        step.doing(&format!("building the sidecar in {}", place.display()));
        copy(&paths.root, &place)?;
        built.push(build(paths, &place)?);
    }
    let programs = built.iter().map(|file| fs::read(file).with_context(|| format!("{} can't be read", file.display())));
    let programs = programs.collect::<Result<Vec<_>>>()?;
    if let Some(difference) = difference(&programs[0], &programs[1]) {
        bail!(
            "the sidecar is not the same in both places, {} and {}: {difference}",
            built[0].display(),
            built[1].display()
        );
    }
    step.done(&format!("the sidecar is the same {} bytes in both places", programs[0].len()));
    fs::remove_dir_all(&folder).with_context(|| format!("{} can't be removed", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Copies the files that git knows or would add.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut list = program("git");
    list.arg("-C").arg(from).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    // One that is removed and still in git's index is gone.
    for name in output(&mut list)?.split_terminator('\0').filter(|name| from.join(name).exists()) {
        let target = to.join(name);
        let made = target.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::copy(from.join(name), &target))
            .with_context(|| format!("{name} can't be copied to {}", to.display()))?;
    }
    Ok(())
}

/// Builds the sidecar there.
fn build(paths: &Paths, place: &Path) -> Result<PathBuf> {
    let target = place.join("target");
    let mut command = cargo(paths);
    command.args(["build", "--quiet", "--locked", "--release", "--workspace", "--bin", "monkeyci-sidecar"]);
    run_command(command.current_dir(place).env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join("release/monkeyci-sidecar"))
}

/// What two programs do not have in common.
fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one.len() != other.len() {
        return Some(format!("one has {} bytes, and the other {}", one.len(), other.len()));
    }
    let differs = |(one, other): &(&u8, &u8)| one != other;
    let first = one.iter().zip(other).position(|pair| differs(&pair))?;
    let count = one.iter().zip(other).filter(differs).count();
    Some(format!("{count} of {} bytes differ, from byte {first} on", one.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_programs_do_not_have_in_common_is_said() {
        assert_eq!(difference(b"same", b"same"), None);
        assert_eq!(difference(b"same", b"sane!").as_deref(), Some("one has 4 bytes, and the other 5"));
        assert_eq!(difference(b"abcd", b"axcy").as_deref(), Some("2 of 4 bytes differ, from byte 1 on"));
    }
}
