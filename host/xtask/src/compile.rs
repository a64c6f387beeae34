//! Building the host, the sidecar and the sample scripts.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::command::shown;
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
    /// Where a build of this profile puts it all.
    pub fn of(paths: &Paths, profile: Profile) -> Self {
        let folder = paths.target.join(match profile {
            Profile::Debug => "debug",
            Profile::Release => "release",
        });
        let (host, sidecar) = (folder.join("monkeyci-host"), folder.join("monkeyci-sidecar-static"));
        Self { host, sidecar, components: paths.components() }
    }

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
    let built = Built::of(paths, profile);
    let static_sidecar = paths.target.join(&ready.toolchain.host).join("sidecar/monkeyci-sidecar");
    let warm = [&built.host, &static_sidecar, &built.components].iter().all(|path| path.exists());

    let guest = &ready.guest;
    let jobs = [
        ("host", host_command(paths, profile, extent)),
        ("sidecar", sidecar_command(paths, &ready.toolchain.host)),
        ("scripts", guest.build(paths, &paths.samples(), &paths.samples_target())?),
    ];
    if !warm {
        step.doing("host, sidecar and scripts; the first time, this takes minutes");
    }
    // From scratch each fills the machine. With nothing to do each only waits, so they wait together.
    let compiled = if warm {
        all_at_once(jobs)?
    } else {
        let mut compiled = false;
        for (label, command) in jobs {
            compiled |= cargo_job(label, command)?;
        }
        compiled
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
    if is_dynamic(&new) {
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

/// Whether a program of 64-bit ELF asks for a dynamic loader: then it would not run in an image without a C library.
fn is_dynamic(elf: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let field = elf.get(at..at + size).unwrap_or_default();
        field.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
    };
    // The table of segments: where it is, how long an entry is, and how many there are. PT_INTERP is 3.
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|index| number(table.saturating_add(size * index), 4) == 3)
}

/// Runs one cargo, with a label for its output. Says whether anything was compiled.
fn cargo_job(label: &str, mut command: Command) -> Result<bool> {
    if say::coloured() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let shown = shown(&command);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.with_context(|| format!("cannot start `{shown}`"))?;
    let mut compiled = false;
    for line in BufReader::new(child.stderr.take().context("a child without output")?).lines().map_while(Result::ok) {
        // Before the first word there may be its colours.
        let words = line.trim_start_matches(|c: char| c.is_ascii_digit() || "\x1b[;m ".contains(c));
        compiled |= words.starts_with("Compiling");
        // Jobs that run at once hold each other up for milliseconds.
        let dull = words.starts_with("Finished") || words.starts_with("Blocking") && line.contains("package cache");
        if !dull {
            eprintln!("{label:>7} | {line}");
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    match status.success() {
        true => Ok(compiled),
        false => bail!("building the {label} failed: `{shown}` ({status})"),
    }
}

/// All have to end before the first failure is reported, else their output would come after it.
fn all_at_once<const N: usize>(jobs: [(&str, Command); N]) -> Result<bool> {
    let results = thread::scope(|scope| {
        let running = jobs.map(|(label, command)| scope.spawn(move || cargo_job(label, command)));
        running.map(|job| job.join().unwrap_or_else(|_| bail!("a build has panicked")))
    });
    results.into_iter().try_fold(false, |compiled, result| Ok(compiled | result?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
