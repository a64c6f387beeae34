//! What a build has not that others have: whoever starts it may trust it less.

use serde::{Deserialize, Serialize};

/// What a build has not that others have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Confined {
    /// Whose caches it has, if not those of its branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caches: Option<Caches>,
    /// Whether its jobs reach their services and nothing else, whatever they ask for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_network: bool,
}

/// Caches that are not those of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caches {
    /// Those of this name; those of the main branch are read too.
    Own(String),
    /// Those of this name, and no others.
    Apart(String),
}

impl Confined {
    /// Whether it has all that others have.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
