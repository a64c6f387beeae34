//! The sidecar: everything round a container job that talks to the build API.
//!
//! One thread for what waits, and tokio's blocking threads for what packs and unpacks.

mod at_once;
mod budget;
mod caches;
mod handover;
mod host;
mod job;
mod launcher;
mod listen;
mod log;
mod phase;
mod restore;
mod results;
mod save;
mod services;
mod test_output;
mod transfer;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monkeyci_api::{API_VERSION, Client, ClientError, SidecarConfig, SidecarReport, is_disk_full, paths};

use crate::protocol::ToLauncher;
pub use budget::limits;
pub(crate) use handover::write_file;
use host::Host;
use job::{Job, Outcome};
use listen::Listener;
use log::Log;

/// Where the sidecar finds things.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its configuration, a [`SidecarConfig`] in JSON.
    pub config: PathBuf,
    /// The socket for the launcher.
    pub socket: PathBuf,
    /// The workspace.
    pub workspace: PathBuf,
    /// The directory for the job's files.
    pub files: PathBuf,
    /// The file for the job's outputs.
    pub outputs: PathBuf,
    /// The services' addresses: `name=address`, separated by commas.
    pub services: String,
}

impl Default for Options {
    /// The fixed paths, and the services of the environment.
    fn default() -> Self {
        Self {
            config: paths::SIDECAR_CONFIG.into(),
            socket: paths::LAUNCHER_SOCKET.into(),
            workspace: paths::WORKSPACE.into(),
            files: paths::JOB_FILES.into(),
            outputs: paths::OUTPUTS.into(),
            services: std::env::var(paths::SERVICES_ENV).unwrap_or_default(),
        }
    }
}

/// Why the sidecar failed.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// The configuration can't be read.
    #[error("can't read the configuration {path:?}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: io::Error,
    },
    /// The configuration was written by another version of the host.
    #[error("this sidecar is of version {API_VERSION}, but the host is of version {host}; build both from one source")]
    Version {
        /// The host's version.
        host: String,
    },
    /// The build API's address is none.
    #[error(transparent)]
    Address(ClientError),
    /// A step of the job failed, which has been reported.
    #[error("failed while {}: {}", .0.step, .0.reason)]
    Step(StepError),
    /// The host was away, and no other one came.
    #[error("the host was away for {} s, and no other one went on with the build", .0.as_secs())]
    InVain(Duration),
    /// The job's end could not be reported.
    #[error("can't report how the job ended: {0}")]
    Report(ClientError),
}

/// A step of the sidecar's work that failed by no fault of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// What it was doing: `restoring the workspace`, say.
    pub step: String,
    /// What went wrong.
    pub reason: String,
    /// The disk that was full, if that is why.
    pub full_disk: Option<&'static str>,
}

/// The disk that workspace, files and outputs of a job are on, for messages.
const WORKSPACE_DISK: &str = "the disk with the job's workspace";
/// Where the build API keeps what it is sent, for messages.
const STORE: &str = "the host's store";

impl StepError {
    pub(crate) fn new(step: impl Into<String>, reason: impl ToString) -> Self {
        Self { step: step.into(), reason: reason.to_string(), full_disk: None }
    }

    /// A failure to write what the job is to have.
    pub(crate) fn local(step: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { full_disk: is_disk_full(error).then_some(WORKSPACE_DISK), ..Self::new(step, error) }
    }
}

/// Does a sidecar's whole work: from the configuration to the report.
///
/// # Errors
/// When the sidecar itself failed. How the job ended, well or badly, is no error.
pub async fn run(options: &Options) -> Result<(), SidecarError> {
    let config = read_config(&options.config)?;
    if config.version != API_VERSION {
        return Err(SidecarError::Version { host: config.version });
    }
    let client = Client::connect(&config.api, config.ca.as_deref(), &config.build, config.token);
    let client = client.map_err(SidecarError::Address)?;
    let host = Host::new(client, config.job.clone(), Duration::from_millis(config.patience_ms));
    let log = Log::open(host.clone(), config.job.clone());
    let mut job = Job { host: &host, id: &config.job, log: &log, options, launcher: None };
    let outcome = match Listener::bind(&options.socket) {
        Ok(listener) => job.run(listener).await,
        Err(error) => Outcome::failed(StepError::new("opening the launcher's socket", error)),
    };
    let launcher = job.launcher.take();
    // The log comes first: the token dies with the report.
    if let Err(error) = log.finish().await {
        eprintln!("monkeyci sidecar: a part of the log is lost: {error}");
    }
    let reported = report(&host, &config.job, &outcome.report).await;
    let last = match (outcome.farewell, &outcome.error, &reported) {
        (Some(reason), ..) => Some(ToLauncher::Refuse { reason }),
        (None, None, Ok(())) => Some(ToLauncher::Bye),
        // The launcher has to end as a failure too, and does when the connection closes.
        _ => None,
    };
    if let (Some(mut launcher), Some(last)) = (launcher, last) {
        // An error says that the launcher has gone already.
        let _ = launcher.send(&last).await;
    }
    match (reported, outcome.error) {
        // Whatever else it could not do, this is why.
        _ if host.is_gone() => Err(SidecarError::InVain(host.patience())),
        (_, Some(error)) => Err(SidecarError::Step(error)),
        (Err(error), None) => Err(SidecarError::Report(error)),
        (Ok(()), None) => Ok(()),
    }
}

/// Delivers the job's end: the one call that must not get lost.
async fn report(host: &Host, job: &str, report: &SidecarReport) -> Result<(), ClientError> {
    let unheard = Cell::new(false);
    let delivered = host.ask(async |client| {
        let delivered = client.job_result(job, report).await;
        unheard.set(unheard.get() || delivered.as_ref().is_err_and(ClientError::is_away));
        delivered
    });
    match delivered.await {
        // The token dies with the report: it had come, and only the answer was lost.
        Err(ClientError::Refused(_)) if unheard.get() => Ok(()),
        delivered => delivered,
    }
}

fn read_config(path: &Path) -> Result<SidecarConfig, SidecarError> {
    let failed = |source| SidecarError::Config { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}
