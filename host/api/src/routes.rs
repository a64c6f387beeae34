//! The routes of the build API, all of them, as one table: method, path, who may go there, and with which scope. The router serves
//! it, the client asks by it, and [`authorise`](crate::authorise) decides by it.

use std::fmt;

use crate::{Role, Scope};

use self::Bearer::{Action, Any, Define, Job, JobsSidecar, Sidecar};
use self::Needs::{One, OneOf};
use self::Verb::{Get, Post, Put};

/// A row of the table.
#[derive(Debug)]
pub struct Route {
    /// Which one.
    pub id: RouteId,
    /// The method.
    pub verb: Verb,
    /// The path below `/v1/builds/{org}/{repo}/{build}`, with names in braces.
    pub path: &'static str,
    /// Who may go there.
    pub bearer: Bearer,
    /// The scope that it takes.
    pub needs: Needs,
}

/// A route's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "`Action` says what each of them does")]
pub enum RouteId {
    ReadBuild,
    ListParams,
    ReadParam,
    ListSecrets,
    ReadSecret,
    RevealSecret,
    PublishEvent,
    ReadEvents,
    AddReport,
    WriteDefineLog,
    ReadFile,
    ReadDir,
    ReadStat,
    FindFiles,
    HashFiles,
    WriteOutput,
    ExtendOutput,
    SubmitJobs,
    WaitForJobs,
    ReadJob,
    ReadPlan,
    ReportRunning,
    ReportHeld,
    ReportOutputs,
    ReportTests,
    ReportResult,
    WriteJobLog,
    ReadWorkspace,
    ListArtifacts,
    ListArtifactFiles,
    ReadArtifactFile,
    CreateArtifact,
    SaveOutput,
    ReadArtifact,
    SaveArtifact,
    ReadCache,
    SaveCache,
}

/// The methods that the API has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    Post,
    Put,
}

/// Who may go to a route, whatever scopes the token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bearer {
    /// `define`, actions, and sidecars.
    Any,
    /// `define`.
    Define,
    /// An action.
    Action,
    /// A sidecar.
    Sidecar,
    /// The sidecar of the job that the path names.
    JobsSidecar,
    /// The action or the sidecar of the job that the path names.
    Job,
}

/// The scope that a route takes.
#[derive(Debug)]
pub enum Needs {
    /// This one.
    One(Scope),
    /// The one of its kind for what the path names first.
    OneOf(fn(String) -> Scope),
}

/// The table, in the order of [`RouteId`].
pub static ROUTES: [Route; 37] = [
    route(RouteId::ReadBuild, Get, "/", Any, One(Scope::BuildRead)),
    route(RouteId::ListParams, Get, "/params", Any, One(Scope::ParamsRead)),
    route(RouteId::ReadParam, Get, "/params/{name}", Any, One(Scope::ParamsRead)),
    route(RouteId::ListSecrets, Get, "/secrets", Any, One(Scope::SecretsRead)),
    route(RouteId::ReadSecret, Get, "/secrets/{name}", Any, One(Scope::SecretsRead)),
    route(RouteId::RevealSecret, Post, "/secrets/{name}/reveal", Action, OneOf(Scope::SecretReveal)),
    route(RouteId::PublishEvent, Post, "/events", Any, One(Scope::EventsWrite)),
    route(RouteId::ReadEvents, Post, "/events/next", Action, One(Scope::EventsRead)),
    route(RouteId::AddReport, Post, "/reports", Any, One(Scope::EventsWrite)),
    route(RouteId::WriteDefineLog, Post, "/logs", Define, One(Scope::LogWrite)),
    route(RouteId::ReadFile, Get, "/files/{path}", Any, One(Scope::FilesRead)),
    route(RouteId::ReadDir, Get, "/dirs/{path}", Any, One(Scope::FilesRead)),
    route(RouteId::ReadStat, Get, "/stats/{path}", Any, One(Scope::FilesRead)),
    route(RouteId::FindFiles, Post, "/globs", Any, One(Scope::FilesRead)),
    route(RouteId::HashFiles, Post, "/hashes", Any, One(Scope::FilesRead)),
    route(RouteId::WriteOutput, Put, "/outputs/{path}", Action, One(Scope::OutputsWrite)),
    route(RouteId::ExtendOutput, Post, "/outputs/{path}", Action, One(Scope::OutputsWrite)),
    route(RouteId::SubmitJobs, Post, "/jobs", Action, One(Scope::JobsSubmit)),
    route(RouteId::WaitForJobs, Post, "/waits", Action, One(Scope::JobsRead)),
    route(RouteId::ReadJob, Get, "/jobs/{job}", Any, One(Scope::JobsRead)),
    route(RouteId::ReadPlan, Get, "/jobs/{job}/plan", JobsSidecar, OneOf(Scope::JobReport)),
    route(RouteId::ReportRunning, Post, "/jobs/{job}/running", JobsSidecar, OneOf(Scope::JobReport)),
    route(RouteId::ReportHeld, Post, "/jobs/{job}/held", JobsSidecar, OneOf(Scope::JobReport)),
    route(RouteId::ReportOutputs, Post, "/jobs/{job}/outputs", JobsSidecar, OneOf(Scope::JobReport)),
    route(RouteId::ReportTests, Post, "/jobs/{job}/test-reports", Job, OneOf(Scope::JobReport)),
    route(RouteId::ReportResult, Post, "/jobs/{job}/result", JobsSidecar, OneOf(Scope::JobReport)),
    route(RouteId::WriteJobLog, Post, "/jobs/{job}/logs", Job, One(Scope::LogWrite)),
    route(RouteId::ReadWorkspace, Get, "/workspace", Any, One(Scope::WorkspaceRead)),
    route(RouteId::ListArtifacts, Get, "/artifacts", Any, One(Scope::ArtifactsRead)),
    route(RouteId::ListArtifactFiles, Get, "/artifacts/{id}/files", Any, One(Scope::ArtifactsRead)),
    route(RouteId::ReadArtifactFile, Get, "/artifacts/{id}/files/{path}", Any, One(Scope::ArtifactsRead)),
    route(RouteId::CreateArtifact, Put, "/artifacts/{id}/files/{path}", Action, OneOf(Scope::ArtifactWrite)),
    route(RouteId::SaveOutput, Post, "/artifacts/{id}/outputs/{path}", Action, OneOf(Scope::ArtifactWrite)),
    route(RouteId::ReadArtifact, Get, "/artifacts/{id}", Any, OneOf(Scope::ArtifactRead)),
    route(RouteId::SaveArtifact, Put, "/artifacts/{id}", Sidecar, OneOf(Scope::ArtifactWrite)),
    route(RouteId::ReadCache, Get, "/caches/{id}", Any, OneOf(Scope::Cache)),
    route(RouteId::SaveCache, Put, "/caches/{id}", Any, OneOf(Scope::Cache)),
];

const fn route(id: RouteId, verb: Verb, path: &'static str, bearer: Bearer, needs: Needs) -> Route {
    Route { id, verb, path, bearer, needs }
}

// Each id finds its own row.
const _: () = {
    let mut row = 0;
    while row < ROUTES.len() {
        assert!(ROUTES[row].id as usize == row, "the table is not in the order of the ids");
        row += 1;
    }
    assert!(ROUTES.len() == RouteId::SaveCache as usize + 1, "the table has not every id");
};

impl RouteId {
    /// Its row.
    pub fn route(self) -> &'static Route {
        &ROUTES[self as usize]
    }
}

impl Route {
    /// The path below the build's, with these names in the place of those in braces.
    pub fn path_to(&self, names: [&str; 2]) -> String {
        let (mut path, mut names) = (String::new(), names.into_iter());
        for part in self.path.split('/').skip(1).filter(|part| !part.is_empty()) {
            let named = part.starts_with('{').then(|| segment(names.next().unwrap_or_default()));
            path.extend(["/", named.as_deref().unwrap_or(part)]);
        }
        path
    }

    /// The scope that it takes when the path names `first`.
    pub fn scope(&self, first: &str) -> Scope {
        match &self.needs {
            One(scope) => scope.clone(),
            OneOf(kind) => kind(first.to_owned()),
        }
    }

    /// The scope that it takes, with what the path names in braces.
    pub fn scope_shown(&self) -> String {
        let named = self.path.split('/').find(|part| part.starts_with('{'));
        self.scope(named.unwrap_or_default()).to_string()
    }
}

impl Bearer {
    /// Whether a token of this role may go there when the path names `first`.
    pub(crate) fn is(self, role: &Role, first: &str) -> bool {
        match self {
            Any => true,
            Define => role.job().is_none(),
            Action => matches!(role, Role::Script { job: Some(_) }),
            Sidecar => matches!(role, Role::Sidecar { .. }),
            JobsSidecar => matches!(role, Role::Sidecar { job } if job == first),
            Job => role.job() == Some(first),
        }
    }

    /// Who may, for those who may not.
    pub(crate) fn only(self) -> &'static str {
        match self {
            Any => "everybody may do this",
            Define => "only `define` may do this, while it runs",
            Action => "only an action may do this, while it runs",
            Sidecar => "only a job's sidecar may do this",
            JobsSidecar => "only the job's sidecar may do this",
            Job => "only the job itself may do this",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Get => "GET",
            Post => "POST",
            Put => "PUT",
        })
    }
}

impl From<Verb> for http::Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Get => Self::GET,
            Post => Self::POST,
            Put => Self::PUT,
        }
    }
}

/// A build's id as a part of a path.
pub(crate) fn segments(path: &str) -> String {
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
