//! `monkeyci-host test`: a script's own tests, which need no host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow};
use monkeyci_archive::{Content, WorkspaceFiles, read_small, walk_workspace};

use crate::Done;
use crate::args::TestArgs;
use crate::exit::Exit;
use crate::script;
use crate::text::print_line;

/// The most bytes of a manifest that is looked at.
const MANIFEST: u64 = 1 << 20;

/// Finds the scripts below a directory, and runs `cargo test` for each.
pub fn test(args: &TestArgs) -> Done {
    let scripts = scripts(&args.dir).map_err(|error| (Exit::Usage, error))?;
    // It is no crate, and has nothing that cargo tests.
    let source = script::source_of(&args.dir);
    if let Some(source) = &source {
        print_line(&format!(
            "{} has no tests of its own; `monkeyci-host check` looks at its jobs, and `monkeyci-host sim` simulates builds of it",
            source.path.display()
        ));
    }
    if scripts.is_empty() && source.is_some() {
        return Ok(Exit::Success);
    }
    if scripts.is_empty() {
        let dir = args.dir.display();
        return Err((Exit::Usage, anyhow!("there is no script in {dir}: no Cargo.toml that depends on monkeyci-sdk")));
    }
    let mut failed = Vec::new();
    for manifest in &scripts {
        print_line(&format!("testing {}", manifest.parent().unwrap_or(manifest).display()));
        let mut command = of(manifest)?;
        // Last: what follows `--` is for the tests.
        command.args(&args.args);
        if !args.options.is_empty() {
            command.arg("--").args(&args.options);
        }
        let status = command
            .status()
            .context("cargo can't be run; install Rust from https://rustup.rs")
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

/// The command that runs the tests of the script with this manifest.
pub fn of(manifest: &Path) -> Result<Command, (Exit, anyhow::Error)> {
    let cargo = cargo();
    let mut command = Command::new(&cargo);
    command.arg("test").arg("--manifest-path").arg(manifest);
    // Tests run on this machine, whatever target the script's project is set up for.
    command.arg("--target").arg(native_target(&cargo).map_err(|error| (Exit::Infrastructure, error))?);
    Ok(command)
}

/// The program that compiles scripts.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn count(scripts: usize) -> String {
    if scripts == 1 { "1 script".to_owned() } else { format!("{scripts} scripts") }
}

/// The manifests of the scripts in a directory and below. What git ignores is passed over, and so are Cargo's own directories. What a
/// stranger has put there is neither followed nor waited for.
fn scripts(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    anyhow::ensure!(dir.is_dir(), "{} is not a directory", dir.display());
    let failed = || format!("scripts can't be looked for in {}", dir.display());
    let files = WorkspaceFiles::of_working_tree([]);
    let mut walk = walk_workspace(dir, &files).with_context(failed)?;
    let mut found = Vec::new();
    while let Some(entry) = walk.next() {
        let entry = entry.with_context(failed)?;
        match entry.path.file_name() {
            Some(name) if name == "target" && entry.kind.is_dir() => walk.pass_over(),
            Some(name) if name == "Cargo.toml" => {
                let (path, is_own) = (dir.join(&entry.path), entry.path.components().count() == 1);
                if let Some(manifest) = manifest(&path, is_own)?
                    && is_script(&manifest)
                {
                    found.push(path);
                }
            }
            _ => {}
        }
    }
    for path in walk.unread() {
        print_line(&format!("{} is no regular file: it does not count", path.display()));
    }
    Ok(found)
}

/// A manifest; none where it is none, unless it is that of the named directory itself.
pub fn manifest(path: &Path, is_own: bool) -> anyhow::Result<Option<toml::Table>> {
    let failed = || format!("{} can't be read", path.display());
    let read = match read_small(path, MANIFEST).with_context(failed)? {
        Content::Bytes(bytes) => String::from_utf8(bytes).map_err(anyhow::Error::from),
        Content::Missing => return Ok(None),
        Content::NotAFile => Err(anyhow!("it is no regular file")),
        Content::TooLarge => Err(anyhow!("it has more than {MANIFEST} bytes")),
    };
    match read.and_then(|text| Ok(text.parse()?)) {
        Ok(manifest) => Ok(Some(manifest)),
        // Somebody else's broken file is not ours to complain about.
        Err(_) if !is_own => Ok(None),
        Err(error) => Err(error.context(failed())),
    }
}

/// A script depends on the SDK, and is a `cdylib`.
pub fn is_script(manifest: &toml::Table) -> bool {
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

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn scripts_are_found_and_no_pipe_is_waited_for_on_the_way() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nmonkeyci-sdk = \"0.1\"\n";
        for (path, text) in [
            ("a/Cargo.toml", script),
            ("a/target/package/b/Cargo.toml", script),
            (".monkeyci/Cargo.toml", script),
            ("broken/Cargo.toml", "]"),
            ("other/Cargo.toml", "[package]\nname = \"x\"\n"),
            ("kept/.gitignore", "ignored\n"),
            ("kept/ignored/Cargo.toml", script),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("written");
        }
        for pipe in [".gitignore", "kept/Cargo.toml"] {
            mkfifoat(CWD, dir.path().join(pipe), Mode::RWXU).expect("a pipe");
        }
        let found = scripts(dir.path()).expect("a list");
        assert_eq!(found, [".monkeyci/Cargo.toml", "a/Cargo.toml"].map(|path| dir.path().join(path)));
        let own = scripts(&dir.path().join("kept")).expect_err("its own manifest is a pipe");
        assert!(format!("{own:#}").contains("no regular file"), "{own:#}");
    }
}
