//! What the server keeps beside the builds' journals: repositories, tokens, which builds were asked for, webhooks. One SQLite database in
//! the data directory, `server.db`, which one server has at a time.

mod builds;
mod deliveries;
mod inputs;
mod layout;
mod master;
mod repositories;
mod tokens;

use std::fs::{DirBuilder, File, OpenOptions};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use builds::{Asked, AskedBuild, BuildFilter, Most, State, Taken};
pub(crate) use deliveries::{Delivered, Delivery, NewDelivery};
pub(crate) use inputs::{InputKind, InputRow, Kept, NewInput, Place, Use, chosen};
pub(crate) use master::KeyChoice;
pub(crate) use repositories::{NewRepository, Repository, ScriptPlace};
pub(crate) use tokens::TokenRow;

use crate::error::{ServerError, StoreError};
use crate::keys::{MasterKey, NotOpened};

/// The server's database.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// What is secret in it is sealed with this.
    key: MasterKey,
    /// None after something that failed, or that nobody waited for to its end: it may be in the middle of a transaction.
    connection: Mutex<Option<SqliteConnection>>,
    /// Held for as long as the database is open.
    lock: Option<File>,
}

impl Drop for Store {
    /// The connection closes on a thread of its own, and cleans the database up then: nobody shall open that meanwhile.
    fn drop(&mut self) {
        let (connection, lock) = (self.connection.get_mut().take(), self.lock.take());
        if let (Some(connection), Ok(runtime)) = (connection, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = sqlx::Connection::close(connection).await {
                    tracing::warn!(%error, "the server's database was not closed well");
                }
                drop(lock);
            });
        }
    }
}

/// The connection, for one thing that is done. It goes back with [`done`](Self::done) only.
struct Lease<'a> {
    place: MutexGuard<'a, Option<SqliteConnection>>,
    connection: SqliteConnection,
}

impl Store {
    /// Opens the database in a directory, and makes both if they are not there.
    ///
    /// # Errors
    /// When another server has it, it can't be used, a newer version has written it, or it is sealed with another key.
    pub(crate) async fn open(dir: &Path, key: &KeyChoice) -> Result<Self, ServerError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| ServerError::File { path: dir.to_owned(), source })?;
        let (lock_path, path) = (dir.join("server.lock"), dir.join("server.db"));
        let private = |path: &Path| {
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
            opened.map_err(|source| ServerError::File { path: path.to_owned(), source })
        };
        let lock = private(&lock_path)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ServerError::Taken { dir: dir.to_owned() }),
            locked => locked.map_err(|source| ServerError::File { path: lock_path, source: source.into() })?,
        }
        // SQLite gives what it makes beside it the same mode.
        drop(private(&path)?);
        let mut connection = connect(&path).await.map_err(StoreError::from)?;
        layout::prepare(&mut connection).await?;
        let key = master::settle(&mut connection, dir, key).await?;
        repositories::seal_hooks(&mut connection, &key).await?;
        Ok(Self { path, key, connection: Mutex::new(Some(connection)), lock: Some(lock) })
    }

    async fn lease(&self) -> Result<Lease<'_>, StoreError> {
        let mut place = self.connection.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => connect(&self.path).await?,
        };
        Ok(Lease { place, connection })
    }

    /// Whether it answers.
    pub(crate) async fn is_there(&self) -> Result<(), StoreError> {
        let mut db = self.lease().await?;
        sqlx::query("SELECT 1").execute(&mut *db).await?;
        db.done();
        Ok(())
    }
}

impl Lease<'_> {
    fn done(self) {
        let Self { mut place, connection } = self;
        *place = Some(connection);
    }
}

impl Deref for Lease<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // What was accepted is on disk.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await
}

fn damaged(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { reason: format!("{what}: {error}") }
}

fn sealed(what: &str, error: NotOpened) -> StoreError {
    damaged(what, error)
}
