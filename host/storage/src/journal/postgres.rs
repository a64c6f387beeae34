//! The journal in PostgreSQL, for hosts on several machines.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions, Connection, Postgres, QueryBuilder, Row};

use super::appending::Step;
use super::index::ADDED;
use super::statements::{BUILDS, OPEN, RECORDS, Statements, digest};
use super::{Append, Digest, Head, Journal, JournalError, LAYOUT, Obstacle, Page, Piece, Record, Sought};

/// How many rows one statement takes: a message has at most 65,535 variables.
const ROWS: usize = 1000;
/// One writes, and some may read meanwhile.
pub(crate) const CONNECTIONS: u32 = 4;
/// Who makes the tables holds this lock: "monkeyci".
const LOCK: i64 = 0x6d6f_6e6b_6579_6369;

/// Layout 2.
const CREATE: &str = "
    CREATE TABLE monkeyci_layout (version BIGINT NOT NULL);
    CREATE TABLE builds (
        id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, build TEXT NOT NULL UNIQUE,
        owner BYTEA NOT NULL, epoch BIGINT NOT NULL, last BIGINT NOT NULL, checksum BYTEA NOT NULL);
    CREATE TABLE records (
        build BIGINT NOT NULL, number BIGINT NOT NULL, epoch BIGINT NOT NULL, time_ms BIGINT NOT NULL,
        split BOOLEAN NOT NULL, size BIGINT NOT NULL, checksum BYTEA NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (build, number));
    CREATE TABLE contents (digest BYTEA PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE content_uses (
        build BIGINT NOT NULL, digest BYTEA NOT NULL REFERENCES contents (digest), PRIMARY KEY (build, digest));
    CREATE INDEX content_uses_digest ON content_uses (digest);
    INSERT INTO monkeyci_layout VALUES (2)";

/// After the index is made.
const RAISE: &str = "UPDATE monkeyci_layout SET version = $1";

/// The journal in a PostgreSQL database: in the first schema of the connection's search path.
#[derive(Debug)]
pub struct PostgresJournal {
    name: String,
    pool: PgPool,
}

impl PostgresJournal {
    /// Connects to the database that `url` names, and makes the tables if they are not there. Those of layout 2 are brought to this layout.
    ///
    /// # Errors
    /// When there is no such server or database, or a newer version made the tables ([`JournalError::Newer`]).
    pub async fn open(url: &str) -> Result<Self, JournalError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| failure("of a PostgreSQL URL", error))?;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let name = format!("in the PostgreSQL database {database} on {}", options.get_host());
        // A commit returns when it is on disk, whatever the server's default is.
        let options = options.options([("synchronous_commit", "on")]).disable_statement_logging();
        let opened = async {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
            let mut connection = pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
            let made: bool = sqlx::query_scalar("SELECT to_regclass('monkeyci_layout') IS NOT NULL")
                .fetch_one(&mut *transaction)
                .await?;
            if !made {
                sqlx::raw_sql(CREATE).execute(&mut *transaction).await?;
            }
            let mut layout: i64 =
                sqlx::query_scalar("SELECT version FROM monkeyci_layout").fetch_one(&mut *transaction).await?;
            if layout == 2 {
                sqlx::raw_sql(ADDED).execute(&mut *transaction).await?;
                Statements::<Postgres>::index(&mut transaction).await?;
                sqlx::query(RAISE).bind(LAYOUT).execute(&mut *transaction).await?;
                layout = LAYOUT;
            }
            transaction.commit().await?;
            drop(connection);
            Ok((pool, layout))
        };
        let (pool, layout) = opened.await.map_err(|error| failure(&name, error))?;
        if layout != LAYOUT {
            return Err(JournalError::Newer { journal: name, layout });
        }
        Ok(Self { name, pool })
    }

    fn failure(&self, error: sqlx::Error) -> JournalError {
        failure(&self.name, error)
    }

    async fn try_commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let mut written = Vec::new();
        for step in Step::of(appends, ROWS) {
            let mut query = QueryBuilder::<Postgres>::new("");
            Statements::<Postgres>::write(&mut query, &step);
            written.extend(query.build().fetch_all(&mut *transaction).await?);
        }
        let verdicts = Statements::<Postgres>::verdicts(&mut transaction, appends, &written).await?;
        transaction.commit().await?;
        Ok(verdicts)
    }
}

#[async_trait]
impl Journal for PostgresJournal {
    fn name(&self) -> &str {
        &self.name
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
        self.try_commit(appends).await.map_err(|error| self.failure(error))
    }

    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError> {
        let taken =
            async { Statements::<Postgres>::take_over(&mut *self.pool.acquire().await?, build, seen, new).await };
        taken.await.map_err(|error| self.failure(error))
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        let found = async { Statements::<Postgres>::head(&mut *self.pool.acquire().await?, build).await };
        found.await.map_err(|error| self.failure(error))
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError> {
        // How many fit is decided before their bodies are read: a result that is dropped is read to its end all the same.
        let sizes: Vec<i64> = sqlx::query_scalar(
            "SELECT size FROM records WHERE build = (SELECT id FROM builds WHERE build = $1) AND number > $2
             ORDER BY number LIMIT $3",
        )
        .bind(build)
        .bind(after as i64)
        .bind(i64::try_from(page.count).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.failure(error))?;
        let mut bytes = 0_u64;
        let fits = |size: &i64| {
            bytes = bytes.saturating_add(u64::try_from(*size).unwrap_or(u64::MAX));
            bytes <= page.bytes
        };
        let count = sizes.iter().copied().take_while(fits).count().max(1);
        let rows = sqlx::query(RECORDS)
            .bind(build)
            .bind(after as i64)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .fetch(&self.pool);
        rows.and_then(|row| async move { Statements::<Postgres>::record(&row) })
            .try_collect()
            .await
            .map_err(|error| self.failure(error))
    }

    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError> {
        let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.0.to_vec()).collect();
        let rows =
            sqlx::query("SELECT digest, text FROM contents WHERE digest = ANY($1)").bind(digests).fetch(&self.pool);
        let piece = |row: PgRow| async move { Ok(Piece { digest: digest(row.try_get(0)?)?, text: row.try_get(1)? }) };
        rows.and_then(piece).try_collect().await.map_err(|error| self.failure(error))
    }

    async fn builds(&self) -> Result<Vec<String>, JournalError> {
        sqlx::query_scalar(BUILDS).fetch_all(&self.pool).await.map_err(|error| self.failure(error))
    }

    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError> {
        if text.contains('\0') {
            // No text of PostgreSQL's has one.
            return Ok(Vec::new());
        }
        sqlx::query_scalar("SELECT build FROM builds WHERE strpos(build, $1) > 0 ORDER BY id")
            .bind(text)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failure(error))
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        sqlx::query_scalar(OPEN).fetch_all(&self.pool).await.map_err(|error| self.failure(error))
    }

    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError> {
        let found = async { Statements::<Postgres>::outlines(&mut *self.pool.acquire().await?, of, skip, count).await };
        found.await.map_err(|error| self.failure(error))
    }

    async fn remove(&self, build: &str) -> Result<bool, JournalError> {
        let remove = async {
            let mut transaction = self.pool.begin().await?;
            let id: Option<i64> = sqlx::query_scalar("DELETE FROM builds WHERE build = $1 RETURNING id")
                .bind(build)
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(id) = id else { return Ok(false) };
            sqlx::query("DELETE FROM records WHERE build = $1").bind(id).execute(&mut *transaction).await?;
            let used: Vec<Vec<u8>> = sqlx::query_scalar("DELETE FROM content_uses WHERE build = $1 RETURNING digest")
                .bind(id)
                .fetch_all(&mut *transaction)
                .await?;
            // Locked first, so that nobody begins to use one that goes.
            sqlx::query("SELECT 1 FROM contents WHERE digest = ANY($1) ORDER BY digest FOR UPDATE")
                .bind(&used)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "DELETE FROM contents WHERE digest = ANY($1) AND digest NOT IN (SELECT digest FROM content_uses)",
            )
            .bind(&used)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(true)
        };
        remove.await.map_err(|error| self.failure(error))
    }
}

/// What PostgreSQL's error means for whoever wanted something.
fn failure(journal: &str, error: sqlx::Error) -> JournalError {
    let journal = journal.to_owned();
    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    let obstacle = match (&error, code.as_deref()) {
        // No room on the disk; no memory.
        (_, Some("53100" | "53200")) => Some(Obstacle::Full),
        // Locks, deadlocks, serialisation, what somebody else removes at this moment, and too many connections.
        (_, Some("55P03" | "40P01" | "40001" | "23503" | "53300")) => Some(Obstacle::Busy),
        // The server shuts down, starts, or has crashed.
        (_, Some("57P01" | "57P02" | "57P03")) => Some(Obstacle::Away),
        (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, _) => Some(Obstacle::Away),
        _ => None,
    };
    let source = Arc::new(error);
    match obstacle {
        Some(obstacle) => JournalError::Blocked { journal, obstacle, source },
        None => JournalError::Database { journal, source },
    }
}
