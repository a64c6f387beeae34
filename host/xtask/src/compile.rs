//! Building the host, the sidecar and the sample scripts.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};

use crate::command::shown;
use crate::elf::is_static;
use crate::paths::Paths;
use crate::say;
use crate::setup::Ready;
use crate::toolchain::cargo;

/// Which profile the host is built in. The sidecar and the scripts have their own.
#[derive(Clone, Copy, PartialEq)]
pub enum Profile {
    Debug,
    Release,
}

/// Which of the workspace's programs are needed.
#[derive(Clone, Copy, PartialEq)]
pub enum Extent {
    /// The host alone.
    Host,
    /// Everything that `cargo test --workspace` needs, with the features it needs, so that nothing is built twice.
    Workspace,
}

/// What a build leaves behind.
pub struct Built {
    /// The `monkeyci-host` program.
    pub host: PathBuf,
    /// The static sidecar, beside the host.
    pub sidecar: PathBuf,
    /// The folder with the components.
    pub components: PathBuf,
}

impl Built {
    /// The component of a sample script.
    pub fn component(&self, name: &str) -> Result<PathBuf> {
        let path = self.components.join(format!("{name}.wasm"));
        if !path.is_file() {
            bail!("sample-scripts/ has no script {name}: there is no {}", path.display());
        }
        Ok(path)
    }
}

/// Builds host, sidecar and samples.
pub fn everything(paths: &Paths, ready: &Ready, profile: Profile, extent: Extent) -> Result<Built> {
    let step = say::step("build");
    let folder = paths.target.join(match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    });
    let built = Built {
        host: folder.join("monkeyci-host"),
        sidecar: folder.join("monkeyci-sidecar-static"),
        components: paths.components(),
    };
    let static_sidecar = paths.target.join(&ready.toolchain.host).join("sidecar/monkeyci-sidecar");
    let warm = [&built.host, &static_sidecar, &built.components].iter().all(|path| path.exists());

    let guest = &ready.guest;
    let jobs = vec![
        Job::new("host", host_command(paths, profile, extent)),
        Job::new("sidecar", sidecar_command(paths, &ready.toolchain.host)),
        Job::new("scripts", guest.build(paths, &paths.samples(), &paths.samples_target())?),
    ];
    if !warm {
        step.doing("host, sidecar and scripts; the first time, this takes minutes");
    }
    // From scratch each fills the machine. With nothing to do each only waits, so they wait together.
    let compiled = match warm {
        true => all_at_once(jobs)?,
        false => one_by_one(jobs)?,
    };
    let copied = place_sidecar(&static_sidecar, &built.sidecar)?;
    match compiled || copied {
        true => step.done("host, sidecar and scripts are built"),
        false => step.already("host, sidecar and scripts"),
    }
    Ok(built)
}

fn host_command(paths: &Paths, profile: Profile, extent: Extent) -> Command {
    let mut command = cargo(paths);
    command.arg("build");
    match extent {
        Extent::Host => command.args(["--package", "monkeyci-host"]),
        Extent::Workspace => command.args(["--workspace", "--lib", "--bins", "--tests", "--examples"]),
    };
    if profile == Profile::Release {
        command.arg("--release");
    }
    command
}

/// The sidecar has to run in an image without a C library, so it is static. The explicit target keeps that flag away
/// from build scripts and procedural macros.
fn sidecar_command(paths: &Paths, host: &str) -> Command {
    let mut command = cargo(paths);
    let mut flags = env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    command
        .args(["build", "--package", "monkeyci-sidecar"])
        .args(["--profile", "sidecar", "--target", host])
        .env("RUSTFLAGS", flags.trim())
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Puts the static sidecar beside the host, where the host looks for it. Says whether that changed anything.
///
/// Cargo puts a dynamic one there when it builds the whole workspace, so this comes after every build.
pub fn place_sidecar(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if is_static(&new) == Some(false) {
        bail!(
            "{} is not static, so it would not run in job images: does a cargo configuration set other rustflags?",
            from.display()
        );
    }
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    // By way of another name: the old one may be running, or be a hard link into cargo's own files.
    let partial = to.with_extension("part");
    fs::copy(from, &partial)
        .and_then(|_| fs::rename(&partial, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

/// One cargo, with a label for its output.
struct Job {
    label: &'static str,
    command: Command,
}

/// A job that runs.
struct Running {
    label: &'static str,
    shown: String,
    child: Child,
    /// Ends with the job; says whether anything was compiled.
    output: JoinHandle<bool>,
}

impl Job {
    fn new(label: &'static str, command: Command) -> Self {
        Self { label, command }
    }

    fn start(mut self) -> Result<Running> {
        if say::coloured() {
            self.command.env("CARGO_TERM_COLOR", "always");
        }
        let shown = shown(&self.command);
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stderr = child.stderr.take().context("a child without output")?;
        let label = self.label;
        let output = thread::spawn(move || {
            let mut compiled = false;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                match first_word(&line).as_str() {
                    "Finished" => continue,
                    // The jobs hold each other up for milliseconds.
                    "Blocking" if line.contains("package cache") => continue,
                    "Compiling" => compiled = true,
                    _ => {}
                }
                eprintln!("{label:>7} | {line}");
            }
            compiled
        });
        Ok(Running { label, shown, child, output })
    }
}

impl Running {
    fn finish(mut self) -> Result<bool> {
        let status = self.child.wait().context("cannot wait for cargo")?;
        let compiled = self.output.join().unwrap_or(true);
        if !status.success() {
            bail!("building the {} failed: `{}` ({status})", self.label, self.shown);
        }
        Ok(compiled)
    }
}

fn one_by_one(jobs: Vec<Job>) -> Result<bool> {
    let mut compiled = false;
    for job in jobs {
        compiled |= job.start()?.finish()?;
    }
    Ok(compiled)
}

fn all_at_once(jobs: Vec<Job>) -> Result<bool> {
    let running: Vec<Running> = jobs.into_iter().map(Job::start).collect::<Result<_>>()?;
    // All have to end before the first failure is reported, else their output would come after it.
    let results: Vec<Result<bool>> = running.into_iter().map(Running::finish).collect();
    let mut compiled = false;
    for result in results {
        compiled |= result?;
    }
    Ok(compiled)
}

/// The first word of a line of cargo's, without its colours.
fn first_word(line: &str) -> String {
    let mut word = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                chars.by_ref().find(|c| c.is_ascii_alphabetic());
            }
            c if c.is_whitespace() && word.is_empty() => {}
            c if c.is_whitespace() => break,
            c => word.push(c),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_found_under_colours() {
        assert_eq!(first_word("\x1b[1m\x1b[92m    Finished\x1b[0m `dev` profile"), "Finished");
        assert_eq!(first_word("   Compiling anyhow v1.0.103"), "Compiling");
        assert_eq!(first_word(""), "");
    }

    #[test]
    fn the_sidecar_is_copied_only_when_it_changed() {
        let dir = env::temp_dir().join(format!("xtask-{}-place", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::write(&from, b"one").expect("a file");
        let first = place_sidecar(&from, &to).expect("copied");
        let second = place_sidecar(&from, &to).expect("the same");
        fs::write(&from, b"two").expect("a file");
        let third = place_sidecar(&from, &to).expect("copied");
        let dynamic =
            fs::copy(env::current_exe().expect("own path"), &from).map(|_| place_sidecar(&from, &to).is_err());
        fs::remove_dir_all(&dir).ok();
        assert_eq!((first, second, third), (true, false, true));
        assert!(dynamic.expect("a copy"), "a dynamic program is refused");
    }
}
