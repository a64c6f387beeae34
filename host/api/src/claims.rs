//! What a token says of its bearer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The audience of every token: the build API.
pub const AUDIENCE: &str = "monkeyci-build-api";

/// The issuer of every token.
pub const ISSUER: &str = "monkeyci-host";

/// The claims of a token (JWT, RFC 7519): registered names first, then the role and the scopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made the token: [`ISSUER`].
    pub iss: String,
    /// Whom the token is for: [`AUDIENCE`].
    pub aud: String,
    /// The build that the token belongs to, `org/repo/build`.
    pub sub: String,
    /// When the token was made, in seconds since the Unix epoch.
    pub iat: u64,
    /// When the token ends, in seconds since the Unix epoch.
    pub exp: u64,
    /// The token's own id: what revocation names.
    pub jti: String,
    /// Who the bearer is.
    pub role: Role,
    /// The attempt of the bearer's job that the token is for, from 1; 0 for `define`.
    pub attempt: u32,
    /// What the bearer may do.
    pub scopes: Vec<Scope>,
}

/// Who the bearer of a token is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The script: its `define`, or the action of one job.
    Script {
        /// The job whose action runs; none for `define`.
        job: Option<String>,
    },
    /// The sidecar of one container job.
    Sidecar {
        /// The job.
        job: String,
    },
}

impl Role {
    /// The job that the bearer works for, if it is one.
    pub fn job(&self) -> Option<&str> {
        match self {
            Self::Script { job } => job.as_deref(),
            Self::Sidecar { job } => Some(job),
        }
    }
}

/// One thing that a token allows. As text: `params:read`, or with what it is limited to, `artifact:write=jar`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Read what is being built.
    BuildRead,
    /// Read parameters.
    ParamsRead,
    /// Know which secrets there are, and use them for jobs.
    SecretsRead,
    /// Read the bytes of this secret.
    SecretReveal(String),
    /// Publish events and reports.
    EventsWrite,
    /// Read the build's events.
    EventsRead,
    /// Add jobs to the build.
    JobsSubmit,
    /// Read files of the workspace.
    FilesRead,
    /// Write into the action's output area.
    OutputsWrite,
    /// Read all artifacts.
    ArtifactsRead,
    /// Read how jobs stand.
    JobsRead,
    /// Write the bearer's own log.
    LogWrite,
    /// Read the workspace archive.
    WorkspaceRead,
    /// Read the plan of this job, and report how it goes.
    JobReport(String),
    /// Read this artifact.
    ArtifactRead(String),
    /// Save this artifact.
    ArtifactWrite(String),
    /// Read and replace this cache.
    Cache(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuildRead => f.write_str("build:read"),
            Self::ParamsRead => f.write_str("params:read"),
            Self::SecretsRead => f.write_str("secrets:read"),
            Self::SecretReveal(name) => write!(f, "secret:reveal={name}"),
            Self::EventsWrite => f.write_str("events:write"),
            Self::EventsRead => f.write_str("events:read"),
            Self::JobsSubmit => f.write_str("jobs:submit"),
            Self::FilesRead => f.write_str("files:read"),
            Self::OutputsWrite => f.write_str("outputs:write"),
            Self::ArtifactsRead => f.write_str("artifacts:read"),
            Self::JobsRead => f.write_str("jobs:read"),
            Self::LogWrite => f.write_str("log:write"),
            Self::WorkspaceRead => f.write_str("workspace:read"),
            Self::JobReport(job) => write!(f, "job:report={job}"),
            Self::ArtifactRead(id) => write!(f, "artifact:read={id}"),
            Self::ArtifactWrite(id) => write!(f, "artifact:write={id}"),
            Self::Cache(id) => write!(f, "cache={id}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, limit) = match text.split_once('=') {
            Some((name, limit)) => (name, Some(limit.to_owned())),
            None => (text, None),
        };
        Ok(match (name, limit) {
            ("build:read", None) => Self::BuildRead,
            ("params:read", None) => Self::ParamsRead,
            ("secrets:read", None) => Self::SecretsRead,
            ("secret:reveal", Some(name)) => Self::SecretReveal(name),
            ("events:write", None) => Self::EventsWrite,
            ("events:read", None) => Self::EventsRead,
            ("jobs:submit", None) => Self::JobsSubmit,
            ("files:read", None) => Self::FilesRead,
            ("outputs:write", None) => Self::OutputsWrite,
            ("artifacts:read", None) => Self::ArtifactsRead,
            ("jobs:read", None) => Self::JobsRead,
            ("log:write", None) => Self::LogWrite,
            ("workspace:read", None) => Self::WorkspaceRead,
            ("job:report", Some(job)) => Self::JobReport(job),
            ("artifact:read", Some(id)) => Self::ArtifactRead(id),
            ("artifact:write", Some(id)) => Self::ArtifactWrite(id),
            ("cache", Some(id)) => Self::Cache(id),
            _ => return Err(format!("{text:?} is not a scope")),
        })
    }
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// A signed token. Its text never shows in `Debug` output, so it can't slip into a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Wraps the token's text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The token's text, for an `Authorization` header.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
