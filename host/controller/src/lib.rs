//! The controller: the shell round the pure core.
//!
//! [`Controller::run`] takes a build from its trigger to its end: checkout, script, graph, jobs, report. It folds the
//! journal through [`monkeyci_build::BuildState`] and carries out the effects. Script and sidecars reach it through the
//! build API only.
#![deny(missing_docs)]

mod blob_store;
mod blobs;
mod build;
mod cache_scope;
mod changes;
mod check;
mod checkout;
mod controller;
mod error;
mod following;
#[cfg(test)]
mod hang_guard;
mod home;
mod inputs;
mod jobs;
mod journal;
mod junit;
mod lease;
mod live;
mod log_store;
mod log_tail;
mod masked_log;
mod masking;
mod observer;
mod open_log;
mod outputs;
mod outside;
mod say;
mod sealed;
mod server;
mod stored_logs;
mod stream_writer;
mod tokens;
mod workspace;
mod workspace_files;

pub use blob_store::{BlobStore, BlobStoreError};
pub use build::{BuildReport, BuildRequest, Cancel};
pub use check::CheckError;
pub use checkout::SourceRequest;
pub use controller::{ApiOverTcp, Controller, ControllerOptions, EngineChoice, Sweep};
pub use error::ControllerError;
pub use inputs::Inputs;
pub use journal::Journal;
pub use log_store::LogLimits;
pub use observer::{Observer, Silent};
pub use outside::{Decision, OutsideError, OutsideEvent, RunningBuild};
pub use stored_logs::{LogsError, StoredLog, StoredLogs};
