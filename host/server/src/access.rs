//! Who may do what: the scopes of API tokens, and the one function that decides.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a token of the public API allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scope {
    /// Look at repositories, builds, events, logs and artifacts.
    Read,
    /// Start builds, and cancel them.
    Trigger,
    /// Approve and reject jobs that wait for it.
    Approve,
    /// All of that; and add, change and remove repositories and tokens.
    Admin,
    /// Set and remove parameters and secrets, and see which builds were given which. Nobody reads secrets.
    Secrets,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Read, Self::Trigger, Self::Approve, Self::Admin, Self::Secrets];

    /// Its place in what the database has.
    pub(crate) const fn bit(self) -> i64 {
        1 << self as u8
    }
}

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The whole server.
    Server,
    /// Whatever repositories the token is for.
    Own,
    /// The repository that the path names.
    Repository,
    /// The build that the path names, and so its repository.
    Build,
}

/// What the token of a request allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Its name, for journals: who has approved, and who has cancelled.
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    /// The number of the repository that it is for; all if `None`.
    pub(crate) repository: Option<i64>,
}

/// Why a token does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("this takes a token with the scope {}, which yours has not", word(*.0))]
    Scope(Scope),
    #[error("this is about the whole server, and your token is for one repository")]
    OneRepository,
    /// Nobody is told whether it is there.
    #[error("there is no such repository or build")]
    Elsewhere,
}

fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Trigger => "trigger",
        Scope::Approve => "approve",
        Scope::Admin => "admin",
        Scope::Secrets => "secrets",
    }
}

impl Grant {
    /// Whether it allows what takes this scope and reaches so far, before it is known what that is about.
    pub(crate) fn allows(&self, scope: Scope, reach: Reach) -> Result<(), Denied> {
        if !self.scopes.contains(&scope) && !self.scopes.contains(&Scope::Admin) {
            return Err(Denied::Scope(scope));
        }
        match (reach, self.repository) {
            (Reach::Server, Some(_)) => Err(Denied::OneRepository),
            _ => Ok(()),
        }
    }

    /// Whether it is for this repository, if there is one.
    pub(crate) fn is_for(&self, repository: Option<i64>) -> Result<(), Denied> {
        let Some(repository) = repository else { return Err(Denied::Elsewhere) };
        match self.repository {
            Some(own) if own != repository => Err(Denied::Elsewhere),
            _ => Ok(()),
        }
    }

    /// By whom something is done, for the journal.
    pub(crate) fn by(&self) -> String {
        format!("token {}", self.name)
    }
}
