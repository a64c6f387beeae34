//! The interpreters: components that read a script in another language than Rust, and evaluate it.
//!
//! Each is built into `target/languages/NAME.wasm`. The host's own build (`host/cli/build.rs`) puts those that are there into the
//! program, so the host is built after them.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::compile::cargo_job;
use crate::paths::Paths;
use crate::say::{self, Step};
use crate::setup::{self, GuestToolchain, zig};

/// What a build finds in its environment.
type Environment = Vec<(&'static str, OsString)>;

/// An interpreter that can be built. Another one is one more row of [`LANGUAGES`], and one in `host/cli/src/languages.rs`.
#[derive(Debug)]
pub struct Language {
    /// Its name: of the file, on the command line, and in the host.
    pub name: &'static str,
    /// Its crate.
    package: &'static str,
    /// The folder of its workspace, below the repository's root.
    workspace: &'static str,
    /// Where that is built, below the target folder.
    target: &'static str,
    /// Finds or installs what it needs beside the wasm target, and says what it does. Returns what the build's environment has to have.
    ready: fn(&Step, &Paths) -> Result<Environment>,
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// All of them.
pub const LANGUAGES: &[Language] = &[
    Language {
        name: "yaml",
        package: "monkeyci-yaml",
        workspace: WITH_THE_SCRIPTS,
        target: "samples",
        ready: |_, _| Ok(Environment::new()),
    },
    Language {
        name: "typescript",
        package: "monkeyci-typescript",
        workspace: "guest-sdk/typescript",
        target: "typescript",
        ready: zig::ensure,
    },
];

/// The workspace of the sample scripts, which the tests build whole.
const WITH_THE_SCRIPTS: &str = "sample-scripts";

/// Those that have a workspace of their own, each with the command that builds it, which needs no more set-up then.
pub fn apart(paths: &Paths, guest: &GuestToolchain) -> Result<Vec<(&'static str, Command)>> {
    let apart = LANGUAGES.iter().filter(|language| language.workspace != WITH_THE_SCRIPTS);
    apart.map(|language| Ok((language.name, command(paths, guest, &say::step("languages"), language)?))).collect()
}

fn command(paths: &Paths, guest: &GuestToolchain, step: &Step, language: &Language) -> Result<Command> {
    let environment = (language.ready)(step, paths)
        .with_context(|| format!("what builds the interpreter of {} is not there", language.name))?;
    let mut command = guest.build(paths, &paths.root.join(language.workspace), &paths.target.join(language.target))?;
    command.args(["--package", language.package]).envs(environment);
    Ok(command)
}

/// The languages with these names; all if there is none.
pub fn named(names: &[OsString]) -> Result<Vec<&'static Language>, String> {
    if names.is_empty() {
        return Ok(LANGUAGES.iter().collect());
    }
    let find = |name: &OsString| LANGUAGES.iter().find(|language| name == language.name);
    let known = || LANGUAGES.iter().map(|language| language.name).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .map(|name| {
            find(name).ok_or_else(|| format!("there is no language {}; there are: {}", name.display(), known()))
        })
        .collect()
}

/// Builds interpreters, with all set-up that they need.
pub fn run(paths: &Paths, languages: &[&'static Language]) -> Result<ExitCode> {
    let guest = setup::guest(paths).context("set-up failed")?;
    for language in languages {
        let step = say::step("languages");
        let command = command(paths, &guest, &step, language)?;
        step.doing(&format!("the interpreter of {}", language.name));
        cargo_job(language.name, command)?;
        let path = place(paths, language);
        let changed = hand_in(paths, [*language])?;
        let size = fs::metadata(&path).with_context(|| format!("{} can't be looked at", path.display()))?.len();
        let text = format!("{}, {} KiB", path.display(), size / 1024);
        if changed { step.done(&text) } else { step.already(&text) }
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts interpreters that were built where the host's build looks for them. Says whether one has changed: one that has not keeps its
/// time, so that the host is not built again.
pub fn hand_in(paths: &Paths, languages: impl IntoIterator<Item = &'static Language>) -> Result<bool> {
    let mut changed = false;
    for language in languages {
        let file = format!("wasm32-wasip2/release/{}.wasm", language.package.replace('-', "_"));
        let (built, place) = (paths.target.join(language.target).join(file), place(paths, language));
        let bytes = fs::read(&built).with_context(|| format!("{} can't be read", built.display()))?;
        if fs::read(&place).is_ok_and(|there| there == bytes) {
            continue;
        }
        // By way of another name: a build of the host may read it now.
        let partial = place.with_extension(std::process::id().to_string());
        fs::create_dir_all(paths.languages())
            .and_then(|()| fs::write(&partial, &bytes))
            .and_then(|()| fs::rename(&partial, &place))
            .with_context(|| format!("cannot write {}", place.display()))?;
        changed = true;
    }
    Ok(changed)
}

fn place(paths: &Paths, language: &Language) -> PathBuf {
    paths.languages().join(format!("{}.wasm", language.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_that_has_not_changed_is_not_written_again() {
        let target = std::env::temp_dir().join(format!("monkeyci-languages-{}", std::process::id()));
        let paths = Paths { root: PathBuf::from("/repo"), target: target.clone() };
        let built = target.join("samples/wasm32-wasip2/release");
        let with_the_scripts = LANGUAGES.iter().filter(|language| language.workspace == WITH_THE_SCRIPTS);
        fs::create_dir_all(&built).expect("a folder");
        let write = |bytes: &[u8]| {
            for language in with_the_scripts.clone() {
                fs::write(built.join(format!("{}.wasm", language.package.replace('-', "_"))), bytes).expect("written");
            }
            hand_in(&paths, with_the_scripts.clone()).expect("handed in")
        };
        assert_eq!([write(b"one"), write(b"one"), write(b"two")], [true, false, true]);
        assert_eq!(fs::read(target.join("languages/yaml.wasm")).expect("it is there"), b"two");
        fs::remove_dir_all(target).expect("removed");
    }
}
