//! The script of a command: a component, what one is made of, or what an interpreter evaluates.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::args::ScriptArgs;
use crate::exit::Exit;
use crate::languages::{self, Source};
use crate::setup;
use crate::test::{cargo, is_script, manifest};

/// The target of scripts.
pub const TARGET: &str = "wasm32-wasip2";
/// Where a repository keeps its script.
pub use monkeyci_script::FOLDER;

type Failed = (Exit, anyhow::Error);

/// The bytes of the script: of a component; of what cargo makes of a crate; of an interpreter with the files that it evaluates; or of what
/// is in `.monkeyci` beside the code.
pub fn bytes(args: &ScriptArgs) -> Result<Vec<u8>, Failed> {
    at(&place(args)?)
}

/// Where the script is: a component, a file that an interpreter evaluates, or a directory with one of these or with a crate.
pub fn place(args: &ScriptArgs) -> Result<PathBuf, Failed> {
    if args.script.is_none() && args.git.is_some() {
        let error = anyhow!(
            "name the script: with --git, {FOLDER} of the repository is not looked at, because compiling what is in it would run \
             it on this machine"
        );
        return Err((Exit::Usage, error));
    }
    of(args.script.as_deref(), &args.dir)
}

/// The same of code in a directory.
pub fn of(script: Option<&Path>, dir: &Path) -> Result<PathBuf, Failed> {
    let (path, named) = script.map_or_else(|| (dir.join(FOLDER), false), |path| (path.to_owned(), true));
    if !named && !path.exists() {
        let above = above(dir).map_or_else(String::new, |above| {
            format!("; the checkout that this is a part of has one: name it with `--dir {}`", above.display())
        });
        let error = anyhow!(
            "there is no script: {} is not there{above}; `monkeyci-host new` makes one, or name a component, a script's crate or a file",
            path.display()
        );
        return Err((Exit::Usage, error));
    }
    Ok(path)
}

/// The nearest directory above this one that has a script and is of the same checkout. It is named and not taken: what stands in a
/// directory above may be a stranger's, and cargo would run it.
fn above(dir: &Path) -> Option<PathBuf> {
    let whole = std::fs::canonicalize(dir).ok()?;
    let root = whole.ancestors().find(|dir| dir.join(".git").exists())?;
    let inside = whole.ancestors().skip(1).take_while(|above| above.starts_with(root));
    let steps = 1 + inside.take_while(|above| !above.join(FOLDER).exists()).count();
    let found = whole.ancestors().nth(steps).filter(|above| above.starts_with(root))?;
    // As short as it can be said here.
    Some(if dir == Path::new(".") { PathBuf::from(vec![".."; steps].join("/")) } else { found.to_owned() })
}

/// The crate that the script at a path is made of; `None` if it is a component.
pub fn crate_of(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    match made(&[path.to_owned(), path.join(FOLDER)])? {
        Some(Made::Crate(dir)) => Ok(Some(std::fs::canonicalize(dir)?)),
        _ => Ok(None),
    }
}

/// The bytes of the script at a path, as [`bytes`] has them.
pub fn at(path: &Path) -> Result<Vec<u8>, Failed> {
    if !path.is_dir() {
        return match Source::of(path) {
            Some(source) => source.script(),
            None => setup::script(path),
        };
    }
    made_in(&[path.to_owned(), path.join(FOLDER)])?.ok_or_else(|| {
        let none = anyhow!(
            "there is no script in {}: neither a Cargo.toml that depends on monkeyci-sdk and makes a `cdylib`, nor one file with the end .wasm, \
             nor in {FOLDER} one of {}; `monkeyci-host new` makes one",
            path.display(),
            languages::names().collect::<Vec<_>>().join(", ")
        );
        (Exit::Usage, none)
    })
}

/// The bytes of the script in `.monkeyci` of a directory; `None` if there is none.
pub fn beside(dir: &Path) -> Result<Option<Vec<u8>>, Failed> {
    made_in(&[dir.join(FOLDER)])
}

fn made_in(dirs: &[PathBuf]) -> Result<Option<Vec<u8>>, Failed> {
    match made(dirs).map_err(|error| (Exit::Usage, error))? {
        Some(Made::Component(path)) => setup::script(&path).map(Some),
        Some(Made::Crate(dir)) => setup::script(&compile(&dir)?).map(Some),
        Some(Made::Source(source)) => source.script().map(Some),
        None => Ok(None),
    }
}

/// What is in the first of these directories that has a script.
fn made(dirs: &[PathBuf]) -> anyhow::Result<Option<Made>> {
    dirs.iter().find_map(|dir| of_dir(dir).transpose()).transpose()
}

/// What is in a script's directory.
enum Made {
    Component(PathBuf),
    Crate(PathBuf),
    Source(Source),
}

fn of_dir(dir: &Path) -> anyhow::Result<Option<Made>> {
    let found = manifest(&dir.join("Cargo.toml"), true)?;
    let has_crate = found.as_ref().is_some_and(is_script);
    let mut sources = sources(dir);
    // What a crate has beside it is its own; and one that is no script is somebody else's, with its components.
    let mut components = if found.is_some() && sources.is_empty() { Vec::new() } else { components(dir)? };
    if !sources.is_empty() && sources.len() + usize::from(has_crate) + components.len() > 1 {
        let file = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
        let names = sources.iter().map(Source::names).chain(components.iter().map(file));
        let names: Vec<String> = has_crate.then(|| "Cargo.toml".to_owned()).into_iter().chain(names).collect();
        return Err(anyhow!(
            "{} has several scripts: {}; keep one of them, or name one",
            dir.display(),
            names.join(", ")
        ));
    }
    if let Some(source) = sources.pop() {
        return Ok(Some(Made::Source(source)));
    }
    if has_crate {
        return Ok(Some(Made::Crate(dir.to_owned())));
    }
    match components.len() {
        0 => Ok(None),
        1 => Ok(components.pop().map(Made::Component)),
        many => Err(anyhow!("{} has {many} files with the end .wasm; name one of them", dir.display())),
    }
}

/// The components in a directory, in the order of their names.
fn components(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let failed = || format!("{} can't be read", dir.display());
    let mut components = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        // A pipe would be waited for.
        if path.extension().is_some_and(|end| end == "wasm") && path.is_file() {
            components.push(path);
        }
    }
    components.sort();
    Ok(components)
}

/// The files in a directory that interpreters evaluate. A `build.js` in the root of a repository is somebody else's, where the repository
/// has a folder for scripts.
fn sources(dir: &Path) -> Vec<Source> {
    match dir.join(FOLDER).is_dir() {
        true => Vec::new(),
        false => Source::all_in(dir),
    }
}

/// The script in `.monkeyci` of a directory, or in the directory, that an interpreter evaluates.
pub fn source_of(dir: &Path) -> Option<Source> {
    sources(dir).into_iter().chain(Source::all_in(&dir.join(FOLDER))).next()
}

/// A line of what cargo says to programs.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Has cargo make the component of a crate, and returns its path. What cargo says goes to standard error.
fn compile(dir: &Path) -> Result<PathBuf, Failed> {
    let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
    let dir = std::fs::canonicalize(dir)
        .with_context(|| format!("{} can't be looked at", dir.display()))
        .map_err(|error| (Exit::Usage, error))?;
    let (cargo, manifest) = (cargo(), dir.join("Cargo.toml"));
    let mut command = Command::new(&cargo);
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.arg("--manifest-path").arg(&manifest).current_dir(&dir);
    // Flags and targets that are meant for this machine's programs.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} can't be run; install Rust from https://rustup.rs", cargo.display()))
        .map_err(infrastructure)?;
    let mut component = None;
    let said = child.stdout.take().map(BufReader::new);
    for line in said.into_iter().flat_map(|said| said.split(b'\n')).map_while(Result::ok) {
        let Ok(message) = serde_json::from_slice::<Message>(&line) else { continue };
        if message.reason == "compiler-artifact" && message.manifest_path.as_ref() == Some(&manifest) {
            let found = message.filenames.into_iter().find(|name| name.extension().is_some_and(|end| end == "wasm"));
            component = found.or(component);
        }
    }
    let status = child.wait().context("cargo can't be waited for").map_err(infrastructure)?;
    if !status.success() {
        return Err(match missing_target(&dir) {
            true => infrastructure(anyhow!(
                "Rust can't compile for scripts: the target {TARGET} is not installed; `rustup target add {TARGET}` installs it"
            )),
            false => (Exit::BadScript, anyhow!("the script {} can't be compiled", dir.display())),
        });
    }
    component.ok_or_else(|| {
        let made_none = anyhow!("{} makes no component: its lib needs crate-type = [\"cdylib\"]", manifest.display());
        (Exit::BadScript, made_none)
    })
}

/// Whether the compiler that cargo uses in this directory is known to have no library for the target.
pub fn missing_target(dir: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).current_dir(dir).output();
    asked.is_ok_and(|answer| {
        let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        answer.status.success() && !path.is_empty() && !Path::new(&path).exists()
    })
}
