//! What can go wrong with an engine.

use std::path::PathBuf;

/// What is wrong with what names an engine: an address, a variable, a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineSettingsError {
    /// An address that no engine can have.
    #[error("{address} ({origin}) is no address of an engine: {reason}")]
    Address {
        /// The address.
        address: String,
        /// Who has named it.
        origin: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file that can't be read, or is not as it should be.
    #[error("{} can't be used: {reason}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such context of the docker command.
    #[error(
        "there is no docker context {name:?} ({origin}): {} is not there; `docker context ls` lists those that are, and --engine names \
         an engine without one", .file.display()
    )]
    NoContext {
        /// Its name.
        name: String,
        /// Who has named it.
        origin: String,
        /// Where it would be.
        file: PathBuf,
    },
    /// Whoever answers is to be taken for the engine.
    #[error("{origin} asks for TLS without a look at who the engine is, and then it could be anybody: {remedy}")]
    Unverified {
        /// What asks for that.
        origin: String,
        /// What to do.
        remedy: String,
    },
}

/// An engine's error: what failed, on what.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine answers.
    #[error(
        "no container engine found: {tried}; start Docker or Podman, or name its socket with --engine unix:///path"
    )]
    NotFound {
        /// What was looked at, and what came of it.
        tried: String,
    },
    /// What names the engine can't be used.
    #[error("the container engine can't be looked for: {0}")]
    Settings(#[from] EngineSettingsError),
    /// The engine stopped answering.
    #[error("the container engine does not answer: {0}")]
    Gone(String),
    /// An image is missing and can't be had.
    #[error("image {image:?} not found: {reason}")]
    ImageNotFound {
        /// The image reference.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// An image's registry can't be reached, does not answer, or is overloaded: whether it has the image is not known.
    #[error("image {image:?} could not be pulled: {reason}; its registry may answer later")]
    RegistryUnavailable {
        /// The image reference.
        image: String,
        /// What the engine said, or how long it said nothing.
        reason: String,
    },
    /// An image's registry will not let the engine have it.
    #[error("image {image:?} may not be pulled: {reason}")]
    PullDenied {
        /// The image reference.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// An image is not to be had for the architecture that was asked for.
    #[error("image {image:?} can't be had for the architecture {architecture:?}: {reason}")]
    NoSuchArchitecture {
        /// The image reference.
        image: String,
        /// The architecture, as the job gave it.
        architecture: String,
        /// What there is instead, or what the engine said.
        reason: String,
    },
    /// The job's container can't be made or started.
    #[error("the container of image {image:?} could not start: {reason}")]
    StartFailed {
        /// The image reference.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// A service ended, or its ready command never succeeded in time.
    #[error("service {service:?} was never ready: {reason}")]
    ServiceNotReady {
        /// The service's name.
        service: String,
        /// What was tried, and what came of it.
        reason: String,
        /// The last lines of its output.
        last_lines: String,
    },
    /// The sidecar's container can't be made or started.
    #[error("the sidecar could not start: {0}")]
    SidecarFailed(String),
    /// The pod has no such part (any more): somebody else removed it.
    #[error("{0} is not there any more: somebody removed it")]
    NoSuchPart(String),
    /// The disk that the engine keeps images, containers and volumes on is full.
    #[error("the container engine's disk is full: asked to {what}, it said: {reason}")]
    DiskFull {
        /// What it was asked to do.
        what: String,
        /// What it said.
        reason: String,
    },
    /// The engine has no way to do this.
    #[error("{engine} can't {what}")]
    Unable {
        /// The engine.
        engine: String,
        /// What it can't do.
        what: &'static str,
    },
    /// The engine refused a request.
    #[error("the container engine refused to {what}: {reason}")]
    Refused {
        /// What it was asked to do.
        what: String,
        /// What it said.
        reason: String,
    },
}
