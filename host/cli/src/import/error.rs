//! Why a file is not imported.

use std::io;
use std::path::PathBuf;

use monkeyci_limits::Amount;
use thiserror::Error;

use super::System;

/// Why a file is not imported. Whoever shows it names the file.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file can't be read.
    #[error("the file {} can't be read; name a workflow file of {system}", path.display())]
    Unreadable {
        path: PathBuf,
        system: System,
        #[source]
        reason: io::Error,
    },
    /// The file is larger than a workflow file is.
    #[error("the file has more than {}; no workflow file is that large: name another one, or split it", Amount::Bytes(*limit))]
    TooLarge { limit: u64 },
    /// The file is no text.
    #[error("line {line}: what stands there is not UTF-8; save the file as UTF-8")]
    NotText { line: usize },
    /// The file is no YAML.
    #[error("line {line}, column {column}: this is not YAML: {reason}; mend that place first")]
    NotYaml { line: usize, column: usize, reason: String },
    /// Lists and maps stand in each other too deeply.
    #[error("line {line}: more than {limit} lists and maps stand in each other here; make it flatter")]
    TooDeep { line: usize, limit: usize },
    /// The file has too many parts, counting those that aliases repeat.
    #[error(
        "line {line}: the file has more than {limit} values, those that aliases repeat included; name fewer, or split the file"
    )]
    TooMany { line: usize, limit: usize },
    /// The file has more jobs than a pipeline has.
    #[error(
        "line {line}: the file has {jobs} jobs, steps and services, and no more than {limit} can be imported; split it"
    )]
    TooManyJobs { line: usize, jobs: usize, limit: usize },
    /// An alias stands in what it means.
    #[error("line {line}: this alias stands inside of what it means; write that part out")]
    InItself { line: usize },
    /// What `<<` takes in is no map.
    #[error("line {line}: `<<` takes a map in, or a list of maps; name an anchor of a map")]
    NoMerge { line: usize },
    /// A key is a list or a map.
    #[error("line {line}: a key here is a list or a map; a key of a workflow file is a text")]
    NoKey { line: usize },
    /// The file is YAML, and no workflow file of the system.
    #[error("line {line}: this is no workflow file of {system}: {reason}")]
    NoPipeline { line: usize, system: System, reason: &'static str },
}
