//! The journal: every event of every build, in SQLite.

use std::path::{Path, PathBuf};
use std::time::Duration;

use monkeyci_build::{Event, EventBody};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Row};
use tokio::sync::Mutex;

/// The layout of the database, kept in SQLite's `user_version`.
const LAYOUT: i64 = 1;

/// Why the journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It can't be read or written.
    #[error("the journal {} can't be used: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// A record is not what this version writes.
    #[error("the journal {} holds a record that this version can't read: {reason}", path.display())]
    Record {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The ordered, durable list of events. One file, shared by all processes of a home.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Mutex<SqliteConnection>,
}

impl Journal {
    /// Opens the journal, and makes it if it is not there.
    ///
    /// # Errors
    /// When the file can't be used, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let fail = |source| JournalError::Database { path: path.to_owned(), source };
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Safe against the death of the process; a power cut may lose the last events, never the file.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10))
            .connect()
            .await
            .map_err(fail)?;
        let layout: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.map_err(fail)?;
        match layout {
            LAYOUT => {}
            0 => {
                let create = "CREATE TABLE IF NOT EXISTS events (
                                  build TEXT NOT NULL, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL, body TEXT NOT NULL,
                                  PRIMARY KEY (build, seq)) WITHOUT ROWID;
                              PRAGMA user_version = 1";
                sqlx::raw_sql(create).execute(&mut connection).await.map_err(fail)?;
            }
            newer => {
                let reason = format!("its layout is {newer}, and this version knows {LAYOUT}");
                return Err(JournalError::Record { path: path.to_owned(), reason });
            }
        }
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// Appends what happened at `time_ms` as event `seq` of the build.
    ///
    /// # Errors
    /// When it could not be written: then it did not happen.
    pub async fn append(&self, build: &str, seq: u64, time_ms: u64, body: EventBody) -> Result<Event, JournalError> {
        let text = serde_json::to_string(&body).map_err(|error| self.unreadable(error))?;
        sqlx::query("INSERT INTO events (build, seq, time_ms, body) VALUES (?, ?, ?, ?)")
            .bind(build)
            .bind(seq as i64)
            .bind(time_ms as i64)
            .bind(text)
            .execute(&mut *self.connection.lock().await)
            .await
            .map_err(|source| JournalError::Database { path: self.path.clone(), source })?;
        Ok(Event { seq, time_ms, body })
    }

    /// All events of a build, in order.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn events(&self, build: &str) -> Result<Vec<Event>, JournalError> {
        let rows = sqlx::query("SELECT seq, time_ms, body FROM events WHERE build = ? ORDER BY seq")
            .bind(build)
            .fetch_all(&mut *self.connection.lock().await)
            .await
            .map_err(|source| JournalError::Database { path: self.path.clone(), source })?;
        rows.iter()
            .map(|row| {
                let body = serde_json::from_str(row.get(2)).map_err(|error| self.unreadable(error))?;
                Ok(Event { seq: row.get::<i64, _>(0) as u64, time_ms: row.get::<i64, _>(1) as u64, body })
            })
            .collect()
    }

    /// The ids of all builds, oldest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn builds(&self) -> Result<Vec<String>, JournalError> {
        sqlx::query_scalar("SELECT build FROM events WHERE seq = 1 ORDER BY time_ms")
            .fetch_all(&mut *self.connection.lock().await)
            .await
            .map_err(|source| JournalError::Database { path: self.path.clone(), source })
    }

    fn unreadable(&self, error: serde_json::Error) -> JournalError {
        JournalError::Record { path: self.path.clone(), reason: error.to_string() }
    }
}
