//! The journal in SQLite: one file, which all processes of a home share.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite};
use tokio::sync::{Mutex, OnceCell};

use super::appending::Step;
use super::statements::{BUILDS, OPEN, RECORDS, Statements};
use super::{Append, Digest, Head, Journal, JournalError, Obstacle, Page, Piece, Record, Sought};

mod layout;

/// How long SQLite itself waits for another process that writes, before the writer says that it waits.
const BUSY: Duration = Duration::from_secs(5);
/// How many records one statement inserts: SQLite takes so many variables and no more.
const ROWS: usize = 200;

/// The journal in an SQLite database.
///
/// It is in WAL mode with `synchronous=FULL`: a commit is one write to the end of a file and one `fdatasync`. The file
/// `journal.db-wal` belongs to the journal; who copies one without the other copies a part.
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    name: String,
    /// None after a write that failed, or that nobody waited for to its end: it may be in the middle of a transaction, or SQLite has
    /// ended that one without sqlx taking note. The next write opens another.
    writer: Mutex<Option<SqliteConnection>>,
    /// Reads while the writer waits for its disk.
    reader: OnceCell<Mutex<SqliteConnection>>,
}

impl SqliteJournal {
    /// Opens the journal, and makes it if it is not there. One of an older layout is brought to this one, whole.
    ///
    /// # Errors
    /// When the file can't be used, was written by a newer version ([`JournalError::Newer`]), or can't be brought to this layout
    /// ([`JournalError::Migration`]).
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let name = path.display().to_string();
        let mut writer = connect(path, true).await.map_err(|error| failure(&name, error))?;
        layout::prepare(&mut writer, &name).await?;
        Ok(Self { path: path.to_owned(), name, writer: Mutex::new(Some(writer)), reader: OnceCell::new() })
    }

    async fn reader(&self) -> Result<&Mutex<SqliteConnection>, JournalError> {
        let connect = async || Ok(Mutex::new(connect(&self.path, false).await.map_err(|error| self.failure(error))?));
        self.reader.get_or_try_init(connect).await
    }

    /// A connection that nobody else writes with. Whoever has written puts it back.
    async fn taken(&self, writer: &mut Option<SqliteConnection>) -> Result<SqliteConnection, JournalError> {
        match writer.take() {
            Some(connection) => Ok(connection),
            None => connect(&self.path, false).await.map_err(|error| self.failure(error)),
        }
    }

    fn failure(&self, error: sqlx::Error) -> JournalError {
        failure(&self.name, error)
    }

    async fn try_commit(
        connection: &mut SqliteConnection,
        appends: &[Append],
    ) -> Result<Vec<Result<(), JournalError>>, sqlx::Error> {
        // In one go: sqlx runs it in a thread of its own, and each answer that is waited for costs two changes of threads. Where one of these
        // fails, the connection is closed, and the transaction with it.
        let mut query = QueryBuilder::<Sqlite>::new("BEGIN IMMEDIATE; ");
        for step in Step::of(appends, ROWS) {
            Statements::<Sqlite>::write(&mut query, &step);
            query.push("; ");
        }
        query.push("COMMIT");
        let written = query.build().fetch_all(&mut *connection).await?;
        Statements::<Sqlite>::verdicts(connection, appends, &written).await
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn name(&self) -> &str {
        &self.name
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.taken(&mut writer).await?;
        let written = Self::try_commit(&mut connection, appends).await.map_err(|error| self.failure(error))?;
        *writer = Some(connection);
        Ok(written)
    }

    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.taken(&mut writer).await?;
        let taken = Statements::<Sqlite>::take_over(&mut connection, build, seen, new).await;
        let taken = taken.map_err(|error| self.failure(error))?;
        *writer = Some(connection);
        Ok(taken)
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        let mut reader = self.reader().await?.lock().await;
        Statements::<Sqlite>::head(&mut reader, build).await.map_err(|error| self.failure(error))
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError> {
        let mut reader = self.reader().await?.lock().await;
        let mut rows = sqlx::query(RECORDS)
            .bind(build)
            .bind(after as i64)
            .bind(i64::try_from(page.count).unwrap_or(i64::MAX))
            .fetch(&mut *reader);
        let (mut records, mut bytes) = (Vec::new(), 0_u64);
        while let Some(row) = rows.try_next().await.map_err(|error| self.failure(error))? {
            let record = Statements::<Sqlite>::record(&row).map_err(|error| self.failure(error))?;
            bytes = bytes.saturating_add(record.size);
            if bytes > page.bytes && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError> {
        let mut reader = self.reader().await?.lock().await;
        let mut pieces = Vec::new();
        for digest in digests {
            let text: Option<String> = sqlx::query_scalar("SELECT text FROM contents WHERE digest = ?")
                .bind(digest.0.to_vec())
                .fetch_optional(&mut *reader)
                .await
                .map_err(|error| self.failure(error))?;
            pieces.extend(text.map(|text| Piece { digest: *digest, text }));
        }
        Ok(pieces)
    }

    async fn builds(&self) -> Result<Vec<String>, JournalError> {
        sqlx::query_scalar(BUILDS)
            .fetch_all(&mut *self.reader().await?.lock().await)
            .await
            .map_err(|error| self.failure(error))
    }

    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError> {
        sqlx::query_scalar("SELECT build FROM builds WHERE instr(build, $1) > 0 ORDER BY id")
            .bind(text)
            .fetch_all(&mut *self.reader().await?.lock().await)
            .await
            .map_err(|error| self.failure(error))
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        sqlx::query_scalar(OPEN)
            .fetch_all(&mut *self.reader().await?.lock().await)
            .await
            .map_err(|error| self.failure(error))
    }

    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError> {
        let mut reader = self.reader().await?.lock().await;
        Statements::<Sqlite>::outlines(&mut reader, of, skip, count).await.map_err(|error| self.failure(error))
    }

    async fn remove(&self, build: &str) -> Result<bool, JournalError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.taken(&mut writer).await?;
        let remove = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let id: Option<i64> = sqlx::query_scalar("DELETE FROM builds WHERE build = ? RETURNING id")
                .bind(build)
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(id) = id else { return Ok(false) };
            for statement in [
                "DELETE FROM records WHERE build = ?",
                "DELETE FROM contents WHERE digest IN (SELECT digest FROM content_uses WHERE build = ?1) AND digest NOT IN
                     (SELECT digest FROM content_uses WHERE build != ?1)",
                "DELETE FROM content_uses WHERE build = ?",
            ] {
                sqlx::query(statement).bind(id).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(true)
        };
        let removed = remove.await.map_err(|error| self.failure(error))?;
        *writer = Some(connection);
        Ok(removed)
    }
}

/// A connection to the database. It is closed without moving what is in the WAL into the file, which would take three more
/// `fsync`s at the end of each process: the WAL is kept, and moved when it has grown to some MiB.
async fn connect(path: &Path, make: bool) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(make)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .disable_statement_logging()
        .connect()
        .await?;
    let mut handle = connection.lock_handle().await?;
    let keep = libsqlite3_sys::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    // SAFETY: the handle is an open connection that nobody else uses while it is locked, and this option takes an int and a
    // pointer to an int that may be null.
    let set = unsafe {
        libsqlite3_sys::sqlite3_db_config(handle.as_raw_handle().as_ptr(), keep, 1 as c_int, null_mut::<c_int>())
    };
    drop(handle);
    if set != libsqlite3_sys::SQLITE_OK {
        tracing::debug!(set, "SQLite moves its log into the file at the end of the process, which takes longer");
    }
    Ok(connection)
}

/// What SQLite's error means for whoever wanted something.
fn failure(journal: &str, error: sqlx::Error) -> JournalError {
    let journal = journal.to_owned();
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    let obstacle = code.and_then(|code| match (code & 0xff, code) {
        (libsqlite3_sys::SQLITE_FULL, _)
        | (_, libsqlite3_sys::SQLITE_IOERR_WRITE | libsqlite3_sys::SQLITE_IOERR_SHMSIZE) => Some(Obstacle::Full),
        (libsqlite3_sys::SQLITE_BUSY | libsqlite3_sys::SQLITE_LOCKED, _) => Some(Obstacle::Busy),
        _ => None,
    });
    let source = Arc::new(error);
    match obstacle {
        Some(obstacle) => JournalError::Blocked { journal, obstacle, source },
        None => JournalError::Database { journal, source },
    }
}
