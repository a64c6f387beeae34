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
    /// `POST /events`
    PublishEvent,
    /// `POST /reports`
    AddReport,
    /// `GET /jobs/{job}`: how a job stands.
    ReadJob(String),
    /// `POST /logs` for `define`, `POST /jobs/{job}/logs` for a job.
    WriteLog(Option<String>),
    /// `GET /jobs/{job}/plan`
    ReadPlan(String),
    /// `POST /jobs/{job}/running`
    ReportRunning(String),
    /// `POST /jobs/{job}/result`
    ReportResult(String),
    /// `GET /workspace`
    ReadWorkspace,
    /// `GET /artifacts/{id}`
    ReadArtifact(String),
    /// `PUT /artifacts/{id}`
    SaveArtifact(String),
    /// `GET /caches/{id}`
    ReadCache(String),
    /// `PUT /caches/{id}`
    SaveCache(String),
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
        Action::ReadParam(_) => Scope::ParamsRead,
        Action::PublishEvent | Action::AddReport => Scope::EventsWrite,
        Action::ReadJob(_) => Scope::JobsRead,
        Action::WriteLog(job) => {
            if claims.role.job() != job.as_deref() {
                return Err(Denied::OtherBearer("a bearer may write its own log only".to_owned()));
            }
            Scope::LogWrite
        }
        Action::ReadPlan(job) | Action::ReportRunning(job) | Action::ReportResult(job) => {
            if !matches!(&claims.role, Role::Sidecar { job: own } if own == job) {
                return Err(Denied::OtherBearer("only the job's sidecar may do this".to_owned()));
            }
            Scope::JobReport(job.clone())
        }
        Action::ReadWorkspace => Scope::WorkspaceRead,
        Action::ReadArtifact(id) => Scope::ArtifactRead(id.clone()),
        Action::SaveArtifact(id) => Scope::ArtifactWrite(id.clone()),
        Action::ReadCache(id) | Action::SaveCache(id) => Scope::Cache(id.clone()),
    };
    if claims.scopes.contains(&needed) { Ok(()) } else { Err(Denied::NoScope(needed.to_string())) }
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
    // `.` and `..` as whole segments would be resolved away by URL parsers.
    let dots = text == "." || text == "..";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => encoded.push(byte as char),
            b'.' if !dots => encoded.push('.'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
