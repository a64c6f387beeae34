//! `monkeyci-host test`: a script's own tests, which need no host.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow};
use ignore::WalkBuilder;

use crate::Done;
use crate::args::TestArgs;
use crate::exit::Exit;
use crate::text::print_line;

/// Finds the scripts below a directory, and runs `cargo test` for each.
pub fn test(args: &TestArgs) -> Done {
    let scripts = scripts(&args.dir).map_err(|error| (Exit::Usage, error))?;
    if scripts.is_empty() {
        let dir = args.dir.display();
        return Err((Exit::Usage, anyhow!("there is no script in {dir}: no Cargo.toml that depends on monkeyci-sdk")));
    }
    let mut failed = Vec::new();
    for manifest in &scripts {
        print_line(&format!("testing {}", manifest.parent().unwrap_or(manifest).display()));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command.arg("test").arg("--manifest-path").arg(manifest);
        // Tests run on this machine, whatever target the script's project is set up for.
        command.arg("--target").arg(native_target(&cargo).map_err(|error| (Exit::Infrastructure, error))?);
        // Last: what follows `--` is for the tests.
        command.args(&args.args);
        if !args.options.is_empty() {
            command.arg("--").args(&args.options);
        }
        let status = command
            .status()
            .with_context(|| format!("{} can't be run; install Rust from https://rustup.rs", cargo.display()))
            .map_err(|error| (Exit::Infrastructure, error))?;
        if !status.success() {
            failed.push(manifest.display().to_string());
        }
    }
    if failed.is_empty() {
        print_line(&format!("the tests of {} passed", count(scripts.len())));
        return Ok(Exit::Success);
    }
    print_line(&format!("tests failed: {}", failed.join(", ")));
    Ok(Exit::JobFailed)
}

fn count(scripts: usize) -> String {
    if scripts == 1 { "1 script".to_owned() } else { format!("{scripts} scripts") }
}

/// The manifests of the scripts in a directory and below.
fn scripts(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    anyhow::ensure!(dir.is_dir(), "{} is not a directory", dir.display());
    let walk =
        WalkBuilder::new(dir).filter_entry(|entry| entry.file_name() != "target").sort_by_file_name(Ord::cmp).build();
    let mut found = Vec::new();
    for entry in walk.flatten().filter(|entry| entry.file_name() == "Cargo.toml") {
        let text = std::fs::read_to_string(entry.path())?;
        let manifest: toml::Table = match text.parse() {
            Ok(manifest) => manifest,
            // Somebody else's broken file is not ours to complain about; the named directory's own is.
            Err(_) if entry.depth() > 1 => continue,
            Err(error) => return Err(anyhow!(error).context(format!("{} can't be read", entry.path().display()))),
        };
        if is_script(&manifest) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// A script depends on the SDK, and is a `cdylib`.
fn is_script(manifest: &toml::Table) -> bool {
    let depends = manifest.get("dependencies").and_then(|all| all.get("monkeyci-sdk")).is_some();
    let kinds = manifest.get("lib").and_then(|lib| lib.get("crate-type")).and_then(|kinds| kinds.as_array());
    depends && kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib")))
}

/// The target that cargo's own programs are built for.
fn native_target(cargo: &std::ffi::OsStr) -> anyhow::Result<String> {
    let output = Command::new(cargo)
        .args(["--version", "--verbose"])
        .output()
        .with_context(|| format!("{} can't be run; install Rust from https://rustup.rs", cargo.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("cargo does not say what it is built for")
}
