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

use crate::tree::{Fault, Tree};

/// The folder that has the script.
const FOLDER: &str = ".monkeyci";

/// How a file of a language is read.
type Read = fn(&str) -> std::result::Result<Tree, Fault>;

/// The names that a script may have.
const FILES: [(&str, Read); 4] =
    [("build.yaml", yaml::read), ("build.yml", yaml::read), ("build.json", json::read), ("build.toml", toml::read)];

/// Declares the jobs of the file that is there.
pub fn script(build: &Build) -> Result<impl IntoJobs + use<>> {
    let workspace = build.workspace();
    let mut there = Vec::new();
    for (name, read) in FILES {
        if workspace.exists(&format!("{FOLDER}/{name}"))? {
            there.push((name, read));
        }
    }
    let names = |files: &[(&str, Read)]| files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let (name, read) = match there.as_slice() {
        [one] => *one,
        [] => bail!("there is no script in {FOLDER}: none of {}", names(&FILES)),
        several => bail!("{FOLDER} has several scripts: {}; keep one of them", names(several)),
    };
    let path = format!("{FOLDER}/{name}");
    let text = workspace.read_to_string(&path)?;
    let text = text.trim_start_matches('\u{feff}');
    let jobs = read(text).map_err(|fault| vec![fault]).and_then(|tree| file::jobs(build, &tree));
    jobs.map_err(|faults| anyhow!("{}", tree::show(&path, text, &faults)))
}

monkeyci_sdk::script!(script);
