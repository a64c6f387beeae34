//! Why a server can't be opened.

use std::path::PathBuf;

use monkeyci_controller::ControllerError;

use crate::keys::KeyError;
use crate::policy::PolicyError;

/// Why a server can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Another server has the directory.
    #[error("another server uses {}: stop it, or name another directory with --data", dir.display())]
    Taken {
        /// The directory.
        dir: PathBuf,
    },
    /// A file can't be used.
    #[error("{} can't be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A master key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database is sealed with another key.
    #[error(
        "{from} has the master key {found}, and the server's values are sealed with the key {wanted}: give that key; or both, that one as the one before, and they are sealed with this one"
    )]
    WrongKey {
        /// Where the key is from.
        from: String,
        /// Its name.
        found: String,
        /// The name of the key that it takes.
        wanted: String,
    },
    /// The key's file is gone.
    #[error(
        "the master key {} is gone, and the server's values are sealed with it: put it back from where you keep a copy; without it nobody has them again", path.display()
    )]
    NoKey {
        /// Where it was.
        path: PathBuf,
    },
    /// The policy can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host can't be opened.
    #[error(transparent)]
    Host(#[from] ControllerError),
}

/// What is wrong with the server's database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It can't be used.
    #[error("the server's database can't be used: {0}")]
    Database(#[from] sqlx_error::Opaque),
    /// A newer version has written it.
    #[error("the server's database has layout {layout}, of a newer version than this one; use that version")]
    Newer {
        /// Its layout.
        layout: i64,
    },
    /// Something in it is not what it should be.
    #[error("the server's database is damaged: {reason}")]
    Damaged {
        /// What.
        reason: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(sqlx_error::Opaque(error))
    }
}

/// So that no type of the database's library is in a signature.
mod sqlx_error {
    /// What the database says.
    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    pub struct Opaque(pub(super) sqlx::Error);
}
