//! The journal in SQLite: one file, which all processes of a home share.

use std::collections::HashMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Row, Sqlite};
use tokio::sync::{Mutex, OnceCell};

use super::{Append, Digest, Head, Journal, JournalError, Obstacle, Owner, Page, Piece, Record};

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
    /// Opens the journal, and makes it if it is not there. One of layout 1 is brought to layout 2, whole.
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
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut accepted: HashMap<String, (i64, Head)> = HashMap::new();
        let (begin, go_on): (Vec<&Append>, Vec<&Append>) = appends.iter().partition(|append| append.begins());
        for begin in begin.chunks(ROWS) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("INSERT INTO builds (build, owner, epoch, last, checksum) ");
            query.push_values(begin, |mut row, append| {
                let head = append.head();
                row.push_bind(append.build.to_string()).push_bind(owner_bytes(head.owner)).push_bind(head.epoch as i64);
                row.push_bind(head.last as i64).push_bind(head.checksum.0.to_vec());
            });
            query.push(" ON CONFLICT (build) DO NOTHING RETURNING owner, epoch, last, checksum, build, id");
            for row in query.build().fetch_all(&mut *transaction).await? {
                accepted.insert(row.try_get(4)?, (row.try_get(5)?, head_of(&row)?));
            }
        }
        for go_on in go_on.chunks(ROWS) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("UPDATE builds SET last = new.column6, checksum = new.column7 FROM (");
            query.push_values(go_on, |mut row, append| {
                let (before, head) = (append.before(), append.head());
                row.push_bind(append.build.to_string()).push_bind(owner_bytes(before.owner));
                row.push_bind(before.epoch as i64).push_bind(before.last as i64).push_bind(before.checksum.0.to_vec());
                row.push_bind(head.last as i64).push_bind(head.checksum.0.to_vec());
            });
            query.push(
                ") AS new WHERE builds.build = new.column1 AND builds.owner = new.column2 AND builds.epoch = new.column3
                 AND builds.last = new.column4 AND builds.checksum = new.column5
                 RETURNING owner, epoch, last, checksum, build, id",
            );
            for row in query.build().fetch_all(&mut *transaction).await? {
                accepted.insert(row.try_get(4)?, (row.try_get(5)?, head_of(&row)?));
            }
        }
        let mut verdicts = Vec::with_capacity(appends.len());
        let mut rows: Vec<(i64, &Record)> = Vec::new();
        for append in appends {
            // Two owners may be in one batch. The one whose append was taken is known by where the journal ends now.
            let taken =
                accepted.get(&*append.build).filter(|(_, head)| *head == append.head()).map(|(build, _)| *build);
            let Some(build) = taken else {
                let stored = head(&mut transaction, &append.build).await?;
                verdicts.push(append.verdict(stored.as_ref()));
                continue;
            };
            rows.extend(append.records.iter().map(|record| (build, record)));
            for piece in &append.pieces {
                sqlx::query("INSERT INTO contents (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING")
                    .bind(piece.digest.0.to_vec())
                    .bind(&piece.text)
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query("INSERT INTO content_uses (build, digest) VALUES (?, ?) ON CONFLICT DO NOTHING")
                    .bind(build)
                    .bind(piece.digest.0.to_vec())
                    .execute(&mut *transaction)
                    .await?;
            }
            verdicts.push(Ok(()));
        }
        for rows in rows.chunks(ROWS) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("INSERT INTO records (build, number, epoch, time_ms, split, size, checksum, body) ");
            query.push_values(rows, |mut row, (build, record)| {
                row.push_bind(*build).push_bind(record.number as i64).push_bind(record.epoch as i64);
                row.push_bind(record.time_ms as i64).push_bind(record.split).push_bind(record.size as i64);
                row.push_bind(record.checksum.0.to_vec()).push_bind(&record.body);
            });
            query.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(verdicts)
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
        let taken = sqlx::query(
            "UPDATE builds SET owner = ?, epoch = ?, last = ?, checksum = ?
             WHERE build = ? AND owner = ? AND epoch = ? AND last = ? AND checksum = ?",
        )
        .bind(owner_bytes(new.owner))
        .bind(new.epoch as i64)
        .bind(new.last as i64)
        .bind(new.checksum.0.to_vec())
        .bind(build)
        .bind(owner_bytes(seen.owner))
        .bind(seen.epoch as i64)
        .bind(seen.last as i64)
        .bind(seen.checksum.0.to_vec())
        .execute(&mut connection)
        .await
        .map_err(|error| self.failure(error))?;
        *writer = Some(connection);
        Ok(taken.rows_affected() == 1)
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        let mut reader = self.reader().await?.lock().await;
        head(&mut reader, build).await.map_err(|error| self.failure(error))
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError> {
        let mut reader = self.reader().await?.lock().await;
        let mut rows = sqlx::query(
            "SELECT number, epoch, time_ms, split, size, checksum, body FROM records
             WHERE build = (SELECT id FROM builds WHERE build = ?) AND number > ? ORDER BY number LIMIT ?",
        )
        .bind(build)
        .bind(after as i64)
        .bind(i64::try_from(page.count).unwrap_or(i64::MAX))
        .fetch(&mut *reader);
        let (mut records, mut bytes) = (Vec::new(), 0_u64);
        while let Some(row) = rows.try_next().await.map_err(|error| self.failure(error))? {
            let record = record(&row).map_err(|error| self.failure(error))?;
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
        sqlx::query_scalar("SELECT build FROM builds ORDER BY id")
            .fetch_all(&mut *self.reader().await?.lock().await)
            .await
            .map_err(|error| self.failure(error))
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

async fn head(connection: &mut SqliteConnection, build: &str) -> Result<Option<Head>, sqlx::Error> {
    let row = sqlx::query("SELECT owner, epoch, last, checksum FROM builds WHERE build = ?")
        .bind(build)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(head_of).transpose()
}

/// The head that the first four columns are.
fn head_of(row: &SqliteRow) -> Result<Head, sqlx::Error> {
    Ok(Head {
        owner: owner(row.try_get(0)?)?,
        epoch: number(row.try_get(1)?)?,
        last: number(row.try_get(2)?)?,
        checksum: digest(row.try_get(3)?)?,
    })
}

fn record(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    Ok(Record {
        number: number(row.try_get(0)?)?,
        epoch: number(row.try_get(1)?)?,
        time_ms: number(row.try_get(2)?)?,
        split: row.try_get(3)?,
        size: number(row.try_get(4)?)?,
        checksum: digest(row.try_get(5)?)?,
        body: row.try_get(6)?,
    })
}

pub(super) fn owner_bytes(owner: Owner) -> Vec<u8> {
    owner.0.to_be_bytes().to_vec()
}

pub(super) fn owner(bytes: &[u8]) -> Result<Owner, sqlx::Error> {
    bytes.try_into().map(|bytes| Owner(u128::from_be_bytes(bytes))).map_err(|_| damaged("an owner"))
}

pub(super) fn number(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|_| damaged("a number"))
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, sqlx::Error> {
    bytes.try_into().map(Digest).map_err(|_| damaged("a checksum"))
}

fn damaged(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} in it is none: the database is damaged").into())
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
