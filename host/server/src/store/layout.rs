//! The layout of the database, and how it came about: each step brings one of the step before to the next.

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::error::StoreError;

/// The steps from an empty database on. What stands here was run somewhere: it is never changed, only added to.
const STEPS: [&str; 4] = [
    "
    CREATE TABLE repositories (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL, script_path TEXT, script BLOB,
        hook_secret TEXT NOT NULL, added_ms INTEGER NOT NULL);
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, digest BLOB NOT NULL, scopes INTEGER NOT NULL,
        repository INTEGER REFERENCES repositories (id) ON DELETE CASCADE, made_ms INTEGER NOT NULL, ends_ms INTEGER);
    CREATE TABLE builds (
        number INTEGER PRIMARY KEY AUTOINCREMENT, build TEXT NOT NULL UNIQUE,
        repository INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
        asked TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, commit_id TEXT, branch TEXT, ended TEXT,
        accepted_ms INTEGER NOT NULL);
    CREATE INDEX builds_of_repository ON builds (repository, number);
    CREATE INDEX builds_waiting ON builds (number) WHERE state = 'waiting';
    CREATE TABLE deliveries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        repository INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
        delivery TEXT NOT NULL, digest BLOB NOT NULL, event TEXT NOT NULL, outcome TEXT NOT NULL, build TEXT,
        received_ms INTEGER NOT NULL, UNIQUE (repository, delivery), UNIQUE (repository, digest));",
    "
    CREATE INDEX deliveries_of_repository ON deliveries (repository, number);
    CREATE INDEX deliveries_without_build ON deliveries (repository, number) WHERE build IS NULL;",
    "
    CREATE INDEX builds_waiting_of_repository ON builds (repository, number) WHERE state = 'waiting';",
    // What is sealed: the secrets of webhooks too, which have stood in the clear up to here.
    "
    CREATE TABLE master_key (
        id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, data_key BLOB NOT NULL, sealed BLOB NOT NULL);
    ALTER TABLE repositories ADD COLUMN hook_key BLOB;
    ALTER TABLE repositories ADD COLUMN hook_sealed BLOB;
    ALTER TABLE repositories ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE inputs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL,
        repository INTEGER REFERENCES repositories (id) ON DELETE CASCADE, place TEXT NOT NULL, reveal INTEGER NOT NULL,
        data_key BLOB NOT NULL, sealed BLOB NOT NULL, set_by TEXT NOT NULL, set_ms INTEGER NOT NULL, gone_ms INTEGER);
    CREATE UNIQUE INDEX inputs_that_count ON inputs (kind, name, place) WHERE gone_ms IS NULL;
    CREATE INDEX inputs_of_repository ON inputs (repository);
    CREATE TABLE uses (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        build TEXT NOT NULL REFERENCES builds (build) ON DELETE CASCADE, input INTEGER NOT NULL, kind TEXT NOT NULL,
        name TEXT NOT NULL, place TEXT NOT NULL, set_ms INTEGER NOT NULL, UNIQUE (build, input));
    CREATE INDEX uses_of_input ON uses (input);",
];

/// Brings the database to the layout of this version.
///
/// # Errors
/// When it is of a newer one, or can't be used.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let newer = StoreError::Newer { layout: found };
    let Some(steps) = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) else { return Err(newer) };
    for step in steps {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    let now = format!("PRAGMA user_version = {}", STEPS.len());
    sqlx::raw_sql(sqlx::AssertSqlSafe(now)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[tokio::test]
    async fn a_database_is_made_once_kept_and_refused_where_a_newer_version_has_written_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("server.db");
        let mut db =
            SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.expect("a database");
        prepare(&mut db).await.expect("made");
        let tokens = "INSERT INTO tokens VALUES ('a', 'ann', x'00', 1, NULL, 1, NULL)";
        sqlx::raw_sql(tokens).execute(&mut db).await.expect("written");
        prepare(&mut db).await.expect("as it is");
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens").fetch_one(&mut db).await.expect("a number");
        let layout: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut db).await.expect("a number");
        assert_eq!((kept, layout), (1, STEPS.len() as i64));
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut db).await.expect("set");
        assert!(matches!(prepare(&mut db).await, Err(StoreError::Newer { layout: 99 })));
    }
}
