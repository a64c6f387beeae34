//! The layout of the SQLite database, and how one of an older layout is brought to it.

use futures::TryStreamExt;
use monkeyci_build::EventBody;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, Sqlite};

use super::failure;
use crate::journal::content::{LARGE, split};
use crate::journal::index::ADDED;
use crate::journal::statements::{Statements, owner_bytes};
use crate::journal::{Digest, JournalError, LAYOUT, Owner, Piece, Record};

/// Layout 2. `user_version`, which SQLite keeps, is the layout.
const CREATE: &str = "
    CREATE TABLE builds (
        id INTEGER PRIMARY KEY, build TEXT NOT NULL UNIQUE,
        owner BLOB NOT NULL, epoch INTEGER NOT NULL, last INTEGER NOT NULL, checksum BLOB NOT NULL);
    CREATE TABLE records (
        build INTEGER NOT NULL, number INTEGER NOT NULL, epoch INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        split INTEGER NOT NULL, size INTEGER NOT NULL, checksum BLOB NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (build, number)) WITHOUT ROWID;
    CREATE TABLE contents (digest BLOB PRIMARY KEY NOT NULL, text TEXT NOT NULL);
    CREATE TABLE content_uses (
        build INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (build, digest)) WITHOUT ROWID;
    CREATE INDEX content_uses_digest ON content_uses (digest)";

/// Sees to it that the database has this version's layout.
pub(super) async fn prepare(connection: &mut SqliteConnection, name: &str) -> Result<(), JournalError> {
    let fail = |error| failure(name, error);
    if layout(connection).await.map_err(fail)? == LAYOUT {
        return Ok(());
    }
    // Another process may be about it: whoever comes second finds it done.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?;
    let found = layout(&mut transaction).await.map_err(fail)?;
    if found == LAYOUT {
        return Ok(());
    }
    if !(0..LAYOUT).contains(&found) {
        return Err(JournalError::Newer { journal: name.to_owned(), layout: found });
    }
    migrate(&mut transaction, found).await.map_err(|error| {
        let migration = |reason| JournalError::Migration { journal: name.to_owned(), layout: found, reason };
        match error {
            // There is nothing yet that could be brought anywhere.
            Fault::Database(error) if found == 0 => fail(error),
            Fault::Database(error) => match failure(name, error) {
                JournalError::Database { source, .. } => migration(source.to_string()),
                blocked => blocked,
            },
            Fault::Record { build, number, reason } => migration(format!("event {number} of {build}: {reason}")),
        }
    })?;
    transaction.commit().await.map_err(fail)
}

/// Brings a database of this layout to [`LAYOUT`]. Layout 0 is an empty one.
async fn migrate(connection: &mut SqliteConnection, found: i64) -> Result<(), Fault> {
    if found < 2 {
        sqlx::raw_sql(CREATE).execute(&mut *connection).await?;
    }
    if found == 1 {
        copy_all(connection).await?;
    }
    sqlx::raw_sql(ADDED).execute(&mut *connection).await?;
    if found > 0 {
        Statements::<Sqlite>::index(connection).await?;
    }
    let version = format!("PRAGMA user_version = {LAYOUT}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut *connection).await?;
    Ok(())
}

async fn layout(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}

/// Why a migration stops.
enum Fault {
    Database(sqlx::Error),
    Record { build: String, number: i64, reason: String },
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// A build's journal, while it is copied.
struct Copied {
    id: i64,
    build: String,
    last: u64,
    checksum: Digest,
}

/// Copies all events of layout 1, `events (build, seq, time_ms, body)`, and removes what they were in.
async fn copy_all(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let builds: Vec<String> =
        sqlx::query_scalar("SELECT build FROM events GROUP BY build ORDER BY min(time_ms), build")
            .fetch_all(&mut *connection)
            .await?;
    for (id, build) in (1..).zip(builds) {
        let mut copied = Copied { id, last: 0, checksum: Digest::first(&build), build };
        loop {
            let page = page(connection, &copied).await?;
            if page.is_empty() {
                break;
            }
            for (seq, time_ms, body) in page {
                copy(connection, &mut copied, seq, time_ms, body).await?;
            }
        }
        let all: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE build = ?")
            .bind(&copied.build)
            .fetch_one(&mut *connection)
            .await?;
        if all as u64 != copied.last {
            let reason = "there are events before the first".to_owned();
            return Err(Fault::Record { build: copied.build, number: 1, reason });
        }
        // It belongs to nobody: whoever wants to go on takes it over.
        sqlx::query("INSERT INTO builds (id, build, owner, epoch, last, checksum) VALUES (?, ?, ?, 1, ?, ?)")
            .bind(copied.id)
            .bind(&copied.build)
            .bind(owner_bytes(Owner(0)))
            .bind(copied.last as i64)
            .bind(copied.checksum.0.to_vec())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::raw_sql("DROP TABLE events").execute(&mut *connection).await?;
    Ok(())
}

/// Some events at a time: there may be more than fit into memory.
async fn page(connection: &mut SqliteConnection, copied: &Copied) -> Result<Vec<(i64, i64, String)>, Fault> {
    let mut rows =
        sqlx::query("SELECT seq, time_ms, body FROM events WHERE build = ? AND seq > ? ORDER BY seq LIMIT 100")
            .bind(&copied.build)
            .bind(copied.last as i64)
            .fetch(connection);
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let body: String = row.try_get(2)?;
        bytes += body.len();
        page.push((row.try_get(0)?, row.try_get(1)?, body));
        if bytes > 4 << 20 {
            break;
        }
    }
    Ok(page)
}

async fn copy(
    connection: &mut SqliteConnection,
    copied: &mut Copied,
    seq: i64,
    time_ms: i64,
    body: String,
) -> Result<(), Fault> {
    let fault = |reason: String| Fault::Record { build: copied.build.clone(), number: seq, reason };
    let number = copied.last + 1;
    if seq as u64 != number {
        return Err(fault(format!("event {number} is missing before it")));
    }
    let time_ms = u64::try_from(time_ms).map_err(|_| fault("its time is before 1970".to_owned()))?;
    // What this version can't read now it never will.
    serde_json::from_str::<EventBody>(&body).map_err(|error| fault(format!("it can't be read: {error}")))?;
    let (size, is_split, mut pieces) = (body.len() as u64, body.len() > LARGE, Vec::new());
    let body = match is_split {
        true => split(serde_json::from_str(&body).map_err(|error| fault(error.to_string()))?, &mut pieces),
        false => body,
    };
    let mut record = Record { number, epoch: 1, time_ms, split: is_split, body, size, checksum: copied.checksum };
    record.checksum = copied.checksum.then(&record.text());
    for Piece { digest, text } in pieces {
        sqlx::query("INSERT INTO contents (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(digest.0.to_vec())
            .bind(text)
            .execute(&mut *connection)
            .await?;
        sqlx::query("INSERT INTO content_uses (build, digest) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(copied.id)
            .bind(digest.0.to_vec())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(
        "INSERT INTO records (build, number, epoch, time_ms, split, size, checksum, body) VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
    )
    .bind(copied.id)
    .bind(number as i64)
    .bind(time_ms as i64)
    .bind(record.split)
    .bind(size as i64)
    .bind(record.checksum.0.to_vec())
    .bind(record.body)
    .execute(&mut *connection)
    .await?;
    (copied.last, copied.checksum) = (number, record.checksum);
    Ok(())
}
