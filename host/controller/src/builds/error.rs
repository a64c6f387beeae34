//! Why a build can't be looked at.

use std::path::PathBuf;

use super::in_words;
use crate::error::ControllerError;

/// Why a build can't be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildsError {
    /// There is no home.
    #[error(
        "there is no home of monkeyci-host at {}: no build has run there; name another one with --home or MONKEYCI_HOME",
        home.display()
    )]
    NoHome {
        /// The home directory.
        home: PathBuf,
    },
    /// The home has no build.
    #[error("the host's home {} has no build yet: `monkeyci-host run` makes one", home.display())]
    NoBuilds {
        /// The home directory.
        home: PathBuf,
    },
    /// There is no such build.
    #[error(
        "the host's home {} knows no build {build:?}: `monkeyci-host list` shows those that it has; name another home with --home",
        home.display()
    )]
    NoBuild {
        /// What was asked for.
        build: String,
        /// The home directory that was looked in.
        home: PathBuf,
    },
    /// There is more than one build of this name.
    #[error("{build:?} may be any of {}; give more of the id", in_words(found))]
    Ambiguous {
        /// What was asked for.
        build: String,
        /// The builds that it may be, the oldest first.
        found: Vec<String>,
    },
    /// There is no such artifact.
    #[error("the build {build} has no artifact {id:?}; {}", those(found))]
    NoArtifact {
        /// The build.
        build: String,
        /// What was asked for.
        id: String,
        /// Those that it has.
        found: Vec<String>,
    },
    /// The artifact's bytes are gone, or are not what was saved.
    #[error("the artifact {id:?} of {build} can't be had: {reason}")]
    ArtifactLost {
        /// The build.
        build: String,
        /// The artifact.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// Something stands where a part of the artifact is to go.
    #[error("{} is there already, and an artifact replaces nothing; name another directory with -o", path.display())]
    Taken {
        /// What is there.
        path: PathBuf,
    },
    /// The artifact can't be written to where it is to go.
    #[error("{} can't be written: {source}; see to that, or name another directory with -o", path.display())]
    Unwritten {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A test report in the store can't be read.
    #[error("the test report {name} is damaged: {reason}")]
    Report {
        /// Its name in the store.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Home, journal or store can't be used.
    #[error(transparent)]
    Store(#[from] ControllerError),
}

fn those(found: &[String]) -> String {
    if found.is_empty() { "none was saved".to_owned() } else { format!("it has {}", found.join(", ")) }
}
