//! The interpreter of build scripts in YAML, JSON and TOML: it reads `.monkeyci/build.yaml` (or `.yml`, `.json`, `.toml`) and declares
//! the jobs that stand there.
//!
//! It is a script like any other, on the public SDK. [`tree`] is what a file is, whatever language it is in ([`yaml`], [`json`],
//! [`toml`]); [`keys`] says which keys there are, [`reader`] reads values and notes what is wrong with them, [`expression`] says what
//! conditions come to, and [`file`], [`job`] and [`parts`] make jobs of it.

mod expression;
mod file;
mod job;
mod json;
mod keys;
mod parts;
mod reader;
#[cfg(test)]
mod tests;
mod toml;
mod tree;
mod yaml;

use monkeyci_sdk::prelude::*;

use crate::tree::{Fault, File, Tree};

/// The folder that has the script.
const FOLDER: &str = ".monkeyci";

/// How a file of a language is read.
type Read = fn(&str) -> std::result::Result<Tree, Fault>;

/// The names that a script may have.
const FILES: [(&str, Read); 4] =
    [("build.yaml", yaml::read), ("build.yml", yaml::read), ("build.json", json::read), ("build.toml", toml::read)];

/// Declares the jobs of the files that are there: as MonkeyCI has it, several are one script.
pub fn script(build: &Build) -> Result<impl IntoJobs + use<>> {
    let workspace = build.workspace();
    let (mut files, mut roots, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (name, read) in FILES {
        let path = format!("{FOLDER}/{name}");
        if !workspace.exists(&path)? {
            continue;
        }
        let text = workspace.read_to_string(&path)?.trim_start_matches('\u{feff}').to_owned();
        match read(&text) {
            Ok(root) => roots.push(root),
            Err(fault) => faults.push(Fault { file: files.len(), ..fault }),
        }
        files.push(File { path, text });
    }
    let names = || FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    ensure!(!files.is_empty(), "there is no script in {FOLDER}: none of {}", names());
    let jobs = if faults.is_empty() { file::jobs(build, &roots) } else { Err(faults) };
    jobs.map_err(|faults| anyhow!("{}", tree::show(&files, &faults)))
}

monkeyci_sdk::script!(script);
