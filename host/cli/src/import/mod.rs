//! `monkeyci-host import`: a script to begin with, from a workflow file of another system.
//!
//! A file is read (`yaml`) into a tree whose parts know whether anybody has used them; the module of its system makes a pipeline of it
//! (`model`), and a list of what can't be one here; `writing` makes a script of that. What no module has used is on the list too, so
//! nothing of a file is lost in silence.

mod condition;
mod error;
mod github;
mod gitlab;
mod model;
mod names;
mod rows;
mod variables;
mod woodpecker;
mod writing;
mod yaml;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;

use self::error::ImportError;
use self::model::{Missing, Pipeline};
use crate::Done;
use crate::args::ImportArgs;
use crate::exit::Exit;
use crate::new;
use crate::progress::count;
use crate::text::{harmless, print_line, print_text};

/// How many jobs a file may have, with Woodpecker's steps and services; GitLab's own limit, and more than the 256 of GitHub. Each has what
/// stands at the top of the file, and may need each of the others.
const MAX_JOBS: usize = 500;

/// A system whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// Workflows of GitHub Actions, Gitea and Forgejo.
    #[value(name = "github")]
    GitHub,
    /// .gitlab-ci.yml.
    #[value(name = "gitlab")]
    GitLab,
    /// Workflows of Woodpecker.
    Woodpecker,
}

impl System {
    /// What the command calls it.
    pub fn word(self) -> String {
        self.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default()
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitHub => "GitHub Actions",
            Self::GitLab => "GitLab CI",
            Self::Woodpecker => "Woodpecker",
        })
    }
}

/// Writes a script from a file of another system.
pub fn import(args: &ImportArgs) -> Done {
    let usage = |error: anyhow::Error| (Exit::Usage, error);
    let bytes = bytes(&args.file, args.system).map_err(|error| usage(error.into()))?;
    let pipeline = pipeline(&bytes, args.system)
        .with_context(|| format!("{} can't be imported", args.file.display()))
        .map_err(usage)?;
    let file = args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = new::write_crate(&args.output, &writing::script(&pipeline, args.system, &file))?;
    match args.json {
        true => print_line(&json(&pipeline, &folder)),
        false => print_text(&text(&pipeline, args, &folder)),
    }
    Ok(Exit::Success)
}

/// The bytes of a file, no more than one may have and one.
fn bytes(path: &Path, system: System) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(yaml::MAX_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(reason) => Err(ImportError::Unreadable { path: path.to_owned(), system, reason }),
    }
}

/// What a file comes to, and all that is missing of it, by its lines.
fn pipeline(bytes: &[u8], system: System) -> Result<Pipeline, ImportError> {
    let documents = yaml::read(bytes)?;
    let empty = || ImportError::NoPipeline { line: 1, system, reason: "it is empty" };
    // Before it there may be one that says what the file takes from who includes it.
    let root = documents.last().ok_or_else(empty)?;
    let mut pipeline = match system {
        System::GitHub => github::read(root),
        System::GitLab => gitlab::read(root),
        System::Woodpecker => woodpecker::read(root),
    }?;
    for node in yaml::unused(&documents) {
        let why = match node.place().path.is_empty() {
            true => "this document, which stands before the last `---`, is not translated",
            false => "this is not translated: nothing here stands for it",
        };
        pipeline.missing.push(Missing::of(&node, why));
    }
    Ok(pipeline)
}

/// Refuses a file with more jobs than a pipeline has.
fn few(jobs: usize, line: usize) -> Result<(), ImportError> {
    if jobs > MAX_JOBS { Err(ImportError::TooManyJobs { line, jobs, limit: MAX_JOBS }) } else { Ok(()) }
}

/// The secrets that its jobs are given.
fn secrets(pipeline: &Pipeline) -> BTreeSet<&str> {
    pipeline.jobs.iter().flat_map(|job| job.secrets()).collect()
}

/// For people.
fn text(pipeline: &Pipeline, args: &ImportArgs, folder: &Path) -> String {
    let jobs: usize = pipeline.jobs.iter().map(|job| job.matrix.as_ref().map_or(1, |matrix| matrix.rows.len())).sum();
    let mut text = format!("a script with {} is in {}\n", count(jobs, "job"), folder.display());
    let name = args.file.display();
    if !pipeline.missing.is_empty() {
        text.push_str("not translated, or not as it stands there; the script says so at the place:\n");
    }
    for Missing { place, why } in pipeline.missing.iter() {
        let of = if place.path.is_empty() { String::new() } else { format!(" {}:", harmless(&place.path, false)) };
        text.push_str(&format!("  {name}:{}:{of} {}\n", place.line, harmless(why, false)));
    }
    let secrets: Vec<String> =
        secrets(pipeline).into_iter().map(|name| format!("--secret {}=FILE", harmless(name, false))).collect();
    if !secrets.is_empty() {
        text.push_str(&format!("secrets of its jobs, for `check` and `run`: {}\n", secrets.join(" ")));
    }
    text.push_str(&new::next(&args.output, &[new::CHECK, new::TEST, new::RUN]));
    text
}

/// For programs.
fn json(pipeline: &Pipeline, folder: &Path) -> String {
    let missing = pipeline
        .missing
        .iter()
        .map(|Missing { place, why }| serde_json::json!({ "line": place.line, "path": place.path, "why": why }));
    let ids = pipeline.jobs.iter().flat_map(|job| match &job.matrix {
        Some(matrix) => matrix.rows.iter().map(|(id, _)| id.as_str()).collect(),
        None => vec![job.id.as_str()],
    });
    serde_json::json!({
        "script": folder, "jobs": ids.collect::<Vec<_>>(), "secrets": secrets(pipeline), "missing": missing.collect::<Vec<_>>(),
    })
    .to_string()
}

#[cfg(test)]
mod tests;
