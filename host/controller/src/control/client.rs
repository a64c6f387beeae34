//! The client's side: finding a build that runs, and asking it for something.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monkeyci_api::{Problem, plain_http};
use reqwest::Response;
use serde::{Deserialize, Serialize};

use super::{Nothing, OfBuild, SOCKET};
use crate::home::ways_to_builds;
use crate::naming::{Named, in_words, named};
use crate::serve::NOT_HERE;

/// What a person says of a job that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The job's id.
    pub job: String,
    /// Who says so.
    pub by: String,
    /// What they say to it.
    pub comment: Option<String>,
    /// Whether the job may run; it ends as rejected otherwise.
    pub approved: bool,
}

/// What a person says of a job that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continue {
    /// The job's id.
    pub job: String,
    /// Who says so.
    pub by: String,
}

/// An event from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideEvent {
    /// Who, or what, publishes it.
    pub by: String,
    /// The name: 1 to 128 characters.
    pub name: String,
    /// A JSON text of at most 64 KiB.
    pub payload: String,
}

/// Why a running build could not be reached, or did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutsideError {
    /// No build of this id runs.
    #[error("no build {build:?} runs in {}; {}", home.display(), running(found))]
    NotRunning {
        /// What was asked for.
        build: String,
        /// The home directory that was looked in.
        home: PathBuf,
        /// The builds that do run there.
        found: Vec<String>,
    },
    /// More than one build of this id runs.
    #[error("{build:?} may be any of {}; give more of the id", in_words(found))]
    Ambiguous {
        /// What was asked for.
        build: String,
        /// The builds that it may be.
        found: Vec<String>,
    },
    /// The build did not do it.
    #[error("{0}")]
    Refused(String),
    /// The build's process did not answer.
    #[error("build {build} does not answer: {reason}")]
    Unreachable {
        /// The build.
        build: String,
        /// What went wrong.
        reason: String,
    },
}

/// The most builds that a message names.
const NAMED: usize = 20;

fn running(found: &[String]) -> String {
    match found {
        [] => "none runs there".to_owned(),
        // A host may have thousands that wait for somebody.
        found if found.len() > NAMED => {
            let more = found.len() - NAMED;
            format!("these run, and {more} more: {}", found[..NAMED].join(", "))
        }
        found => format!("these run: {}", found.join(", ")),
    }
}

/// A build that runs, in this process or in another one.
#[derive(Clone, Debug)]
pub struct RunningBuild {
    id: String,
    /// The directory of the process that drives it, or has parked it.
    dir: PathBuf,
}

impl RunningBuild {
    /// Finds the build `build` below the home directory `home`: by its whole id `org/repo/build`, by the last part of it, or by a beginning
    /// or an end of either that no other build has which runs.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(home: &Path, build: &str) -> Result<Self, OutsideError> {
        // One whose process was killed is among them too, if its socket is there; the answer will tell.
        let ways = ways_to_builds(home).into_iter().filter(|(_, dir)| dir.join(SOCKET).exists());
        let all: Vec<Self> = ways.map(|(id, dir)| Self { id, dir }).collect();
        let ids = all.iter().map(|running| running.id.as_str());
        let not_running = || OutsideError::NotRunning {
            build: build.to_owned(),
            home: home.to_owned(),
            found: ids.clone().map(str::to_owned).collect(),
        };
        match named(build, ids.clone()) {
            Named::One(id) => all.iter().find(|running| running.id == id).cloned().ok_or_else(not_running),
            Named::None => Err(not_running()),
            Named::Several(found) => Err(OutsideError::Ambiguous { build: build.to_owned(), found }),
        }
    }

    /// The build's whole id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Approves or rejects a job that waits for it.
    ///
    /// # Errors
    /// When the job does not wait for approval, or the build does not answer.
    pub async fn decide(&self, decision: &Decision) -> Result<(), OutsideError> {
        self.post("/decisions", decision).await
    }

    /// Lets a job go on that is held.
    ///
    /// # Errors
    /// When the job is not held, or the build does not answer.
    pub async fn let_go_on(&self, job: &Continue) -> Result<(), OutsideError> {
        self.post("/continues", job).await
    }

    /// Publishes an event to the build.
    ///
    /// # Errors
    /// When the event is not of the right form, or the build does not answer.
    pub async fn publish(&self, event: &OutsideEvent) -> Result<(), OutsideError> {
        self.post("/events", event).await
    }

    /// Asks the build to stop.
    ///
    /// # Errors
    /// When the build does not answer.
    pub async fn cancel(&self) -> Result<(), OutsideError> {
        self.post("/cancel", &Nothing {}).await
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), OutsideError> {
        self.ask(path, body, Some(Duration::from_secs(30))).await.map(drop)
    }

    /// Asks for something. Without a limit the answer may take as long as the build runs.
    pub(super) async fn ask(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Option<Duration>,
    ) -> Result<Response, OutsideError> {
        let io = |error: std::io::Error| self.unreachable_because(error.to_string());
        // The path of a Unix socket has at most 107 bytes; through the directory's descriptor it is always short.
        let dir = File::open(&self.dir).map_err(io)?;
        let socket = format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd());
        let client = plain_http().unix_socket(socket).build();
        let body = serde_json::to_vec(&OfBuild { build: &self.id, what: body })
            .map_err(|error| self.unreachable_because(error.to_string()))?;
        let request =
            client.map_err(|error| self.unreachable(error))?.post(format!("http://localhost{path}")).body(body);
        let request = match limit {
            Some(limit) => request.timeout(limit),
            None => request,
        };
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        if status == NOT_HERE {
            return Err(self.unreachable_because("its process does not drive it any more".to_owned()));
        }
        let body = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        let problem: Option<Problem> = serde_json::from_slice(&body).ok();
        Err(OutsideError::Refused(problem.map_or_else(|| status.to_string(), |problem| problem.detail)))
    }

    /// Names the cause, and not an address that nobody knows.
    pub(super) fn unreachable(&self, error: reqwest::Error) -> OutsideError {
        self.unreachable_because(cause(error))
    }

    pub(super) fn unreachable_because(&self, reason: String) -> OutsideError {
        OutsideError::Unreachable { build: self.id.clone(), reason }
    }
}

/// The cause of a failed request, without the address.
pub(super) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
