//! The one place that decides what a token allows.

use std::fmt;

use crate::routes::segments;
use crate::{Claims, Route, RouteId};

/// A request to the build API: which build, and what to do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The build in the request's path, `org/repo/build`.
    pub build: String,
    /// What is asked for.
    pub action: Action,
}

/// What can be asked of the build API. Where each is asked, and who may, says its row of [`ROUTES`](crate::ROUTES).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is being built.
    ReadBuild,
    /// A parameter.
    ReadParam(String),
    /// The names of the parameters.
    ListParams,
    /// The names of the secrets.
    ListSecrets,
    /// Whether there is a secret; never the value.
    ReadSecret(String),
    /// The bytes of a secret.
    RevealSecret(String),
    /// Publish an event.
    PublishEvent,
    /// The next events after a place in the journal.
    ReadEvents,
    /// Say something for the build's report.
    AddReport,
    /// How a job stands.
    ReadJob(String),
    /// Add jobs to the build.
    SubmitJobs,
    /// Wait until one of some jobs is over.
    WaitForJobs,
    /// Write the log of `define` (`None`), or of a job.
    WriteLog(Option<String>),
    /// What the sidecar of a job is to do.
    ReadPlan(String),
    /// That the job's command runs.
    ReportRunning(String),
    /// That the job is held, and whether it may go on.
    ReportHeld(String),
    /// How the job has ended.
    ReportResult(String),
    /// The file in which a container job exposes its outputs.
    ReportOutputs(String),
    /// A JUnit XML document.
    ReportTests(String),
    /// The workspace's archive.
    ReadWorkspace,
    /// Parts of the workspace.
    ReadFiles(FileQuery),
    /// Write a file in the action's output area.
    WriteOutput(String),
    /// Extend a file in the action's output area.
    ExtendOutput(String),
    /// The artifacts that have been saved.
    ListArtifacts,
    /// The names of the files in an artifact.
    ListArtifactFiles(String),
    /// A file of an artifact.
    ReadArtifactFile(String, String),
    /// An artifact of one file.
    CreateArtifact(String, String),
    /// An artifact from the action's output area.
    SaveOutput(String, String),
    /// An artifact's archive.
    ReadArtifact(String),
    /// Save an artifact's archive.
    SaveArtifact(String),
    /// A cache's archive.
    ReadCache(String),
    /// Save a cache's archive.
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

/// Whether a token's time is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// What it is for (`define`, or an attempt of a job) runs.
    Runs,
    /// What it is for does not run: it is over, or not there yet.
    Over,
    /// The token itself has expired.
    Expired,
}

/// Why a token does not allow an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token has expired.
    #[error("the token is not valid any more: its time is over")]
    Expired,
    /// The token is of a build, a job or an attempt that does not run.
    #[error("the token is not valid: its build or job is over")]
    Over,
    /// The token belongs to another build.
    #[error("the token belongs to another build")]
    OtherBuild,
    /// The token has no scope for it.
    #[error("the token has no scope for it; it would need {0}")]
    NoScope(String),
    /// The bearer is not the one who may do this.
    #[error("{0}")]
    OtherBearer(&'static str),
}

impl Denied {
    /// Whether the token opens nothing at all (401), and not only this (403).
    pub fn is_invalid_token(&self) -> bool {
        matches!(self, Self::Expired | Self::Over)
    }
}

/// Decides whether a token that is really ours opens `operation` now. The order is fixed: a token whose time is not now opens
/// nothing, and its bearer is not told what another would.
///
/// # Errors
/// Says why not.
pub fn admit(claims: &Claims, standing: Standing, operation: &Operation) -> Result<(), Denied> {
    judge(claims, standing, &operation.build, operation.action.route(), operation.action.names()[0])
}

/// Decides whether `claims` allow `operation`, while what they are for runs. Everything that is not allowed here is denied.
///
/// # Errors
/// Says why not.
pub fn authorise(claims: &Claims, operation: &Operation) -> Result<(), Denied> {
    admit(claims, Standing::Runs, operation)
}

/// The only such decision in the host: at this route of this build, for what the path names first.
pub(crate) fn judge(
    claims: &Claims,
    standing: Standing,
    build: &str,
    route: &Route,
    first: &str,
) -> Result<(), Denied> {
    match standing {
        Standing::Expired => return Err(Denied::Expired),
        Standing::Over => return Err(Denied::Over),
        Standing::Runs => {}
    }
    if claims.sub != build {
        return Err(Denied::OtherBuild);
    }
    if !route.bearer.is(&claims.role, first) {
        return Err(Denied::OtherBearer(route.bearer.only()));
    }
    let needed = route.scope(first);
    if claims.scopes.contains(&needed) { Ok(()) } else { Err(Denied::NoScope(needed.to_string())) }
}

impl Operation {
    /// The request's path.
    pub fn path(&self) -> String {
        format!("/v1/builds/{}{}", segments(&self.build), self.action)
    }
}

impl Action {
    /// Its row of the table.
    pub fn route(&self) -> &'static Route {
        let id = match self {
            Self::ReadBuild => RouteId::ReadBuild,
            Self::ReadParam(_) => RouteId::ReadParam,
            Self::ListParams => RouteId::ListParams,
            Self::ListSecrets => RouteId::ListSecrets,
            Self::ReadSecret(_) => RouteId::ReadSecret,
            Self::RevealSecret(_) => RouteId::RevealSecret,
            Self::PublishEvent => RouteId::PublishEvent,
            Self::ReadEvents => RouteId::ReadEvents,
            Self::AddReport => RouteId::AddReport,
            Self::ReadJob(_) => RouteId::ReadJob,
            Self::SubmitJobs => RouteId::SubmitJobs,
            Self::WaitForJobs => RouteId::WaitForJobs,
            Self::WriteLog(None) => RouteId::WriteDefineLog,
            Self::WriteLog(Some(_)) => RouteId::WriteJobLog,
            Self::ReadPlan(_) => RouteId::ReadPlan,
            Self::ReportRunning(_) => RouteId::ReportRunning,
            Self::ReportHeld(_) => RouteId::ReportHeld,
            Self::ReportResult(_) => RouteId::ReportResult,
            Self::ReportOutputs(_) => RouteId::ReportOutputs,
            Self::ReportTests(_) => RouteId::ReportTests,
            Self::ReadWorkspace => RouteId::ReadWorkspace,
            Self::ReadFiles(FileQuery::Content(_)) => RouteId::ReadFile,
            Self::ReadFiles(FileQuery::Dir(_)) => RouteId::ReadDir,
            Self::ReadFiles(FileQuery::Stat(_)) => RouteId::ReadStat,
            Self::ReadFiles(FileQuery::Glob) => RouteId::FindFiles,
            Self::ReadFiles(FileQuery::Hash) => RouteId::HashFiles,
            Self::WriteOutput(_) => RouteId::WriteOutput,
            Self::ExtendOutput(_) => RouteId::ExtendOutput,
            Self::ListArtifacts => RouteId::ListArtifacts,
            Self::ListArtifactFiles(_) => RouteId::ListArtifactFiles,
            Self::ReadArtifactFile(..) => RouteId::ReadArtifactFile,
            Self::CreateArtifact(..) => RouteId::CreateArtifact,
            Self::SaveOutput(..) => RouteId::SaveOutput,
            Self::ReadArtifact(_) => RouteId::ReadArtifact,
            Self::SaveArtifact(_) => RouteId::SaveArtifact,
            Self::ReadCache(_) => RouteId::ReadCache,
            Self::SaveCache(_) => RouteId::SaveCache,
        };
        id.route()
    }

    /// What its path names, in order; what is not named is empty.
    pub fn names(&self) -> [&str; 2] {
        match self {
            Self::ReadBuild
            | Self::ListParams
            | Self::ListSecrets
            | Self::PublishEvent
            | Self::ReadEvents
            | Self::AddReport
            | Self::SubmitJobs
            | Self::WaitForJobs
            | Self::WriteLog(None)
            | Self::ReadWorkspace
            | Self::ReadFiles(FileQuery::Glob | FileQuery::Hash)
            | Self::ListArtifacts => ["", ""],
            Self::ReadParam(name)
            | Self::ReadSecret(name)
            | Self::RevealSecret(name)
            | Self::ReadJob(name)
            | Self::WriteLog(Some(name))
            | Self::ReadPlan(name)
            | Self::ReportRunning(name)
            | Self::ReportHeld(name)
            | Self::ReportResult(name)
            | Self::ReportOutputs(name)
            | Self::ReportTests(name)
            | Self::ReadFiles(FileQuery::Content(name) | FileQuery::Dir(name) | FileQuery::Stat(name))
            | Self::WriteOutput(name)
            | Self::ExtendOutput(name)
            | Self::ListArtifactFiles(name)
            | Self::ReadArtifact(name)
            | Self::SaveArtifact(name)
            | Self::ReadCache(name)
            | Self::SaveCache(name) => [name, ""],
            Self::ReadArtifactFile(id, path) | Self::CreateArtifact(id, path) | Self::SaveOutput(id, path) => {
                [id, path]
            }
        }
    }
}

impl fmt::Display for Action {
    /// The path below the build's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.route().path_to(self.names()))
    }
}
