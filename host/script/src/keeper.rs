//! Who keeps what an action is told.

use std::sync::Arc;

use futures::future::BoxFuture;
use monkeyci_build::ToldCall;

/// Says how secrets, and what is large, stand where an action's calls are kept.
pub trait Digests: Send + Sync + 'static {
    /// A digest that tells nobody what it is made of who does not know it, not even by trying.
    fn digest(&self, bytes: &[u8]) -> String;

    /// Whether the value of a secret stands in it.
    fn has_secret(&self, bytes: &[u8]) -> bool;

    /// A text without the values of secrets.
    fn masked(&self, text: &str) -> String;
}

/// Keeps what an action is told, for an instance that takes its place in another process.
pub trait Keeper: Digests {
    /// Keeps these calls, which come after those that were kept before; with `durably`, returns when all are on disk.
    fn keep(&self, calls: Vec<ToldCall>, durably: bool) -> BoxFuture<'_, Result<(), NotKept>>;
}

/// Why calls are not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The build may have no more of them.
    #[error("{0}")]
    UsedUp(String),
    /// Nobody goes on with the action: it is over, or its build is.
    #[error("the action is over")]
    Over,
}

/// What an action was told so far, and who keeps what it is told from now on. The default is kept by nobody.
#[derive(Clone, Default)]
pub struct Recording {
    /// Who keeps it.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// What it was told in another process, which has died.
    pub told: Vec<ToldCall>,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("told", &self.told.len()).finish_non_exhaustive()
    }
}
