//! Why a server can't be opened.

use std::path::PathBuf;

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
    /// The database can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
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
