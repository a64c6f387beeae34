//! Where builds come from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::{AskedBuild, Repository};

/// Where a build comes from: what it may have and do depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Origin {
    /// A branch was pushed to the repository.
    Push,
    /// A tag was pushed to the repository.
    Tag,
    /// A pull request of a branch of the repository itself.
    PullRequest,
    /// A pull request of a fork: of whoever likes.
    Fork,
    /// Somebody with a token has asked for it.
    Api,
}

impl Origin {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Push, Self::Tag, Self::PullRequest, Self::Fork, Self::Api];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Tag => "tag",
            Self::PullRequest => "pull-request",
            Self::Fork => "fork",
            Self::Api => "api",
        }
    }

    /// The origin that a word stands for.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == word)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a build for sure: by the signature of a forge, or by the name under which its code is had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildFacts {
    /// The repository, as the server calls it.
    pub repository: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Where the build comes from.
    pub origin: Origin,
    /// The branch of the repository that is built. A commit that somebody only says to be of a branch is of none, and a fork's branch is none
    /// of the repository's.
    pub branch: Option<String>,
    /// The tag that is built.
    pub tag: Option<String>,
    pub(crate) repository_id: i64,
}

impl BuildFacts {
    /// Those of a build of this repository, of which nothing else is known.
    pub fn new(repository: impl Into<String>, origin: Origin) -> Self {
        Self { repository: repository.into(), labels: Vec::new(), origin, branch: None, tag: None, repository_id: 0 }
    }

    /// Those of a build that was asked for.
    pub(crate) fn of(repository: &Repository, build: &AskedBuild) -> Self {
        let asked = &build.asked;
        let origin = asked.origin();
        let of_ref = |kind: &str| asked.reference.as_deref()?.strip_prefix(kind).map(str::to_owned);
        let (branch, tag) = match origin {
            // Forges say it, and sign it.
            Origin::Push | Origin::Tag | Origin::PullRequest => (asked.given.branch.clone(), asked.given.tag.clone()),
            Origin::Fork => (None, None),
            // What was found when the code was had; for whoever asks for no name asks for the main branch.
            Origin::Api if asked.reference.is_none() => (build.branch.clone(), None),
            Origin::Api => (of_ref("refs/heads/"), of_ref("refs/tags/")),
        };
        let (name, labels) = (repository.name.clone(), repository.labels.clone());
        Self { repository: name, labels, origin, branch, tag, repository_id: repository.id }
    }
}
