//! What can go wrong in the controller itself. What goes wrong in a build is in its journal.

use std::path::PathBuf;

/// An error of the controller: it could not run the build, or could not write down what happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The home directory can't be used.
    #[error("the home directory's {} can't be used: {source}; name another home with --home", path.display())]
    Home {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The home directory is not its user's alone.
    #[error(
        "the home directory's {} can't be used: {reason}, and what others put there would be run; take it over (chown, chmod go-w) \
         or name another home with --home",
        path.display()
    )]
    HomeNotOwn {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The home directory is another user's.
    #[error(
        "the home directory {} belongs to the user {owner}, and this is the user {own}: only they may look into it; run this command as \
         that user, or name another home with --home",
        path.display()
    )]
    HomeOfAnother {
        /// The directory.
        path: PathBuf,
        /// The id of the user whose it is.
        owner: u32,
        /// The id of this user.
        own: u32,
    },
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] monkeyci_storage::JournalError),
    /// The journal could not be written to the end, and somebody killed the build.
    #[error(
        "the journal of {build} could not be written to its end before the build was killed: how it ended is not kept"
    )]
    Unwritten {
        /// The build.
        build: String,
    },
    /// The host shuts down, and has let go of the build.
    #[error("the host shuts down, and has let go of the build {build}: another one goes on with it")]
    LetGo {
        /// The build.
        build: String,
    },
    /// A sink's name can't be the name of a file.
    #[error("a sink can't be called {name:?}: it takes 1 to 64 letters, digits, `-` and `_`")]
    SinkName {
        /// The name.
        name: String,
    },
    /// The host shuts down, and takes nothing new.
    #[error("the host shuts down, and takes no new build")]
    ShuttingDown,
    /// The blob store that was named can't be used.
    #[error(transparent)]
    BlobStore(#[from] monkeyci_storage::BlobStoreError),
    /// The blob store failed at something.
    #[error("the blob store failed: {0}")]
    Blobs(#[from] object_store::Error),
    /// The script runtime can't be set up.
    #[error(transparent)]
    Runtime(#[from] monkeyci_script::RuntimeError),
    /// A secret can't be used.
    #[error("{0}")]
    Secret(String),
    /// The container engine can't be used.
    #[error(transparent)]
    Engine(#[from] monkeyci_engines::EngineError),
    /// The build API can't be served.
    #[error("the build API can't listen on {address}: {source}")]
    Listen {
        /// The socket's path or address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The build API can't be served over TLS.
    #[error("the build API can't be served over TLS as {advertise:?}: {reason}")]
    Tls {
        /// The host name or address by which sidecars were to reach it.
        advertise: String,
        /// What went wrong, and what to do.
        reason: String,
    },
    /// The sidecar's program is missing.
    #[error("the sidecar's program is not at {}: `cargo xtask demo` builds it; name it with MONKEYCI_SIDECAR if it is elsewhere", .0.display())]
    NoSidecar(PathBuf),
    /// A token could not be made.
    #[error("a token could not be signed: {0}")]
    Token(String),
    /// A task of the controller ended by a panic.
    #[error("a part of the host stopped by a fault of its own: {0}")]
    Panic(String),
}
