//! The one place that decides what a token allows.

use std::fmt;

use crate::{Claims, Role, Scope};

/// A request to the build API: which build, and what to do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The build in the request's path, `org/repo/build`.
    pub build: String,
    /// What is asked for.
    pub action: Action,
}

/// What can be asked of the build API. Each case names its method and its path below `/v1/builds/{build}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `GET /`: what is being built.
    ReadBuild,
    /// `GET /params/{name}`
    ReadParam(String),
    /// `GET /params`: the names.
    ListParams,
    /// `GET /secrets`: the names.
    ListSecrets,
    /// `GET /secrets/{name}`: whether it is there; never the value.
    ReadSecret(String),
    /// `POST /secrets/{name}/reveal`
    RevealSecret(String),
    /// `POST /events`
    PublishEvent,
    /// `POST /events/next`: the next events after a place in the journal.
    ReadEvents,
    /// `POST /reports`
    AddReport,
    /// `GET /jobs/{job}`: how a job stands.
    ReadJob(String),
    /// `POST /jobs`
    SubmitJobs,
    /// `POST /waits`: wait until one of some jobs is over.
    WaitForJobs,
    /// `POST /logs` for `define`, `POST /jobs/{job}/logs` for a job.
    WriteLog(Option<String>),
    /// `GET /jobs/{job}/plan`
    ReadPlan(String),
    /// `POST /jobs/{job}/running`
    ReportRunning(String),
    /// `POST /jobs/{job}/result`
    ReportResult(String),
    /// `POST /jobs/{job}/outputs`: the file in which a container job exposes its outputs.
    ReportOutputs(String),
    /// `POST /jobs/{job}/test-reports`: a JUnit XML document.
    ReportTests(String),
    /// `GET /workspace`
    ReadWorkspace,
    /// `GET /files/{path}`, `GET /dirs/{path}`, `GET /stats/{path}`, `POST /globs`, `POST /hashes`: parts of the workspace.
    ReadFiles(FileQuery),
    /// `PUT /outputs/{path}`, `POST /outputs/{path}`: write or extend a file in the action's output area.
    WriteOutput(String),
    /// `GET /artifacts`
    ListArtifacts,
    /// `GET /artifacts/{id}/files`: the names of the files in it.
    ListArtifactFiles(String),
    /// `GET /artifacts/{id}/files/{path}`
    ReadArtifactFile(String, String),
    /// `PUT /artifacts/{id}/files/{path}`: an artifact of one file.
    CreateArtifact(String, String),
    /// `POST /artifacts/{id}/outputs/{path}`: an artifact from the action's output area.
    SaveOutput(String, String),
    /// `GET /artifacts/{id}`
    ReadArtifact(String),
    /// `PUT /artifacts/{id}`
    SaveArtifact(String),
    /// `GET /caches/{id}`
    ReadCache(String),
    /// `PUT /caches/{id}`
    SaveCache(String),
}

/// What is asked of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileQuery {
    /// A file's content.
    Content(String),
    /// The names in a directory.
    Dir(String),
    /// What is known of a path.
    Stat(String),
    /// The files that match globs.
    Glob,
    /// The digest of the files that match globs.
    Hash,
}

/// Why a token does not allow an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token belongs to another build.
    #[error("the token belongs to another build")]
    OtherBuild,
    /// The token has no scope for it.
    #[error("the token has no scope for it; it would need {0}")]
    NoScope(String),
    /// The bearer is not the one who may do this.
    #[error("{0}")]
    OtherBearer(String),
}

/// Decides whether `claims` allow `operation`. This is the only such decision in the host; everything that is not
/// allowed here is denied.
///
/// # Errors
/// Says why not.
pub fn authorise(claims: &Claims, operation: &Operation) -> Result<(), Denied> {
    if claims.sub != operation.build {
        return Err(Denied::OtherBuild);
    }
    let needed = match &operation.action {
        Action::ReadBuild => Scope::BuildRead,
        Action::ReadParam(_) | Action::ListParams => Scope::ParamsRead,
        Action::ListSecrets | Action::ReadSecret(_) => Scope::SecretsRead,
        Action::RevealSecret(name) => {
            only_an_action(claims)?;
            Scope::SecretReveal(name.clone())
        }
        Action::ReadEvents => {
            only_an_action(claims)?;
            Scope::EventsRead
        }
        Action::SubmitJobs => {
            only_an_action(claims)?;
            Scope::JobsSubmit
        }
        Action::WaitForJobs => {
            only_an_action(claims)?;
            Scope::JobsRead
        }
        Action::PublishEvent | Action::AddReport => Scope::EventsWrite,
        Action::ReadJob(_) => Scope::JobsRead,
        Action::WriteLog(job) => {
            if claims.role.job() != job.as_deref() {
                return Err(Denied::OtherBearer("a bearer may write its own log only".to_owned()));
            }
            Scope::LogWrite
        }
        Action::ReadPlan(job) | Action::ReportRunning(job) | Action::ReportResult(job) | Action::ReportOutputs(job) => {
            if !matches!(&claims.role, Role::Sidecar { job: own } if own == job) {
                return Err(Denied::OtherBearer("only the job's sidecar may do this".to_owned()));
            }
            Scope::JobReport(job.clone())
        }
        Action::ReportTests(job) => {
            if claims.role.job() != Some(job) {
                return Err(Denied::OtherBearer("a job may hand in its own test reports only".to_owned()));
            }
            Scope::JobReport(job.clone())
        }
        Action::ReadWorkspace => Scope::WorkspaceRead,
        Action::ReadFiles(_) => Scope::FilesRead,
        Action::WriteOutput(_) => {
            only_an_action(claims)?;
            Scope::OutputsWrite
        }
        Action::ListArtifacts | Action::ListArtifactFiles(_) | Action::ReadArtifactFile(..) => Scope::ArtifactsRead,
        Action::CreateArtifact(id, _) | Action::SaveOutput(id, _) => {
            only_an_action(claims)?;
            Scope::ArtifactWrite(id.clone())
        }
        Action::ReadArtifact(id) => Scope::ArtifactRead(id.clone()),
        Action::SaveArtifact(id) => {
            if !matches!(&claims.role, Role::Sidecar { .. }) {
                return Err(Denied::OtherBearer("only a job's sidecar may do this".to_owned()));
            }
            Scope::ArtifactWrite(id.clone())
        }
        Action::ReadCache(id) | Action::SaveCache(id) => Scope::Cache(id.clone()),
    };
    if claims.scopes.contains(&needed) { Ok(()) } else { Err(Denied::NoScope(needed.to_string())) }
}

/// What `define` may not do, nor any sidecar.
fn only_an_action(claims: &Claims) -> Result<(), Denied> {
    match &claims.role {
        Role::Script { job: Some(_) } => Ok(()),
        _ => Err(Denied::OtherBearer("only an action may do this, while it runs".to_owned())),
    }
}

impl Operation {
    /// The request's path.
    pub fn path(&self) -> String {
        format!("/v1/builds/{}{}", segments(&self.build), self.action)
    }
}

impl fmt::Display for Action {
    /// The path below the build's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadBuild => Ok(()),
            Self::ReadParam(name) => write!(f, "/params/{}", segment(name)),
            Self::ListParams => f.write_str("/params"),
            Self::ListSecrets => f.write_str("/secrets"),
            Self::ReadSecret(name) => write!(f, "/secrets/{}", segment(name)),
            Self::RevealSecret(name) => write!(f, "/secrets/{}/reveal", segment(name)),
            Self::ReadEvents => f.write_str("/events/next"),
            Self::SubmitJobs => f.write_str("/jobs"),
            Self::WaitForJobs => f.write_str("/waits"),
            Self::ReportOutputs(job) => write!(f, "/jobs/{}/outputs", segment(job)),
            Self::ReportTests(job) => write!(f, "/jobs/{}/test-reports", segment(job)),
            Self::ReadFiles(FileQuery::Content(path)) => write!(f, "/files/{}", segment(path)),
            Self::ReadFiles(FileQuery::Dir(path)) => write!(f, "/dirs/{}", segment(path)),
            Self::ReadFiles(FileQuery::Stat(path)) => write!(f, "/stats/{}", segment(path)),
            Self::ReadFiles(FileQuery::Glob) => f.write_str("/globs"),
            Self::ReadFiles(FileQuery::Hash) => f.write_str("/hashes"),
            Self::WriteOutput(path) => write!(f, "/outputs/{}", segment(path)),
            Self::ListArtifacts => f.write_str("/artifacts"),
            Self::ListArtifactFiles(id) => write!(f, "/artifacts/{}/files", segment(id)),
            Self::ReadArtifactFile(id, path) | Self::CreateArtifact(id, path) => {
                write!(f, "/artifacts/{}/files/{}", segment(id), segment(path))
            }
            Self::SaveOutput(id, path) => write!(f, "/artifacts/{}/outputs/{}", segment(id), segment(path)),
            Self::PublishEvent => f.write_str("/events"),
            Self::AddReport => f.write_str("/reports"),
            Self::ReadJob(job) => write!(f, "/jobs/{}", segment(job)),
            Self::WriteLog(None) => f.write_str("/logs"),
            Self::WriteLog(Some(job)) => write!(f, "/jobs/{}/logs", segment(job)),
            Self::ReadPlan(job) => write!(f, "/jobs/{}/plan", segment(job)),
            Self::ReportRunning(job) => write!(f, "/jobs/{}/running", segment(job)),
            Self::ReportResult(job) => write!(f, "/jobs/{}/result", segment(job)),
            Self::ReadWorkspace => f.write_str("/workspace"),
            Self::ReadArtifact(id) | Self::SaveArtifact(id) => write!(f, "/artifacts/{}", segment(id)),
            Self::ReadCache(id) | Self::SaveCache(id) => write!(f, "/caches/{}", segment(id)),
        }
    }
}

fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Percent-encodes all but RFC 3986's unreserved characters, so that a name is one path segment whatever it holds.
fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    // `.` and `..` as whole segments are resolved away by URL parsers, percent-encoded or not. As a path `./` means the same;
    // anything else that is called so is not there.
    if matches!(text, "." | "..") {
        encoded.push_str("%2F");
    }
    encoded
}
